"""Which bridges there are and which keys go where, as the daemon that started last was told."""

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import transaction
from daemon.store.tables import routes
from reconciler.model import BridgeName
from reconciler.routes import Routes

_LOCK = text("LOCK TABLE bridgetender.routes IN SHARE ROW EXCLUSIVE MODE")
_HINT = text("SELECT pg_notify('bridgetender', '*')")


async def write_routes(engine: AsyncEngine, wanted: Routes) -> bool:
    """Make *wanted* the rules in force; tell whether others were. Raises StoreError.

    All replicas and commands read them from here, so that no two ever see one key on two bridges.
    """
    rows = set(wanted.rows())
    async with transaction(engine) as connection:
        if await _read(connection) == rows:
            return False
        await connection.execute(_LOCK)
        await connection.execute(delete(routes))
        names = ("kind", "subject", "bridge")
        values = [dict(zip(names, row, strict=True)) for row in sorted(rows)]
        await connection.execute(insert(routes).values(values))
        await connection.execute(_HINT)
    return True


async def _read(connection: AsyncConnection) -> set[tuple[str, str, BridgeName]]:
    query = select(routes.c.kind, routes.c.subject, routes.c.bridge)
    return {tuple(row) for row in await connection.execute(query)}
