"""Work: pick what is due, keep the bridge as busy as it may be, write the outcomes."""

from collections.abc import Collection, Iterable, Mapping
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf

import anyio
import structlog
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from reconciler.attempting import Attempter
from reconciler.desk import Desk, Due
from reconciler.jobs import Ended, Job, Preparer
from reconciler.model import Phase, Slot
from reconciler.pacing import Holdoffs
from reconciler.records import Action
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
_LONGEST_NAP = 60.0
"""Seconds after which due times are read again though nothing rang: a wall clock may jump."""


class Worker:
    """Attempts what is due for as long as the lease lasts.

    It prepares twice as many jobs as may be tried at once, so that the bridge never waits for the
    database; of the prepared ones the most urgent goes first.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._desk.room = self._room
        self._ports = desk.ports
        self._holdoffs = Holdoffs()
        self._preparer = Preparer(desk)
        self._attempter = Attempter(desk, self._holdoffs)
        self._ready: list[tuple[int, int, Job]] = []
        self._turns = count()
        self._trying = 0
        self._undated: set[Slot] = set()
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
        try:
            begun = await self._begin()
            nap = 0.0 if begun else await self._until_due()
        except StoreError as error:
            log.warning("store_away", bridge=self._desk.lease.bridge, reason=str(error))
            self._desk.lookout.within(_STORE_AWAY)  # what was handed and is not written
            nap = _STORE_AWAY
        self._launch(tasks)
        if nap:
            await self._desk.work.wait(nap)
        else:
            await checkpoint()  # what was launched is on its way before more is asked for

    def _limit(self) -> int:
        """How many may be tried at once; none whose outcome could not be written down."""
        if self._stopping or self._unwritable or not self._desk.breaker.closed:
            return 0
        return 1 if self._desk.breaker.on_trial else self._ports.rules.concurrency

    def _room(self) -> int:
        """How many more to prepare; none before it is worth a round to the database."""
        limit, prepared = self._limit(), self._trying + len(self._ready)
        if len(self._desk.busy) - prepared >= max(limit, self._ports.rules.batch):
            return 0  # their outcomes first
        if not self._trying:  # the first ones start before more are prepared
            return limit - len(self._ready)
        room = 2 * limit - prepared
        return room if room > limit // 2 else 0

    async def _begin(self) -> bool:
        """Make jobs of what is due, as far as there is room; tell whether there was any."""
        if self._room() <= 0 and not self._desk.fresh:
            return False
        async with self._desk.lock:
            picked = await self._pick(self._room())
            prepared = await self._preparer.prepare(picked) if picked else []
            self._desk.busy.update(due.record.slot for due in picked)
        for each in prepared:
            if isinstance(each, Ended) or each.credentials is None:
                self._undated.add(each.record.slot)
            if isinstance(each, Job):
                heappush(self._ready, (each.before.urgency, next(self._turns), each))
            else:
                self._ended.send_nowait(each)
        return bool(prepared)

    async def _pick(self, room: int) -> list[Due]:
        """Ask for those, too, that are being attempted and have no intent, so are due as before."""
        now, busy = self._ports.clock.now(), self._desk.busy
        spared = self._holdoffs.held(now)
        if fresh := await self._fresh(room, spared):
            return fresh
        if room <= 0:
            return []
        bridge, limit = self._desk.lease.bridge, room + len(self._undated)
        records = await self._ports.ledger.due(bridge, now, limit, spared)
        return [Due(record) for record in records if record.slot not in busy][:room]

    async def _fresh(self, room: int, spared: Collection[str]) -> list[Due]:
        """Return what was handed, as far as there is room still; write down the rest."""
        handed = self._desk.take_fresh()
        taken = [due for due in handed if due.record.exchange not in spared][: max(room, 0)]
        if rest := [due.record for due in handed if due not in taken]:
            await self._ports.ledger.plan(self._desk.lease, rest)
        return taken

    async def _until_due(self) -> float:
        if self._room() <= 0:
            return _LONGEST_NAP
        now = self._ports.clock.now()
        held = self._holdoffs.held(now)
        due = await self._ports.ledger.next_due(self._desk.lease.bridge, now, held)
        times = [*held.values(), *([due] if due else [])]
        return min(((time - now).total_seconds() for time in times), default=_LONGEST_NAP)

    # -- the call ------------------------------------------------------------------------------

    def _launch(self, tasks: TaskGroup) -> None:
        self.put_back(self._holdoffs.held(self._ports.clock.now()) if self._limit() else None)
        while self._ready and self._trying < self._limit():
            self._trying += 1
            tasks.start_soon(self._carry_out, heappop(self._ready)[-1], tasks)

    async def _carry_out(self, job: Job, tasks: TaskGroup) -> None:
        try:
            self._ended.send_nowait(await self._attempter.attempt(job))
        finally:
            self._trying -= 1
        self._launch(tasks)
        self._desk.work.ring()

    def put_back(self, exchanges: Collection[str] | None = None) -> None:
        """What is prepared for *exchanges*, None for any, becomes again what it was."""
        kept = []
        for entry in self._ready:
            job = entry[-1]
            if exchanges is None or job.record.exchange in exchanges:
                self._ended.send_nowait(Ended(job.before, job.before))
            else:
                kept.append(entry)
        heapify(kept)
        self._ready = kept

    # -- after the call ------------------------------------------------------------------------

    async def _write_outcomes(self) -> None:
        async for first in self._to_write:
            if self._trying:
                await anyio.sleep(_GATHER)
            waiting = self._to_write.statistics().current_buffer_used
            rest = min(waiting, self._ports.rules.batch - 1)
            await self._settle([first, *(self._to_write.receive_nowait() for _ in range(rest))])

    async def _settle(self, batch: list[Ended]) -> None:
        """Write the outcomes down, however long that takes; the lease's end ends it too."""
        written = False
        while not written:
            try:
                ended = [(e.record, e.attempt) for e in batch]
                await self._ports.ledger.settle(self._desk.lease, ended)
                written = True
            except StoreError as error:
                log.warning("outcomes_wait", count=len(batch), reason=str(error))
                self._unwritable = True
                await anyio.sleep(_STORE_AWAY)
        self._unwritable = False
        await self._hand_back(batch)

    async def _hand_back(self, batch: Iterable[Ended]) -> None:
        async for ended in in_turns(batch):
            self._undated.discard(ended.record.slot)
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
    tell = log.info if done else log.warning
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
