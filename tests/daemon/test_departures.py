"""Keys that go while their connectors come: what was begun for them is undone at once."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciler.model import KeyId
from tests.daemon.house import DEAF, House, once
from tests.daemon.test_listen import ear_of
from tests.fakes import Waits

pytestmark = pytest.mark.anyio
HASTY = replace(DEAF, second_look=timedelta(milliseconds=5))


async def delete(house: House, key: KeyId) -> None:
    await house.world.delete_key(key)


async def disable(house: House, key: KeyId) -> None:
    await house.world.set_key_active(key, active=False)


@pytest.mark.parametrize("leave", [delete, disable])
async def test_a_key_that_goes_while_it_is_initialized_takes_its_connector_along(
    engine: AsyncEngine, leave: Callable[[House, KeyId], Awaitable[None]]
) -> None:
    house = House(engine, HASTY)
    begun, until = anyio.Event(), anyio.Event()
    house.bridge.script("initialize", Waits(begun, until))
    client = await house.world.add_client("Acme")
    key = await house.world.add_key(client, "binance")
    async with house.running(), ear_of(house):
        await begun.wait()
        passes = len(house.meter.passes)
        await leave(house, key)
        await once(lambda: len(house.meter.passes) >= passes + 2)  # it was seen to go
        until.set()
        await once(lambda: house.bridge.count("remove") == 1)
        await once(lambda: house.bridge.connectors == {})
    assert house.bridge.count("initialize") == 1
