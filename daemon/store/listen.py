"""Hears the database's hints where to look; while it cannot, says "everywhere" now and then."""

from collections.abc import Callable
from uuid import UUID

import anyio
import structlog
from asyncpg import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import storing
from daemon.store.hooks import HINTING
from reconciler.model import ClientId
from reconciler.ports import Clients
from reconciler.verdicts import StoreError

log = structlog.get_logger()
CHANNEL = "bridgetender"


async def listen(
    engine: AsyncEngine,
    look: Callable[[Clients], None],
    tell: Callable[[bool], None],
    *,
    poll: float = 5.0,
) -> None:
    """Call *look* for every hint, for ever; *tell* whether hints come.

    Nothing depends on hearing: after each reconnect everything is looked at, and while LISTEN is
    away, or a trigger that hints is missing or disabled, every *poll* seconds.
    """
    while True:
        try:
            await _hear(engine, look, tell, poll)
        except StoreError as error:
            log.warning("listen_away", reason=str(error))
        tell(False)  # noqa: FBT003 - a callback of one argument
        await anyio.sleep(poll)
        look(None)


async def _hear(
    engine: AsyncEngine,
    look: Callable[[Clients], None],
    tell: Callable[[bool], None],
    poll: float,
) -> None:
    gone = anyio.Event()
    with storing():
        async with engine.connect() as connection:
            driver = await _driver(connection)
            driver.add_termination_listener(lambda _: gone.set())
            await driver.add_listener(CHANNEL, lambda *words: look(parse(str(words[-1]))))
            look(None)
            hinted = None
            while not gone.is_set():
                before, hinted = hinted, bool(await driver.fetchval(HINTING))
                if hinted is not before:
                    log.info("triggers_checked", all_there=hinted)
                    tell(hinted)
                if not hinted:
                    look(None)
                with anyio.move_on_after(poll):
                    await gone.wait()
            await connection.invalidate()


async def _driver(connection: AsyncConnection) -> Connection:
    raw = (await connection.get_raw_connection()).driver_connection
    if not isinstance(raw, Connection):
        raise StoreError("LISTEN needs asyncpg")
    return raw


def parse(payload: str) -> Clients:
    """Return whose slots a hint names; None, everybody's, for whatever is not understood."""
    try:
        return frozenset(ClientId(UUID(word)) for word in payload.split(",")) or None
    except ValueError:
        return None
