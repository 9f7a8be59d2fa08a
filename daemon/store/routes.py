"""Which bridges there are and which keys go where, as the daemon that started last was told."""

from collections.abc import Collection

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.audit import Actor, note
from daemon.store.engine import transaction
from daemon.store.tables import accounts, bridges, leases, notices, quiets, routes
from daemon.store.telling import tell
from reconciler.model import BridgeName, Phase
from reconciler.routes import Routes

_LOCK = text("LOCK TABLE bridgetender.routes IN SHARE ROW EXCLUSIVE MODE")
_HELD = text("""
SELECT l.bridge FROM bridgetender.leases l
WHERE l.expires_at > clock_timestamp() AND l.bridge <> ALL(:known)
  AND l.bridge IN (SELECT r.bridge FROM bridgetender.routes r) ORDER BY l.bridge
""")
_IN_USE = text("""
SELECT NOT EXISTS (SELECT FROM bridgetender.routes)
  OR EXISTS (SELECT FROM bridgetender.routes WHERE bridge = :bridge)
  OR EXISTS (SELECT FROM bridgetender.leases
             WHERE bridge = :bridge AND expires_at > clock_timestamp())
""")
_GONE = (f"'{Phase.REMOVED}'", "'bridge_dropped'")
_FORGET = text(f"""
WITH gone AS (DELETE FROM bridgetender.connectors WHERE bridge = :bridge RETURNING *)
{tell("gone r", "r", ("r.phase", "r.reason"), _GONE)}
""")
_HINT = text("SELECT pg_notify('bridgetender', '*')")


class RoutesInForce(Exception):
    """Others are in force, and in use. The message says what to do."""


async def write_routes(engine: AsyncEngine, wanted: Routes, *, over: bool = True) -> bool:
    """Make *wanted* the rules in force; tell whether others were. Raises StoreError.

    All replicas and commands read them from here, so that no two ever see one key on two bridges.
    Unless *over*, no bridge that a replica holds just now is taken out of force: whoever does not
    know of it has other settings, and its connectors would be removed. Raises RoutesInForce.
    """
    rows = set(wanted.rows())
    async with transaction(engine) as connection:
        if await _read(connection) == rows:
            return False
        await connection.execute(_LOCK)
        if not over:
            await _require_free(connection, {bridge for _, _, bridge in rows})
        await connection.execute(delete(routes))
        names = ("kind", "subject", "bridge")
        values = [dict(zip(names, row, strict=True)) for row in sorted(rows)]
        await connection.execute(insert(routes).values(values))
        await connection.execute(_HINT)
    return True


async def routes_in_force(engine: AsyncEngine) -> set[tuple[str, str, BridgeName]]:
    """Return them as `Routes.rows` does; none before a daemon ever ran. Raises StoreError."""
    async with transaction(engine) as connection:
        return await _read(connection)


async def forget_bridge(engine: AsyncEngine, bridge: BridgeName, by: Actor) -> int | None:
    """Forget what was written down of a bridge that is in no rule and that nobody holds.

    Returns how many connectors that were; None where it is in use. Raises StoreError.
    """
    async with transaction(engine) as connection:
        await connection.execute(_LOCK)
        if (await connection.execute(_IN_USE, {"bridge": bridge})).scalar_one():
            return None
        for table in (accounts, bridges, leases, notices, quiets):
            await connection.execute(delete(table).where(table.c.bridge == bridge))
        count = (await connection.execute(_FORGET, {"bridge": bridge})).rowcount
        await note(connection, by, "bridge_forgotten", {"bridge": bridge, "connectors": count})
        return count


async def _require_free(connection: AsyncConnection, known: Collection[str]) -> None:
    held = (await connection.execute(_HELD, {"known": list(known)})).scalars().all()
    if held:
        raise RoutesInForce(
            f"these settings do not name {', '.join(map(repr, held))}, which another replica holds:"
            " give all replicas the same file, or send that one SIGHUP to let go of the bridge"
        )


async def _read(connection: AsyncConnection) -> set[tuple[str, str, BridgeName]]:
    query = select(routes.c.kind, routes.c.subject, routes.c.bridge)
    return {tuple(row) for row in await connection.execute(query)}
