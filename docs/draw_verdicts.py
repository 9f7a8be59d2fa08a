"""Draws verdicts.md by asking the code: `python -m docs.draw_verdicts > docs/verdicts.md`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from daemon.words import span
from reconciler.model import (
    BridgeName,
    ClientId,
    KeyId,
    Phase,
    Reason,
    Record,
    Slot,
    Urgency,
    Verified,
)
from reconciler.records import REASONS, Action, Outcome, Scribe
from reconciler.rules import Rules
from reconciler.verdicts import Verdict

NOW = datetime(2030, 1, 1, tzinfo=UTC)
PLAIN = Record(
    slot=Slot(BridgeName("main"), "client_acme", "binance"),
    key_id=KeyId(UUID(int=1)),
    client_id=ClientId(UUID(int=2)),
    exchange="binance",
    digest="digest",
    phase=Phase.INITIALIZING,
    reason=Reason.NEW,
    first_unready_at=NOW,
    sent="sent",
)
LIVE = replace(
    PLAIN,
    phase=Phase.LIVE,
    reason=Reason.APPLIED,
    urgency=Urgency.PROOF,
    fingerprint="sent",
    first_unready_at=None,
    live_since=NOW - timedelta(days=1),
    verified=Verified.OK,
)
PARKED = replace(
    LIVE, phase=Phase.PARKED, reason=Reason.REFUSED, verified=Verified.FAILED, live_since=None
)
REMOVING = replace(LIVE, phase=Phase.REMOVING, reason=Reason.ORPHAN, live_since=None)
Outcomes = Callable[[Verdict], Outcome]
SITUATIONS: dict[str, tuple[Record, Outcomes]] = {
    "adding a new key": (PLAIN, lambda v: Outcome(Action.INITIALIZE, v)),
    "proving what was live": (LIVE, lambda v: Outcome(Action.VERIFY, v)),
    "proving it again": (
        replace(LIVE, verified=Verified.FAILED),
        lambda v: Outcome(Action.VERIFY, v),
    ),
    "rechecking what is parked": (PARKED, lambda v: Outcome(Action.VERIFY, v)),
    "removing": (REMOVING, lambda v: Outcome(Action.REMOVE, v)),
}
HEAD = """# Verdicts

What an outcome tells us to do: phase and reason afterwards, how many failures are counted, and when
it is tried again, without chance. Drawn from the code by `python -m docs.draw_verdicts`; numbers
are the defaults. Which answer of a bridge is which verdict: `daemon/bridges/translate.py`.

"""


def page() -> str:
    """Return the table of every verdict in every situation."""
    lines = [f"| verdict | {' | '.join(SITUATIONS)} |", f"|---|{'---|' * len(SITUATIONS)}"]
    for kind in REASONS:
        cells = [_cell(kind("said so"), *situation) for situation in SITUATIONS.values()]
        lines.append(f"| `{kind.name}`: {_summary(kind)} | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"


def _cell(verdict: Verdict, record: Record, outcome: Outcomes) -> str:
    scribe = Scribe(NOW, lambda: 0.5, Rules())
    try:
        after = scribe.attempted(record, outcome(verdict))
    except ValueError:
        return "does not happen"
    if after.phase is Phase.REMOVED:
        return "removed"
    wait = "at once" if after.due_at == NOW else f"in {span((after.due_at or NOW) - NOW)}"
    counted = f", failures {after.failures}" if after.failures else ""
    return f"{after.phase}/{after.reason}{counted}, {wait}"


def _summary(kind: type[Verdict]) -> str:
    return (kind.__doc__ or "").strip().splitlines()[0]


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201
