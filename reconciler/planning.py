"""One pass: ask the bridge, compare, decide, write down what is to be done."""

from collections import Counter
from collections.abc import Mapping, Sequence

import anyio
import structlog
from anyio.lowlevel import checkpoint

from reconciler.backoff import spread
from reconciler.decide import decide
from reconciler.desk import Desk, Pass
from reconciler.flapping import Flapping
from reconciler.judging import Judge
from reconciler.model import (
    Absence,
    Case,
    Instant,
    Observation,
    Phase,
    Record,
    SealedKey,
    Sight,
    Slot,
)
from reconciler.ports import Clients
from reconciler.turns import in_turns
from reconciler.verdicts import StoreError, Verdict

log = structlog.get_logger()


class Planner:
    """Makes passes for as long as the lease lasts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ports = desk.ports
        self._bridge = desk.lease.bridge
        self._doubted: frozenset[Slot] = frozenset()
        """Of what the last listing lacked, that which was there until then."""
        self._flapping = Flapping()
        self._judge = Judge(desk)
        self._reported: tuple[bool, str] | None = None

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            await self._look_at_everything()
            tasks.start_soon(self._look_at_hinted)
            while True:
                await self._look_at_everything()

    async def _look_at_everything(self) -> None:
        await self._desk.lookout.everything()
        await self._timed_pass(None)

    async def _look_at_hinted(self) -> None:
        """A look at everything takes a second at 100,000 keys, and nobody has to wait for it."""
        while True:
            await self._timed_pass(await self._desk.lookout.hinted())

    async def _timed_pass(self, clients: Clients) -> None:
        started = anyio.current_time()
        result = await self._pass(clients)
        seconds = anyio.current_time() - started
        self._ports.meter.passed(self._bridge, result, seconds, everything=clients is None)

    async def _pass(self, clients: Clients) -> str:
        try:
            with self._desk.passing() as one:
                await self.look(clients, one)
        except StoreError as error:
            log.warning("pass_failed", bridge=self._bridge, reason=str(error))
            self._desk.lookout.within(self._ports.rules.second_look.total_seconds())
            return "store_error"
        return "ok" if self._desk.breaker.closed else "bridge_down"

    async def look(self, clients: Clients, one: Pass) -> None:
        """Make one pass over *clients*' slots; only one over everybody's asks the bridge."""
        seen = await self._observe() if clients is None else None
        self._desk.tell_pace()
        survey = await self._ports.ledger.survey(self._bridge, seen, clients)
        await self._plan(survey.cases, seen, one)
        self._desk.work.ring()  # with the bridge back, what is due by itself is begun too
        if survey.unmanaged is not None:
            self._ports.meter.unmanaged(self._bridge, survey.unmanaged)
        if clients is None:
            await self._judge.end_what_is_silent(asked=seen is not None)
            self._set_next(survey.cases, seen, one)
        elif any(_to_go(case) for case in survey.cases):
            self._desk.lookout.within(self._ports.rules.second_look.total_seconds())

    async def _plan(self, cases: Sequence[Case], seen: Observation | None, one: Pass) -> None:
        """Write down what is to be done, in batches, so that work begins with the first of them."""
        steps, size = Counter[str](), self._ports.rules.batch
        for start in range(0, len(cases), size):
            batch = cases[start : start + size]
            planned = await self._planned(batch, seen, steps, one)
            sealed = {case.slot: case.sealed for case in batch if case.sealed}
            await self._write(planned, sealed, one)
            self._desk.work.ring()
            await checkpoint()  # the worker hears of it before the log does
        if steps:
            log.info("planned", bridge=self._bridge, **steps)

    async def _observe(self) -> Observation | None:
        breaker = self._desk.breaker
        try:
            seen = await self._ports.bridge.observe()
        except Verdict as verdict:
            breaker.probed(well=False)
            await self._report(up=False, reason=str(verdict))
            return None
        await self._report(up=True, reason=self._flapping_in_words(seen))
        if not breaker.closed and not breaker.on_trial:
            await self._ports.ledger.waive(self._desk.lease, self._ports.clock.now())
        breaker.probed(well=True)
        return seen

    def _flapping_in_words(self, seen: Observation) -> str:
        """Return what makes this bridge forget again and again; it is made good all the same."""
        doubted = self._doubted
        returned = sum(each.slot in doubted for each in seen.connectors) if doubted else 0
        return self._flapping.listed(seen.boot_id, returned, self._ports.clock.elapsed())

    async def _report(self, *, up: bool, reason: str) -> None:
        self._ports.meter.bridge_up(self._bridge, up=up, reason=reason)
        if (up, reason) == self._reported:
            return
        if up and reason:
            log.warning("bridge_flaps", bridge=self._bridge, reason=reason)
        elif up:
            log.info("bridge_up", bridge=self._bridge)
        else:
            log.warning("bridge_down", bridge=self._bridge, reason=reason)
        now = self._ports.clock.now()
        await self._ports.ledger.report(self._desk.lease, up=up, reason=reason, now=now)
        self._reported = (up, reason)

    async def _planned(
        self, cases: Sequence[Case], seen: Observation | None, steps: Counter[str], one: Pass
    ) -> list[Record]:
        """Return what to write down; count the *steps*."""
        scribe, records = self._desk.scribe(), []
        async for case in in_turns(cases):
            sight = self._sight(case, seen)
            step = decide(case.want, case.record, sight, scribe.now, held=case.held)
            if step is not None:
                steps[type(step).__name__.lower()] += 1
                records.append(scribe.planned(case.slot, case.record, step))
            elif case.want is None:  # its key goes while it is attempted: then it is to go too
                self._desk.defers(case.slot, None, one)
        return records

    def _sight(self, case: Case, seen: Observation | None) -> Sight:
        if case.seen is not None:
            return case.seen
        if seen is None:
            return Absence.UNKNOWN
        rebooted = self._desk.boot_id is not None and seen.boot_id not in (None, self._desk.boot_id)
        believed = rebooted or case.slot in self._desk.missed
        return Absence.BELIEVED if believed else Absence.DOUBTED

    async def _write(
        self, records: list[Record], sealed: Mapping[Slot, SealedKey], one: Pass
    ) -> None:
        if records:
            async with self._desk.lock:
                rest = self._desk.hand(self._desk.free(records, one), sealed, one)
                if rest:
                    await self._ports.ledger.plan(self._desk.lease, rest)

    def _set_next(self, cases: Sequence[Case], seen: Observation | None, one: Pass) -> None:
        """Keep what the next listing is held against, and say when to ask for it.

        Of what was attempted since it was asked for, this listing says nothing.
        """
        rules, lookout = self._ports.rules, self._desk.lookout
        if seen is None:
            wait = self._desk.breaker.next_probe(self._ports.draw)
        else:
            now = self._ports.clock.now()
            still = [c for c in cases if c.seen is None and not self._desk.moving(c.slot, one)]
            missed = [c for c in still if _belief_matters(c, now)]
            doubted = (c.slot for c in missed if self._sight(c, seen) is Absence.DOUBTED)
            self._doubted = frozenset(doubted)
            self._desk.missed = {c.slot for c in missed}
            self._desk.boot_id = seen.boot_id
            wait = rules.second_look if self._doubted else rules.resync
        lookout.within(spread(wait, rules.jitter, self._ports.draw).total_seconds())


def _to_go(case: Case) -> bool:
    """Nothing is removed without a listing, which a pass over a few clients has not asked for."""
    settled = case.record is None or case.record.phase in (Phase.REMOVING, Phase.UNREMOVABLE)
    return case.want is None and not settled and not case.held


def _belief_matters(case: Case, now: Instant) -> bool:
    """A second listing is worth asking for only where it would change what is done."""
    want, record, held = case.want, case.record, case.held
    believed = decide(want, record, Absence.BELIEVED, now, held=held)
    return believed != decide(want, record, Absence.DOUBTED, now, held=held)
