"""Who may act on a bridge: a row with an epoch that counts its holders.

    free ──acquire──> held ──renew──> held ──release, or the term ends──> free
                       └── another's acquire after the term: epoch + 1; the old epoch writes nothing

Terms are measured on the database's clock, so replicas need not agree on theirs.
"""

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import transaction
from reconciler.model import BridgeName, Lease
from reconciler.sharing import Sharing, Tenure
from reconciler.verdicts import LeaseLost

FREE_CHANNEL = "bridgetender_free"
"""Where a bridge's name says that it was given back."""
_WAIT = text("""
INSERT INTO bridgetender.waiting (bridge, holder, seen_at)
VALUES (:bridge, :holder, clock_timestamp())
ON CONFLICT (bridge, holder) DO UPDATE SET seen_at = excluded.seen_at
""")
_LEAVE = text("DELETE FROM bridgetender.waiting WHERE bridge = :bridge AND holder = :holder")
_SHARING = text("""
SELECT bridge, holder, expires_at - clock_timestamp() FROM bridgetender.leases
UNION ALL
SELECT bridge, holder, NULL FROM bridgetender.waiting
WHERE seen_at > clock_timestamp() - CAST(:term AS interval)
""")
# It names the key, so that it waits for those who hold the lease still; see `guard`.
_ACQUIRE = text("""
INSERT INTO bridgetender.leases AS l (bridge, holder, epoch, expires_at)
VALUES (:bridge, :holder, 1, clock_timestamp() + CAST(:term AS interval))
ON CONFLICT (bridge) DO UPDATE
SET bridge = excluded.bridge, holder = excluded.holder, epoch = l.epoch + 1,
  expires_at = clock_timestamp() + CAST(:term AS interval)
WHERE l.expires_at <= clock_timestamp()
RETURNING epoch
""")
_FORGET = text("""
DELETE FROM bridgetender.waiting
WHERE bridge = :bridge
  AND (holder = :holder OR seen_at < clock_timestamp() - CAST(:term AS interval))
""")
_RENEW = text("""
UPDATE bridgetender.leases SET expires_at = clock_timestamp() + CAST(:term AS interval)
WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch
""")
_RELEASE = text(f"""
WITH given AS (
  UPDATE bridgetender.leases SET expires_at = clock_timestamp()
  WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch RETURNING bridge
)
SELECT pg_notify('{FREE_CHANNEL}', bridge) FROM given
""")
GUARD = """
SELECT 1 FROM bridgetender.leases
WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch FOR KEY SHARE
"""
"""Lets nobody take the bridge until the transaction ends; no row says that somebody has.

A renewal is let through: else a slow statement of ours would end our own lease.
"""
_GUARD = text(GUARD)


class PostgresLeases:
    """A `reconciler.ports.Leases` for the replica *holder*."""

    def __init__(self, engine: AsyncEngine, holder: str, term: timedelta) -> None:
        self._engine = engine
        self._holder = holder
        self._term = term

    async def wait(self, bridge: BridgeName) -> Sharing:
        async with transaction(self._engine) as connection:
            await connection.execute(_WAIT, {"bridge": bridge, "holder": self._holder})
            return await self._sharing(connection)

    async def leave(self, bridge: BridgeName) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_LEAVE, {"bridge": bridge, "holder": self._holder})

    async def acquire(self, bridge: BridgeName) -> Lease | None:
        values = {"bridge": bridge, "holder": self._holder, "term": self._term}
        async with transaction(self._engine) as connection:
            epoch = (await connection.execute(_ACQUIRE, values)).scalar()
            if epoch is None:
                return None
            await connection.execute(_FORGET, values)
        return Lease(bridge, self._holder, epoch)

    async def renew(self, lease: Lease) -> Sharing:
        async with transaction(self._engine) as connection:
            values = of(lease) | {"term": self._term}
            if (await connection.execute(_RENEW, values)).rowcount == 0:
                raise LeaseLost("another replica holds it")
            return await self._sharing(connection)

    async def release(self, lease: Lease) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_RELEASE, of(lease))

    async def _sharing(self, connection: AsyncConnection) -> Sharing:
        rows = (await connection.execute(_SHARING, {"term": self._term})).all()
        held = {bridge: Tenure(holder, left) for bridge, holder, left in rows if left is not None}
        waiting = frozenset((bridge, holder) for bridge, holder, left in rows if left is None)
        return Sharing(self._holder, held, waiting)


async def guard(connection: AsyncConnection, lease: Lease) -> None:
    """Let nobody take the bridge until this transaction ends. Raises LeaseLost."""
    require((await connection.execute(_GUARD, of(lease))).first())


def require(row: object | None) -> None:
    """Raise LeaseLost unless GUARD found a *row*."""
    if row is None:
        raise LeaseLost("another replica holds it")


def of(lease: Lease) -> dict[str, str | int]:
    return {"bridge": lease.bridge, "holder": lease.holder, "epoch": lease.epoch}
