"""Our own pool of connections, when all of it is taken."""

import pytest
from sqlalchemy import QueuePool
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import make_engine
from reconciler.rules import Rules
from tests.daemon.house import House, once

pytestmark = pytest.mark.anyio


async def test_while_every_connection_is_taken_nothing_is_sent_and_the_loop_goes_on(
    engine: AsyncEngine, database_url: str
) -> None:
    small = make_engine(database_url, pool_size=1)
    assert isinstance(small.pool, QueuePool)
    small.pool._timeout = 0.05
    house, outside = House(small, Rules()), House(engine)
    async with house.running():
        await once(lambda: "ok" in house.meter.passes)
        async with small.connect():
            key = await outside.world.add_key(await outside.world.add_client("Acme"), "binance")
            house.loop.look(None)
            await once(lambda: house.meter.passes[-1] == "store_error")
            assert house.bridge.count("initialize") == 0
        await outside.until_live(key)
    await small.dispose()
