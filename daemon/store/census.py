"""Counts for the gauges, taken by a bridge's holder only, so that replicas do not double them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.desired import desired, paused
from daemon.store.engine import transaction
from daemon.store.status import DROPPED, STANDING
from reconciler.model import BridgeName, Instant

_BY_PHASE = text(f"""
SELECT phase, reason, count(*) FROM ({STANDING}) standing
WHERE bridge = :bridge AND phase <> 'inactive' GROUP BY phase, reason
""")
_LEFTOVERS = text("""
SELECT phase, reason, count(*) FROM bridgetender.connectors
WHERE bridge = :bridge AND phase IN ('removing', 'unremovable') GROUP BY phase, reason
""")
_KEYS = text(f"""
SELECT count(*) FILTER (WHERE is_active), count(*) FILTER (WHERE NOT is_active),
  count(*) FILTER (WHERE updated_at IS NULL),
  (SELECT count(*) FROM bridgetender.connectors r WHERE {DROPPED})
FROM bridgetender.keys()
""")
_WAITING = text(f"""
SELECT
  count(*) FILTER (WHERE due_at <= :now),
  coalesce(extract(epoch FROM max(:now - due_at) FILTER (WHERE due_at <= :now)), 0)
FROM bridgetender.connectors c
WHERE bridge = :bridge AND NOT {paused(":bridge", "c.client_id", "c.key_id")}
""")
_UNREADY = text(f"""
SELECT reason, extract(epoch FROM :now - min(first_unready_at))
FROM bridgetender.connectors c
WHERE bridge = :bridge AND NOT {paused(":bridge", "c.client_id", "c.key_id")}
  AND phase NOT IN ('live', 'parked', 'conflict', 'unremovable') AND first_unready_at IS NOT NULL
GROUP BY reason
""")
_EXCHANGES = text(f"""
WITH {desired()} SELECT DISTINCT exchange FROM placed
""")
_PAUSES = text("""
SELECT count(*) FROM bridgetender.pauses WHERE scope <> 'bridge' OR subject = :bridge
""")


@dataclass(frozen=True, slots=True)
class Census:
    """How many connectors of one bridge stand where; ages in seconds."""

    by_phase_and_reason: Mapping[tuple[str, str], int]
    oldest_unready: Mapping[str, float]
    """By reason."""
    due: int
    oldest_due: float
    pauses: int
    exchanges: Collection[str] = ()
    """Of the active keys."""


@dataclass(frozen=True, slots=True)
class KeyCount:
    """How many keys there are, whatever their bridge."""

    active: int
    inactive: int
    null_updated_at: int
    dropped: int
    """Connectors on bridges that nobody looks after any more."""


async def count_keys(engine: AsyncEngine) -> KeyCount:
    """Raises StoreError."""
    async with transaction(engine) as connection:
        return KeyCount(*(await connection.execute(_KEYS)).one())


async def take_census(engine: AsyncEngine, bridge: BridgeName, now: Instant) -> Census:
    """Raises StoreError."""
    values = {"bridge": bridge, "now": now}
    async with transaction(engine) as connection:
        standing = {(p, r): n for p, r, n in await connection.execute(_BY_PHASE, values)}
        left = {(p, r): n for p, r, n in await connection.execute(_LEFTOVERS, values)}
        unready = {r: float(s) for r, s in await connection.execute(_UNREADY, values)}
        due, oldest_due = (await connection.execute(_WAITING, values)).one()
        pauses = (await connection.execute(_PAUSES, values)).scalar_one()
        exchanges = (await connection.execute(_EXCHANGES, values)).scalars().all()
    counts = standing | left
    return Census(counts, unready, due, float(oldest_due), pauses, exchanges)
