"""One simulation: a storm, the calm after it, a quiet while, and what must have held."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from random import Random

import anyio
import structlog
from structlog.typing import EventDict

from reconciler.model import Phase, Record, Slot
from tests.simulation.bounds import (
    longest_to_settle,
    looks_again_after,
    rounds_within,
    tries_within,
)
from tests.simulation.chance import run_seeded
from tests.simulation.events import happen
from tests.simulation.freezing import watch_for_frozen
from tests.simulation.network import LATEST, Wires
from tests.simulation.profiles import Profile, pick
from tests.simulation.properties import Property, Watch
from tests.simulation.stage import SICK, Stage, new_watch, set_up
from tests.simulation.tracing import Trace
from tests.simulation.truth import Truth

_LOOK = 20.0
"""Seconds between two looks at whether all is well."""
_STEADY = 3
"""Listings over which it must have been well to count as settled."""
_ADDED_AGAIN = 4
"""Calls more, once, where a recheck finds that what was refused is not there, or another is.

Then it is added and proven, and once more if the one that was there worked.
"""


@dataclass(frozen=True, slots=True)
class Result:
    """How one seed ended. *seconds* are virtual."""

    seed: int
    profile: str
    seconds: float
    violations: list[str]
    trace: list[str]
    digest: str

    def without_trace(self) -> "Result":
        return replace(self, trace=[])


def simulate(seed: int) -> Result:
    """Run one seed to its end, or to the first property that does not hold."""
    trace = Trace()
    watch = new_watch(trace)
    names: list[str] = []
    seconds: list[float] = []

    async def play(chance: Random) -> None:
        profile = pick(chance)
        names.append(profile.name)
        await _play(chance, profile, watch)
        seconds.append(anyio.current_time())

    with _logged(watch):
        run_seeded(seed, play)
    violations = [str(each) for each in watch.violations]
    return Result(seed, names[0], seconds[0], violations, trace.lines, trace.digest())


async def _play(chance: Random, profile: Profile, watch: Watch) -> None:
    watch_for_frozen()
    async with anyio.create_task_group() as around:
        stage = set_up(profile, Wires(chance, around, watch))
        async with anyio.create_task_group() as acts:
            acts.start_soon(_until_failed, watch, acts)
            await Acts(stage).run()
            acts.cancel_scope.cancel()
        for life in stage.lives:
            life.thaw()
        around.cancel_scope.cancel()


async def _until_failed(watch: Watch, acts: anyio.abc.TaskGroup) -> None:
    await watch.failed.wait()
    acts.cancel_scope.cancel()


class Acts:
    """The acts of one simulation, in their order."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._profile = stage.profile
        self._watch = stage.wires.watch
        self._truth = Truth(stage)

    async def run(self) -> None:
        stage = self._stage
        stage.trace.tell("EVENT", f"a seed of the kind {self._profile.name!r}")
        stage.firm.tables.on_free = stage.free
        await stage.furnish()
        for host in stage.hosts:
            stage.start(host)
        await self._storm()
        self._check_calls()
        stage.end_of_faults()
        await self._settle()
        await self._quiet()

    # -- acts

    async def _storm(self) -> None:
        stage, profile = self._stage, self._profile
        stage.wires.to_bridges, stage.wires.to_store = profile.to_bridges, profile.to_store
        names, weights = list(profile.events), list(profile.events.values())
        while (left := profile.storm - anyio.current_time()) > 0:
            await anyio.sleep(min(left, stage.chance.expovariate(1 / profile.gap)))
            if names:
                await happen(stage, stage.chance.choices(names, weights)[0])

    async def _settle(self) -> None:
        """Wait until nothing is amiss, and has not been for some listings."""
        rules = self._profile.rules
        ends = anyio.current_time() + longest_to_settle(rules)
        steady = max(_STEADY * rules.resync.total_seconds(), 2 * LATEST)
        well_since = anyio.current_time()
        while anyio.current_time() - well_since < steady:
            await anyio.sleep(_LOOK)
            if amiss := self._truth.amiss():
                well_since = anyio.current_time()
                if well_since > ends:
                    self._watch.violated(Property.SETTLES, "; ".join(amiss))
                    return
        self._stage.trace.tell("EVENT", "it has settled")
        for stranger in self._truth.strangers():
            self._watch.violated(Property.OWN, stranger)

    async def _quiet(self) -> None:
        """Nothing is to be done but to look, and to verify what is due for it."""
        firm, sent = self._stage.firm, len(self._watch.sent)
        records = dict(firm.tables.records)
        firm.tables.writes.clear()
        for bridge in firm.bridges.values():
            bridge.calls.clear()
        await anyio.sleep(self._profile.quiet)
        if amiss := self._truth.amiss():
            self._watch.violated(Property.STAYS, "; ".join(amiss))
        self._check_quiet_calls(sent, records)
        self._check_quiet_writes(records)

    # -- what must have held

    def _check_quiet_calls(self, before: int, records: dict[Slot, Record]) -> None:
        sent = self._watch.sent[before:]
        for request in sent:
            if request.action != "verify" and not self._truth.hopeless(request.slot):
                self._watch.violated(Property.STAYS, f"{request.action} for {request.slot}")
        for slot, calls in Counter(r.slot for r in sent).items():
            most = self._looks(records[slot]) + self._added_again(slot)
            self._require_at_most(most, calls, f"calls for {slot}")
        self._check_listings(records)

    def _check_listings(self, records: dict[Slot, Record]) -> None:
        """A recheck of what turns out to be held is a reason to look around, too."""
        rules = self._profile.rules
        most = 1 + rounds_within(rules.resync, rules.jitter, self._profile.quiet)
        for bridge in self._stage.firm.bridges.values():
            parked = (r for s, r in records.items() if s.bridge == bridge.name)
            held = sum(self._looks(r) for r in parked if r.phase is not Phase.LIVE)
            self._require_at_most(
                most + held, bridge.count("observe"), f"listings of {bridge.name}"
            )

    def _check_quiet_writes(self, records: dict[Slot, Record]) -> None:
        """Outcomes of what was due explain every write; only an add has an intent.

        What turns out at its time to be held is planned anew, once. That a bridge flaps is no
        longer said a while after it did.
        """
        written = Counter(self._stage.firm.tables.writes)
        due = sum(self._looks(r) + self._added_again(s) for s, r in records.items())
        adds = sum(self._looks(record) for record in records.values() if self._is_added(record))
        reports = self._stage.firm.tables.reports
        flapped = sum(reason.startswith("flapping") for _, reason in reports)
        parked = self._parked_later(records)
        explained = {"settle": due, "intend": adds, "plan": parked, "report": flapped}
        for what, count in written.items():
            if count > explained.get(what, 0):
                detail = f"{count} of {what!r}; what was due explains {explained.get(what, 0)}"
                self._watch.violated(Property.QUIET, detail)

    def _parked_later(self, records: dict[Slot, Record]) -> int:
        """Return how many may be found to be held, or to hold another's connector, once due."""
        held = self._truth.held()
        return sum(r.phase is Phase.PARKED or s in held for s, r in records.items())

    def _added_again(self, slot: Slot) -> int:
        return _ADDED_AGAIN if self._truth.hopeless(slot) else 0

    def _is_added(self, record: Record) -> bool:
        """Tell whether it is added, or would be but for another's credentials, at each recheck."""
        return self._truth.hopeless(record.slot) or record.phase is Phase.CONFLICT

    def _looks(self, record: Record) -> int:
        """Return how often a settled record may come due in the quiet while.

        The first time may make it live, with verifications from then on.
        """
        rules = self._profile.rules
        every = min(looks_again_after(record, rules), rules.verify_every)
        return 1 + rounds_within(every, rules.jitter, self._profile.quiet)

    def _check_calls(self) -> None:
        """Hold what was sent about each slot against the schedule.

        Each event and mishap may be a reason to begin a slot's schedule anew.
        """
        rules, seconds = self._profile.rules, anyio.current_time()
        reasons = self._reasons()
        tries = tries_within(rules.backoff, seconds)
        climb = tries_within(rules.backoff, rules.backoff.cap.total_seconds())
        most = tries + reasons * climb
        proofs = most + reasons + rounds_within(rules.verify_again, 0.0, seconds)
        for (slot, action), calls in self._sent().items():
            allowed = proofs if action == "verify" else most
            self._require_at_most(allowed, calls, f"times {action} for {slot}")
        if not reasons:
            self._check_rechecks(seconds)

    def _check_rechecks(self, seconds: float) -> None:
        """What nothing but time can change is asked about as the rules say, and no more."""
        rules, firm = self._profile.rules, self._stage.firm
        rechecks = rounds_within(rules.recheck_refused, rules.jitter, seconds)
        proofs = rounds_within(rules.verify_every, rules.jitter, seconds)
        for (slot, action), calls in self._sent().items():
            labelled = firm.bridges[slot.bridge].labels
            wrong, sick = self._truth.hopeless(slot), slot.connector in SICK
            again = rechecks if wrong and (action == "verify" or not labelled) else 0
            if action == "verify" and not wrong:
                again = proofs
            if not sick:
                self._require_at_most(1 + again, calls, f"times {action} for {slot}")

    def _reasons(self) -> int:
        """Return how many reasons there were to try something sooner than its schedule says."""
        stage = self._stage
        takeovers = sum(row.epoch for row in stage.firm.tables.leases.values())
        return stage.happened + stage.wires.mishaps + takeovers - len(stage.firm.bridges)

    def _sent(self) -> Counter[tuple[Slot, str]]:
        return Counter((r.slot, r.action) for r in self._watch.sent)

    def _require_at_most(self, most: int, calls: int, of: str) -> None:
        if calls > most:
            self._watch.violated(Property.CALLS, f"{calls} {of}; the schedule allows {most}")


# -- what is logged ----------------------------------------------------------------------------

_MISTAKES = ("term_crashed", "attempt_crashed")


@contextmanager
def _logged(watch: Watch) -> Iterator[None]:
    """Let log lines be part of the trace, and the engine's own mistakes be violations."""

    def note(_: object, level: str, event: EventDict) -> EventDict:
        name = str(event.pop("event"))
        if name in _MISTAKES:
            error = structlog.processors.format_exc_info(_, level, event).get("exception", "")
            watch.violated(Property.SOUND, f"{name}: {error}")
        watch.trace.tell("log", f"{name} {' '.join(f'{k}={v}' for k, v in event.items())}")
        raise structlog.DropEvent

    before = structlog.get_config()
    structlog.configure(processors=[note])
    try:
        yield
    finally:
        structlog.configure(**before)
