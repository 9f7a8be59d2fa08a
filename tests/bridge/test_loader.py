"""What a load of markets leaves behind costs the garbage collector nothing."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from bridge.collector import COLLECTOR
from bridge.loader import Loader
from bridge.session import Outward, opened

pytestmark = pytest.mark.anyio


class Market:
    """Something that may be part of a cycle, and watched."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def frozen() -> Iterator[None]:
    """Freeze what is there, as the bridge does before it serves."""
    COLLECTOR.freeze()
    yield
    COLLECTOR.thaw()


@pytest.fixture
async def loader() -> AsyncIterator[Loader]:
    made = Loader()
    yield made
    await made.close()


async def load(loader: Loader, kept: list[Any], gone: list[Any]) -> None:
    async def make(_: Outward) -> None:
        kept.append(Market())
        gone.append(weakref.ref(Market()))

    async with opened() as way:
        await loader.run(make, way)


def looked_through(market: Market) -> bool:
    return any(each is market for each in gc.get_objects())


@pytest.mark.usefixtures("frozen")
async def test_markets_that_stay_are_looked_through_no_more_and_garbage_is_gone(
    loader: Loader,
) -> None:
    kept: list[Any] = []
    gone: list[Any] = []
    await load(loader, kept, gone)
    assert not looked_through(kept[0])
    assert gone[0]() is None


async def test_a_process_that_has_frozen_nothing_is_left_as_it_was(loader: Loader) -> None:
    kept: list[Any] = []
    await load(loader, kept, [])
    assert looked_through(kept[0])
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold()[2] < 1_000_000  # else it would never be looked through


async def test_no_full_collection_stops_the_threads_while_markets_are_loaded(
    loader: Loader,
) -> None:
    seen: list[int] = []

    async def look(_: Outward) -> None:
        seen.append(gc.get_threshold()[2])

    async with opened() as way:
        await loader.run(look, way)
    assert seen[0] > 1_000_000


async def test_a_load_that_is_cancelled_twice_closes_all_that_it_opened(loader: Loader) -> None:
    begun, closed = asyncio.Event(), list[str]()
    here = asyncio.get_running_loop()

    async def make(_: Outward) -> None:
        there = asyncio.get_running_loop()
        asked = [task for task in asyncio.all_tasks() if "_apart" in repr(task.get_coro())]
        here.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            for task in asked:
                there.call_soon(task.cancel)
            for _turn in range(5):
                await asyncio.sleep(0)
            closed.append("all")

    async with opened() as way:
        task = asyncio.ensure_future(loader.run(make, way))
        await begun.wait()
        task.cancel()
        await loader.close()
    assert closed == ["all"]
