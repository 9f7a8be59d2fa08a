"""What the history tells of a record that is written down, and of which attempts. Pure.

An attempt under way is no place to stand: what it starts from is where the slot stood before it,
which is what was told last, and only what comes of it is told. So nobody who waits for an attempt
waits for its history. The store tells the same set-wise, in SQL; a test proves both equal.
"""

from dataclasses import dataclass

from reconciler.model import Attempt, Instant, KeyId, Phase, Reason, Record, Transition, Verified
from reconciler.records import Action


@dataclass(frozen=True, slots=True)
class _Standing:
    phase: Phase
    reason: Reason
    key_id: KeyId


def is_news(before: Record, after: Record, attempt: Attempt) -> bool:
    """Tell whether the history keeps *attempt*: a proof of what is live as before is no news.

    Of 100,000 keys those would be ten million rows a day.
    """
    routine = attempt.action == Action.VERIFY and before.phase is after.phase is Phase.LIVE
    return not routine or _proven(before) != _proven(after)


def _proven(record: Record) -> tuple[Reason, str, Verified]:
    return record.reason, record.message, record.verified


def transition(
    before: Record | None, last: Transition | None, after: Record, at: Instant
) -> Transition | None:
    """Return what is told once *after* is written over *before*; *last* was told of its slot."""
    stood = _stood(before, last)
    forgotten = before is None and after.phase is Phase.REMOVED
    if after.phase is Phase.INITIALIZING or forgotten or not _moved(before, stood, after):
        return None
    return Transition(
        slot=after.slot,
        key_id=after.key_id,
        client_id=after.client_id,
        was=(stood.phase, stood.reason) if stood else None,
        phase=after.phase,
        reason=after.reason,
        cause=after.cause,
        message=after.message,
        at=at,
    )


def _stood(before: Record | None, last: Transition | None) -> _Standing | None:
    if before is None:
        return None
    if before.phase is Phase.INITIALIZING:
        if last is not None and last.phase is not Phase.REMOVED:
            return _Standing(last.phase, last.reason, last.key_id)
        if before.last_attempt_at is None:
            return None  # a new key was handed over, and its plan never written
    return _Standing(before.phase, before.reason, before.key_id)


def _moved(before: Record | None, stood: _Standing | None, after: Record) -> bool:
    if before is None or stood is None:
        return True
    if stood.phase is Phase.INITIALIZING:  # how it stood before is no longer known
        return stood.reason is not after.reason
    left = before.phase is Phase.INITIALIZING and before.reason is not stood.reason
    return left or stood != _Standing(after.phase, after.reason, after.key_id)
