from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.decide import decide
from reconciler.jobs import action_of, same_credentials
from reconciler.model import (
    SETTLED,
    Absence,
    Connector,
    Instant,
    Phase,
    Reason,
    Record,
    Sight,
    StoredKey,
    Verified,
)
from reconciler.phases import TRANSITIONS, Event, follow
from reconciler.records import Action, Outcome, Scribe
from reconciler.verdicts import (
    CredentialsTaken,
    ExchangeAway,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Undecryptable,
    Unsupported,
    Verdict,
)
from tests.reconciler.examples import FOREIGN, KEY, LEASE, NOW, OLD, OURS, RULES, SLOT, sealed

VERDICTS: dict[str, Callable[[], Verdict]] = {
    "unavailable": lambda: Unavailable("x"),
    "away": lambda: ExchangeAway("x"),
    "throttled": lambda: Throttled("x", retry_after=timedelta(minutes=20)),
    "refused": lambda: Refused("x"),
    "unsupported": lambda: Unsupported("x"),
    "unclear": lambda: Unclear("x"),
    "not there": lambda: NotThere("x"),
}
UNTRIED: dict[str, Callable[[], Verdict]] = {
    "undecryptable": lambda: Undecryptable("x"),
    "taken": lambda: CredentialsTaken("x"),
}


def test_every_phase_has_a_row_and_only_removed_is_an_end() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert [phase for phase, row in TRANSITIONS.items() if not row] == [Phase.REMOVED]


def test_every_phase_and_event_is_used() -> None:
    rows = TRANSITIONS.values()

    assert {phase for row in rows for phase in row.values()} == set(Phase)
    assert {event for row in rows for event in row} == set(Event)


@pytest.mark.parametrize("phase", Phase)
def test_what_must_never_happen_is_an_error(phase: Phase) -> None:
    for event in set(Event) - set(TRANSITIONS[phase]):
        with pytest.raises(ValueError, match=phase):
            follow(phase, event)


@dataclass(frozen=True)
class Pass:
    want: StoredKey | None
    seen: Sight

    def take(self, scribe: Scribe, record: Record | None) -> Record | None:
        step = decide(self.want, record, self.seen, scribe.now)
        return scribe.planned(SLOT, record, step) if step else record


@dataclass(frozen=True)
class Try:
    """An attempt the way `Worker` makes it; *gone* is a key that is no longer as it was planned."""

    verdict: str | None
    verified: Verified
    applied: bool
    unproven: str | None
    fingerprint: str
    gone: bool

    def take(self, scribe: Scribe, record: Record | None) -> Record | None:
        if record is None or record.due_at is None or record.due_at > scribe.now:
            return record
        action = action_of(record)
        if self.gone and action is not Action.VERIFY:
            return scribe.postponed(record)
        if action is not Action.INITIALIZE:
            return scribe.attempted(record, self._outcome(action))
        if self.verdict in UNTRIED:
            return scribe.attempted(record, Outcome(action, UNTRIED[self.verdict]()))
        if same_credentials(record, self.fingerprint):
            return scribe.acknowledged(record, sealed())
        started = scribe.started(record, sealed(), self.fingerprint, LEASE)
        return scribe.attempted(started, self._outcome(action))

    def _outcome(self, action: Action) -> Outcome:
        failure = VERDICTS[self.verdict]() if self.verdict in VERDICTS else None
        sent = action is Action.INITIALIZE and (failure is None or self.applied)
        unclear = VERDICTS[self.unproven]() if self.unproven and sent and not failure else None
        return Outcome(action, failure, applied=sent, verified=self.verified, unproven=unclear)


keys = st.builds(
    lambda digest, held, wished: replace(KEY, digest=digest, held=held, wished=wished),
    st.sampled_from(["digest", "another"]),
    st.sampled_from([False, False, True]),
    st.sampled_from([False, False, True]),
)
labels = st.sampled_from([OURS, OLD, FOREIGN, "", None])
sights = st.sampled_from(list(Absence)) | labels.map(lambda label: Connector(SLOT, label))
passes = st.builds(Pass, st.none() | keys, sights)
tries = st.builds(
    Try,
    verdict=st.sampled_from([None, None, *VERDICTS, *UNTRIED]),
    verified=st.sampled_from([Verified.UNKNOWN, Verified.OK]),
    applied=st.booleans(),
    unproven=st.sampled_from([None, *VERDICTS]),
    fingerprint=st.sampled_from([OURS, OLD]),
    gone=st.sampled_from([False, False, False, True]),
)
pauses = st.sampled_from([0, 0.5, 2, 70, 400, 30_000, 100_000])


@given(
    st.lists(st.tuples(pauses, passes | tries), min_size=1, max_size=25),
    st.floats(0, 1, exclude_max=True),
)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_whatever_happens_in_whatever_order_is_a_transition_and_leaves_a_due_time(
    moves: list[tuple[float, Pass | Try]], draw: float
) -> None:
    record: Record | None = None
    now = NOW
    for seconds, move in moves:
        now += timedelta(seconds=seconds)
        record = move.take(Scribe(now, lambda: draw, RULES), record)
        if record is None:
            continue
        check(record, now)
        if record.phase is Phase.REMOVED:
            record = None


def check(record: Record, now: Instant) -> None:
    if record.phase not in SETTLED:
        assert record.due_at is not None
    if record.due_at is None:
        assert record.phase is Phase.REMOVED or record.reason is Reason.PAUSED
    if record.phase is Phase.LIVE:
        assert record.live_since is not None
        assert record.first_unready_at is None
        assert record.adopted or record.fingerprint == record.sent
    if record.phase is Phase.PENDING:
        assert record.first_unready_at is not None
    if record.phase is not Phase.INITIALIZING:
        assert record.intent_epoch is None
    assert record.due_set_at is None or record.due_set_at <= now
