"""What becomes of connections that are given up while they are made; on uvloop, as the bridge."""

import asyncio
import gc
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from yarl import URL

from bridge.collector import COLLECTOR
from bridge.egress import Egress
from bridge.loader import Loader
from bridge.session import Outward, opened
from tests.bridge.conftest import served
from tests.daemon.bridges.certificates import Authority

pytestmark = pytest.mark.anyio
TIME = URL("https://api.binance.com/api/v3/time")
STEPS = 12
"""Of the event loop; by then the connection is made and its TLS begun."""


@pytest.fixture(autouse=True)
def few_objects() -> Iterator[None]:
    """Let a collection look through what the test makes, and not through all of ccxt each time."""
    COLLECTOR.freeze()
    yield
    COLLECTOR.thaw()


@pytest.fixture
async def way(paper_app: FastAPI, tmp_path: Path) -> AsyncIterator[Outward]:
    """To an exchange by TLS, as all are."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("paper")
    async with served(paper_app, ssl_certfile=certificate, ssl_keyfile=key) as address:
        origin = address.replace("http://", "https://")
        async with opened(origin, None, Egress("direct", ca_file=authority.file)) as outward:
            yield outward


async def asked(outward: Outward) -> None:
    async with outward.get(TIME, headers={}):
        pass


async def given_up(outward: Outward, steps: int) -> None:
    """Ask, and cancel after so many steps of the event loop."""

    task = asyncio.create_task(asked(outward))
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])


async def test_a_connection_given_up_takes_no_file_of_anybody_else_with_it(way: Outward) -> None:
    for steps in range(STEPS):
        await given_up(way, steps)
        others = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]  # the lowest numbers
        gc.collect()  # which complains of what was not closed, too
        for number in others:
            os.close(number)  # raises when it is closed already


async def test_a_load_of_markets_given_up_at_the_end_leaves_no_connection(way: Outward) -> None:
    for steps in range(2 * STEPS):
        loader, begun = Loader(), threading.Event()

        async def load(twin: Outward, steps: int = steps, begun: threading.Event = begun) -> None:
            asking = asyncio.create_task(asked(twin))
            for _ in range(steps):
                await asyncio.sleep(0)
            begun.set()
            await asking

        loading = asyncio.create_task(loader.run(load, way))
        await asyncio.to_thread(begun.wait)
        loading.cancel()
        await loader.close()
        await asyncio.wait([loading])
    gc.collect()
