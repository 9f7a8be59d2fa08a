"""Work: pick what is due, keep the bridge as busy as it may be, write the outcomes."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from reconciler.attempting import Attempter
from reconciler.desk import Desk, Due
from reconciler.fairness import HEAD_START, Turns
from reconciler.jobs import Ended, Job, Preparer
from reconciler.model import Instant, Lane, Phase, Record, Slot
from reconciler.records import Action
from reconciler.stepping import redated
from reconciler.turns import in_turns
from reconciler.verdicts import StoreError

log = structlog.get_logger()

_STORE_AWAY = 1.0
"""Seconds until the database is tried again."""
_EVENTS: Mapping[str, tuple[str, str]] = {
    Action.INITIALIZE: ("initialize_done", "initialize_failed"),
    Action.VERIFY: ("verify_done", "verify_failed"),
    Action.REMOVE: ("remove_done", "remove_failed"),
}
_GATHER = 0.005
"""Seconds in which outcomes gather before they are written, while more are on their way."""
_AHEAD = 0.005
"""Seconds that a new key's request has to itself."""
_SHORTEST_NAP = 0.05
"""Seconds in which tokens gather, so that not each one is worth a question to the database."""
_IDLE_TURN = 1.0
"""Seconds between two questions for exchanges of which nothing is tried, with all places taken."""
_IDLE_AT_ONCE = 8
_LONGEST_NAP = 60.0
"""Seconds after which due times are read again though nothing rang: a wall clock may jump."""


class Worker:
    """Attempts what is due for as long as the lease lasts.

    It prepares twice as many jobs as may be tried at once, so that the bridge never waits for the
    database; of the prepared ones the most urgent goes first.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._desk.room = self._room_for_new
        self._ports = desk.ports
        self._paces = desk.paces
        self._preparer = Preparer(desk)
        self._attempter = Attempter(desk)
        self._turns = Turns()
        self._ready: list[tuple[int, int, Job]] = []
        self._prepared = count()
        self._short: set[Lane] = set()
        self._asked_at = self._asked_for_idle = -inf
        self._undated: dict[Slot, Lane] = {}
        self._asked_until: Instant | None = None
        self._ended, self._to_write = anyio.create_memory_object_stream[Ended](inf)
        self._stopping = False
        self._unwritable = False

    async def run(self) -> None:
        # The streams close last: whoever still uses them is cancelled by then.
        try:
            async with self._ended, self._to_write, anyio.create_task_group() as tasks:
                tasks.start_soon(self._write_outcomes)
                while True:
                    await self._turn(tasks)
        finally:
            self._ready.clear()  # nobody is left to put it back

    async def run_dry(self) -> None:
        """Begin nothing new; return once every outcome is written."""
        self._stopping = True
        self.put_back()
        while self._desk.busy:
            await self._desk.idle.wait(_LONGEST_NAP)

    # -- what is due ---------------------------------------------------------------------------

    async def _turn(self, tasks: TaskGroup) -> None:
        handed = bool(self._desk.fresh)
        try:
            nap = self._rest()
            if not nap and not await self._begin():
                nap = await self._until_due()
        except StoreError as error:
            log.warning("store_away", bridge=self._desk.lease.bridge, reason=str(error))
            self._desk.lookout.within(_STORE_AWAY)  # what was handed and is not written
            handed, nap = False, _STORE_AWAY
        self._launch(tasks)
        if handed:  # its request is on its way before the database is asked for more
            await anyio.sleep(_AHEAD)
        elif nap:
            await self._desk.work.wait(nap)
        else:
            await checkpoint()  # what was launched is on its way before more is asked for

    def _rest(self) -> float:
        """Return the seconds in which nothing is asked for: where tokens are short, they gather."""
        if self._desk.fresh or not self._short:
            return 0.0
        return max(self._asked_at + _SHORTEST_NAP - self._now(), 0.0)

    def _limit(self) -> int:
        """How many may be tried at once; none whose outcome could not be written down."""
        if self._stopping or self._unwritable or not self._desk.breaker.closed:
            return 0
        return 1 if self._desk.breaker.on_trial else self._desk.limit.now

    def _room(self) -> int:
        """How many more to prepare; none before it is worth a round to the database."""
        limit, trying = self._limit(), self._paces.under_way
        prepared = trying + len(self._ready)
        if len(self._desk.busy) - prepared >= max(limit, self._ports.rules.batch):
            return 0  # their outcomes first
        if not trying:  # the first ones start before more are prepared
            return limit - len(self._ready)
        room = 2 * limit - prepared
        return room if room > limit // 2 else 0

    def _room_for_new(self, exchange: str) -> int:
        """How many new keys are prepared beyond that: they wait for no round to the database."""
        limit = self._limit()
        room = 3 * limit - self._paces.under_way - len(self._ready)
        return max(room, 1 if limit and self._paces.is_idle(exchange) else 0)

    def _idle_turn(self) -> bool:
        """Tell whether to ask, with all places taken, for exchanges of which nothing is tried.

        Those that took the places may hang.
        """
        may = self._limit() > 0 and not self._desk.breaker.on_trial
        return may and self._now() >= self._asked_for_idle + _IDLE_TURN

    async def _begin(self) -> bool:
        """Make jobs of what is due, as far as there is room; tell whether there was any."""
        if self._room() <= 0 and not self._desk.fresh and not self._idle_turn():
            return False
        async with self._desk.lock:
            picked = await self._pick()
            prepared = await self._preparer.prepare(picked) if picked else []
            self._desk.busy.update(due.record.slot for due in picked)
        for each in prepared:
            if isinstance(each, Ended) or each.credentials is None:
                self._undated[each.record.slot] = _lane(each.before)
            if isinstance(each, Job):
                self._make_ready(each)
            else:
                self._ended.send_nowait(each)
        return bool(prepared)

    def _make_ready(self, job: Job) -> None:
        place = next(self._prepared)
        heappush(self._ready, (place + HEAD_START[job.before.urgency], place, job))
        self._paces.of(job.before.exchange).prepared += 1

    async def _pick(self) -> list[Due]:
        if fresh := await self._fresh():
            return fresh
        room, now = self._room(), self._now()
        if room <= 0:
            return await self._pick_idle(now) if self._idle_turn() else []
        records = await self._due(room, now)
        chosen = self._turns.choose(records, room, lambda e, u: self._paces.room(e, u, now))
        self._short = {_lane(record) for record in records} if len(chosen) < room else set()
        return [Due(record) for record in chosen]

    async def _due(self, room: int, now: float) -> list[Record]:
        """Ask for one more of each lane than there is room for: whatever is left waits.

        And for those that are being attempted and have no intent, so are due as before.
        """
        self._asked_at = now
        undated, rooms = Counter(self._undated.values()), self._paces.rooms(now)
        most = {lane: 1 + places + undated[lane] for lane, places in rooms.items()}
        full = sum(places == 0 for places in rooms.values())
        return await self._ask(room + len(self._undated) + full, most)

    async def _pick_idle(self, now: float) -> list[Due]:
        """Take one of each exchange of which nothing is tried."""
        self._asked_for_idle, paces = now, self._paces
        rooms = paces.rooms(now)
        most = {(e, u): min(room, int(paces.is_idle(e))) for (e, u), room in rooms.items()}
        records = await self._ask(_IDLE_AT_ONCE, most)
        chosen = self._turns.choose(
            records,
            _IDLE_AT_ONCE,
            lambda e, u: min(paces.room(e, u, now), 1) if paces.is_idle(e) else 0,
        )
        return [Due(record) for record in chosen]

    async def _ask(self, limit: int, most: Mapping[Lane, int]) -> list[Record]:
        bridge, self._asked_until = self._desk.lease.bridge, self._ports.clock.now()
        records = await self._ports.ledger.due(bridge, self._asked_until, limit, most)
        return [record for record in records if record.slot not in self._desk.busy]

    async def _fresh(self) -> list[Due]:
        """Return what was handed, as far as there is room still; write down the rest."""
        due, now = {each.record.slot: each for each in self._desk.take_fresh()}, self._now()
        chosen = self._turns.choose(
            [each.record for each in due.values()],
            len(due),
            lambda e, u: min(self._paces.room(e, u, now), self._room_for_new(e)),
        )
        taken = [due.pop(record.slot) for record in chosen]
        if due:
            await self._ports.ledger.plan(self._desk.lease, [each.record for each in due.values()])
        return taken

    async def _until_due(self) -> float:
        if self._room() <= 0:
            return _IDLE_TURN if self._limit() else _LONGEST_NAP
        at, now = self._ports.clock.now(), self._now()
        since = min(self._asked_until or at, at)  # what became due since it was asked for is next
        due = await self._ports.ledger.next_due(self._desk.lease.bridge, since)
        waits = [self._paces.of(exchange).wait(u, now) for exchange, u in self._short]
        if due is not None:
            waits.append((due - at).total_seconds())
        return min([_LONGEST_NAP, *(max(wait, _SHORTEST_NAP) for wait in waits)])

    def _now(self) -> float:
        return self._ports.clock.elapsed()

    # -- the call ------------------------------------------------------------------------------

    def _launch(self, tasks: TaskGroup) -> None:
        now = self._now()
        self._put_back_those(lambda job: self._must_wait(job, now))
        while job := self._next():
            self._paces.begin(job.before.exchange, job.before.urgency, now)
            tasks.start_soon(self._carry_out, job, tasks)

    def _must_wait(self, job: Job, now: float) -> bool:
        return self._limit() == 0 or self._paces.of(job.before.exchange).must_wait(now)

    def _next(self) -> Job | None:
        """Return the next to be tried, if any may be.

        An exchange of which nothing is under way need not wait for others that hang.
        """
        if not self._ready or self._limit() == 0:
            return None
        if self._paces.under_way < self._limit():
            return heappop(self._ready)[-1]
        most = self._limit() + self._limit() // 2  # one at most is one at most
        idle = self._paces.idle_but_prepared() if self._paces.under_way < most else ()
        if not idle:
            return None
        entry = min(entry for entry in self._ready if entry[-1].before.exchange in idle)
        self._ready.remove(entry)
        heapify(self._ready)
        return entry[-1]

    async def _carry_out(self, job: Job, tasks: TaskGroup) -> None:
        try:
            self._ended.send_nowait(await self._attempter.attempt(job))
        finally:
            self._paces.end(job.before.exchange)
        self._launch(tasks)
        self._desk.work.ring()

    def put_back(self) -> None:
        """What is prepared becomes again what it was."""
        self._put_back_those(lambda _: True)

    def _put_back_those(self, condition: Callable[[Job], bool]) -> None:
        kept = []
        for entry in self._ready:
            job = entry[-1]
            if condition(job):
                self._paces.of(job.before.exchange).prepared -= 1
                self._ended.send_nowait(Ended(job.before, job.before))
            else:
                kept.append(entry)
        if len(kept) < len(self._ready):
            heapify(kept)
            self._ready = kept

    # -- after the call ------------------------------------------------------------------------

    async def _write_outcomes(self) -> None:
        async for first in self._to_write:
            if self._paces.under_way:
                await anyio.sleep(_GATHER)
            waiting = self._to_write.statistics().current_buffer_used
            rest = min(waiting, self._ports.rules.batch - 1)
            await self._settle([first, *(self._to_write.receive_nowait() for _ in range(rest))])

    async def _settle(self, batch: list[Ended]) -> None:
        """Write the outcomes down, however long that takes; the lease's end ends it too."""
        written = False
        while not written:
            try:
                now = self._ports.clock.now()
                ended = [(redated(e.record, now), e.news) for e in batch]
                await self._ports.ledger.settle(self._desk.lease, ended)
                written = True
            except StoreError as error:
                log.warning("outcomes_wait", count=len(batch), reason=str(error))
                self._unwritable = True
                await anyio.sleep(_STORE_AWAY)
        self._unwritable = False
        await self._write_quiets()
        await self._hand_back(batch)

    async def _write_quiets(self) -> None:
        """Let the next holder know which exchanges asked to be left alone, if that can be."""
        now, elapsed = self._ports.clock.now(), self._now()
        quiets = self._paces.untold(elapsed)
        if not quiets:
            return
        until = {exchange: now + timedelta(seconds=wait) for exchange, wait in quiets.items()}
        try:
            await self._ports.ledger.hush(self._desk.lease, until, now)
        except StoreError as error:
            log.warning("quiets_wait", bridge=self._desk.lease.bridge, reason=str(error))
        else:
            for exchange, wait in quiets.items():
                self._paces.tell(exchange, elapsed + wait)

    async def _hand_back(self, batch: Iterable[Ended]) -> None:
        async for ended in in_turns(batch):
            self._undated.pop(ended.record.slot, None)
            self._desk.done_with(ended.record.slot, moved=ended.moved)
            self._tell_convergence(ended)
            _tell(ended)

    def _tell_convergence(self, ended: Ended) -> None:
        before, after = ended.before, ended.record
        if after.phase is Phase.LIVE and before.phase is not Phase.LIVE and before.first_unready_at:
            waited = self._ports.clock.now() - before.first_unready_at
            self._ports.meter.converged(before, max(waited.total_seconds(), 0.0))


def _tell(ended: Ended) -> None:
    attempt, after = ended.attempt, ended.record
    if attempt is None:
        return
    done = attempt.verdict == "done"
    tell = log.warning if not done else log.info if ended.news else log.debug
    tell(
        _EVENTS[attempt.action][0 if done else 1],
        attempt=attempt.id,
        slot=str(after.slot),
        key=str(after.key_id),
        verdict=attempt.verdict,
        phase=after.phase,
        reason=after.reason,
        message=attempt.message,
        failures=after.failures,
        due_at=after.due_at.isoformat() if after.due_at else None,
    )


def _lane(record: Record) -> Lane:
    return record.exchange, record.urgency
