"""One slot: desired, recorded, observed -> a step or nothing. Pure; nowhere else says so."""

from reconciler.model import (
    Absence,
    Connector,
    Instant,
    Phase,
    Reason,
    Record,
    Sight,
    StoredKey,
    Urgency,
)
from reconciler.rules import LONGEST_REQUEST
from reconciler.steps import Adopt, Confirm, Forget, Initialize, Park, Remove, Step

_UNDER_WAY = (Phase.PENDING, Phase.RETRYING, Phase.INITIALIZING)
_REMOVAL = (Phase.REMOVING, Phase.UNREMOVABLE)


def decide(
    want: StoredKey | None,
    record: Record | None,
    seen: Sight,
    now: Instant,
    *,
    held: bool = False,
) -> Step | None:
    """Return what this slot needs, or None.

    *seen* is the listed connector, or why none is known. *held*: a pause reaches the record, so
    what its key left behind stays. A slot that another holder may still be working on is left to
    its due time, unless the listing already shows the outcome.
    """
    if want is None:
        return None if record is None or held else _unwanted(record, seen, now)
    if record is None:
        return _unrecorded(want, seen)
    if _landed(want, record, seen):
        return Confirm(want)
    if _open(record, now):
        return None
    return _changed(want, record) or _unchanged(want, record, seen)


def owns(record: Record, seen: Connector) -> bool:
    """Tell whether the connector in the slot is one that we created.

    A bridge with labels is asked; for one without them our own record has to do.
    """
    if seen.fingerprint is not None:
        return bool(seen.fingerprint) and seen.fingerprint in (record.fingerprint, record.sent)
    return record.sent is not None and not record.adopted


def _unwanted(record: Record, seen: Sight, now: Instant) -> Step | None:
    if _open(record, now):
        return None
    if isinstance(seen, Connector):
        if not owns(record, seen):
            return None if _may_land(record, now) else Forget()
        return None if _being_removed(record, seen) else Remove(seen.fingerprint)
    gone = seen is Absence.BELIEVED
    if record.sent is None or (gone and record.phase is Phase.UNREMOVABLE):
        return Forget()
    if not gone or record.phase is Phase.REMOVING or _may_land(record, now):
        return None
    return Remove()  # listings may lie: that it is not there is for the bridge to say


def lands_before(record: Record) -> Instant | None:
    """Return until when a request that was given up may still be carried out; None if none may.

    Forgotten, what it brings would be nobody's.
    """
    unclear = record.phase is Phase.RETRYING and record.reason is Reason.UNCLEAR
    tried = record.last_attempt_at
    return tried + LONGEST_REQUEST if unclear and tried else None


def _may_land(record: Record, now: Instant) -> bool:
    until = lands_before(record)
    return until is not None and now < until


def _being_removed(record: Record, seen: Connector) -> bool:
    return record.phase in _REMOVAL and seen.fingerprint in (None, record.fingerprint)


def _unrecorded(want: StoredKey, seen: Sight) -> Step:
    if want.held:
        return Park(want, Reason.PAUSED)
    if _adoptable(seen):
        return Adopt(want)
    return Initialize(want, Reason.NEW)


def _adoptable(seen: Sight) -> bool:
    """A label means that a Bridgetender applied it: applying again is free where it is the same."""
    return isinstance(seen, Connector) and not seen.fingerprint


def _landed(want: StoredKey, record: Record, seen: Sight) -> bool:
    """Tell whether what was sent last is what this key has, and what is listed.

    Before it is tried, only a lost one can turn up by itself; what a person asked to have done
    again is not done because it was there before.
    """
    tried = record.phase is not Phase.PENDING or record.reason is Reason.LOST
    asked = want.wished or record.cause is Reason.REINITIALIZE
    return (
        record.phase in _UNDER_WAY
        and tried
        and not asked
        and record.sent is not None
        and (record.key_id, record.digest) == (want.id, want.digest)
        and isinstance(seen, Connector)
        and seen.fingerprint == record.sent
    )


def _open(record: Record, now: Instant) -> bool:
    waiting = record.due_at is not None and record.due_at > now
    return record.phase is Phase.INITIALIZING and waiting


def _changed(want: StoredKey, record: Record) -> Step | None:
    if want.held:
        return None
    if want.wished:
        return Initialize(want, Reason.REINITIALIZE)
    if (record.key_id, record.digest) != (want.id, want.digest):
        return Initialize(want, Reason.CHANGED)
    return None


def _unchanged(want: StoredKey, record: Record, seen: Sight) -> Step | None:
    match record.phase:
        case Phase.LIVE:
            return _live(want, record, seen)
        case Phase.PENDING | Phase.RETRYING | Phase.INITIALIZING:
            return _under_way(want, record, seen)
        case Phase.PARKED if record.reason is Reason.PAUSED and not want.held:
            return Initialize(want, Reason.RESUMED)
        case Phase.PARKED | Phase.CONFLICT:
            return None
        case Phase.REMOVING | Phase.UNREMOVABLE | Phase.REMOVED:
            return Park(want, Reason.PAUSED) if want.held else Initialize(want, Reason.NEW)


def _live(want: StoredKey, record: Record, seen: Sight) -> Step | None:
    if seen is Absence.BELIEVED:
        if want.held:
            return Park(want, Reason.PAUSED)
        return Initialize(want, Reason.LOST, Urgency.BULK)
    if isinstance(seen, Connector) and not want.held and _replaced(record, seen):
        return Initialize(want, Reason.REPLACED, Urgency.SOON)
    return None


def _replaced(record: Record, seen: Connector) -> bool:
    labelled = seen.fingerprint is not None
    return labelled and not record.adopted and seen.fingerprint != record.fingerprint


def _under_way(want: StoredKey, record: Record, seen: Sight) -> Step | None:
    if want.held:
        return Park(want, Reason.PAUSED)
    never_tried = record.sent is None and record.phase is Phase.PENDING
    if never_tried and record.reason is Reason.NEW and _adoptable(seen):
        return Adopt(want)
    return None
