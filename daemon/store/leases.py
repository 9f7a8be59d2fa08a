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
from reconciler.verdicts import LeaseLost

_ACQUIRE = text("""
INSERT INTO bridgetender.leases AS l (bridge, holder, epoch, expires_at)
VALUES (:bridge, :holder, 1, clock_timestamp() + :term)
ON CONFLICT (bridge) DO UPDATE
SET holder = excluded.holder, epoch = l.epoch + 1, expires_at = excluded.expires_at
WHERE l.expires_at < clock_timestamp()
RETURNING epoch
""")
_RENEW = text("""
UPDATE bridgetender.leases SET expires_at = clock_timestamp() + :term
WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch
""")
_RELEASE = text("""
UPDATE bridgetender.leases SET expires_at = '-infinity'
WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch
""")
_GUARD = text("""
SELECT 1 FROM bridgetender.leases
WHERE bridge = :bridge AND holder = :holder AND epoch = :epoch FOR SHARE
""")


class PostgresLeases:
    """A `reconciler.ports.Leases` for the replica *holder*."""

    def __init__(self, engine: AsyncEngine, holder: str, term: timedelta) -> None:
        self._engine = engine
        self._holder = holder
        self._term = term

    async def acquire(self, bridge: BridgeName) -> Lease | None:
        values = {"bridge": bridge, "holder": self._holder, "term": self._term}
        async with transaction(self._engine) as connection:
            epoch = (await connection.execute(_ACQUIRE, values)).scalar()
        return None if epoch is None else Lease(bridge, self._holder, epoch)

    async def renew(self, lease: Lease) -> None:
        async with transaction(self._engine) as connection:
            values = _of(lease) | {"term": self._term}
            if (await connection.execute(_RENEW, values)).rowcount == 0:
                raise LeaseLost("another replica holds it")

    async def release(self, lease: Lease) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_RELEASE, _of(lease))


async def guard(connection: AsyncConnection, lease: Lease) -> None:
    """Hold the lease still until this transaction ends. Raises LeaseLost."""
    if (await connection.execute(_GUARD, _of(lease))).first() is None:
        raise LeaseLost("another replica holds it")


def _of(lease: Lease) -> dict[str, str | int]:
    return {"bridge": lease.bridge, "holder": lease.holder, "epoch": lease.epoch}
