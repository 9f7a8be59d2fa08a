"""One slot, its key and a record of it, to be varied."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from reconciler.model import (
    ClientId,
    KeyId,
    Lease,
    Phase,
    Reason,
    Record,
    SealedKey,
    Slot,
    StoredKey,
)
from reconciler.records import Scribe
from reconciler.rules import Rules
from tests.fakes import BRIDGE, START

NOW = START + timedelta(days=1)
LATER = NOW + timedelta(seconds=1)
SLOT = Slot(BRIDGE, "client_acme", "binance")
KEY = StoredKey(KeyId(UUID(int=1)), ClientId(UUID(int=2)), SLOT, "binance", "digest")
LEASE = Lease(BRIDGE, "one", 3)
RULES = Rules()
OURS, OLD, FOREIGN = "ours", "ours of before", "another's"


def record(phase: Phase = Phase.LIVE, **values: object) -> Record:
    """Return a record of KEY, applied with OURS unless *values* say otherwise."""
    plain = Record(
        slot=SLOT,
        key_id=KEY.id,
        client_id=KEY.client_id,
        exchange=KEY.exchange,
        digest=KEY.digest,
        phase=phase,
        reason=Reason.APPLIED if phase is Phase.LIVE else Reason.NEW,
        due_at=LATER,
        due_set_at=NOW,
        fingerprint=OURS,
        sent=OURS,
    )
    return replace(plain, **values)  # type: ignore[arg-type]


def untried(**values: object) -> Record:
    return record(Phase.PENDING, **({"sent": None, "fingerprint": None} | values))


def sealed(key: StoredKey = KEY) -> SealedKey:
    return SealedKey(key, "sealed:0:k", "sealed:0:s")


def scribe(seconds: float = 0, draw: float = 0.5) -> Scribe:
    """Return one that writes *seconds* after NOW; a *draw* of one half is no jitter."""
    return Scribe(NOW + timedelta(seconds=seconds), lambda: draw, RULES)


def wait(record: Record) -> float:
    """Return how long it is left alone."""
    assert record.due_at is not None
    assert record.due_set_at is not None
    return (record.due_at - record.due_set_at).total_seconds()
