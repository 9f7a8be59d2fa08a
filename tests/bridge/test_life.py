import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bridge.app import Settings
from bridge.credentials import Offered
from bridge.errors import Trouble
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
EXCHANGES = ("binance", "bybit", "kraken", "kucoin", "okx")
SECRET = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5"


@pytest.fixture
def settings(paper_url: str) -> Settings:
    return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, paced=True)


async def one_life(service: Service, number: int) -> Any:
    """Add, prove, read and remove a connector; every third is refused, every fourth given up."""
    name, account = EXCHANGES[number % 5], f"client {number}"
    offered = Offered(f"key-of-{name}" if number % 3 else "wrong", SECRET, "pass phrase")
    await service.add(account, name, offered, str(number))
    remote = service.registry.connector(account, name).remote
    line = remote.lane.line  # the rate is not what is tested here
    line.address.interval_s = 1e-6
    line._account_s = line._account_s and 1e-6
    if number % 4 == 0:
        await give_up(service, account, name)
    elif number % 3:
        await service.verify(account, name)
    else:
        with pytest.raises(Trouble):
            await service.verify(account, name)
    await service.portfolio(account)
    assert service.remove(account, name, str(number))
    return weakref.ref(remote)


async def give_up(service: Service, account: str, name: str) -> None:
    """Ask, and cancel while it waits for its turn."""
    bucket = service.registry.connector(account, name).remote.lane.line.address
    bucket.free_at = asyncio.get_running_loop().time() + 1.0
    asked = asyncio.create_task(service.verify(account, name))
    for _ in range(5):
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    bucket.free_at = 0.0


async def all_lives(service: Service, numbers: range) -> list[Any]:
    return [await one_life(service, number) for number in numbers]


async def test_nothing_is_left_of_connectors_that_came_and_went(
    service: Service, enrol: Call, bridge: httpx.AsyncClient
) -> None:
    for name in EXCHANGES:
        await enrol(name)
        await service.shelf.get(name).markets()
    await all_lives(service, range(60))  # what is made once is made by now
    before = asyncio.all_tasks()
    remotes = await all_lives(service, range(60, 300))
    gc.collect()
    assert [each for each in remotes if each() is not None] == []
    assert asyncio.all_tasks() <= before
    for template in service.shelf:
        for lane in template.lanes:
            assert (len(lane.line), lane._events, lane._timer) == (0, {}, None)
            assert len(lane.line._accounts) <= 3
    assert list(service.registry.listing()) == []
    assert "binance" not in (await bridge.get("/metrics")).text
    assert (await bridge.get("/accounts")).json()["accounts"] == []
    assert "client" not in str(vars(service.registry))
