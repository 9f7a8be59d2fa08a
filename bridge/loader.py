"""A second event loop in a thread of its own: parsing thousands of markets there stalls nobody."""

import asyncio
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import TypeVar

from bridge.session import Outward

T = TypeVar("T")


class Loader:
    """Runs loads side by side in one thread, which starts with the first of them."""

    def __init__(self) -> None:
        self._running: tuple[Thread, asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def run(self, load: Callable[[Outward], Awaitable[T]], outward: Outward) -> T:
        """Await `load` over there, with a twin of *outward*; cancelled here means there, too."""
        if self._running is None:
            self._running = _started()
        _, loop, _ = self._running
        there = asyncio.run_coroutine_threadsafe(_apart(load, outward), loop)
        return await asyncio.wrap_future(there)

    async def close(self) -> None:
        """End the thread, and what still runs there."""
        if self._running is not None:
            thread, loop, stop = self._running
            self._running = None
            loop.call_soon_threadsafe(stop.set)
            await asyncio.to_thread(thread.join)


async def _apart(load: Callable[[Outward], Awaitable[T]], outward: Outward) -> T:
    async with outward.twin() as twin:
        return await load(twin)


def _started() -> tuple[Thread, asyncio.AbstractEventLoop, asyncio.Event]:
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    # A daemon thread: a parse under way is no reason to outlive a process that was told to stop.
    thread = Thread(target=_serve, args=(loop, stop), name="market-loader", daemon=True)
    thread.start()
    return thread, loop, stop


def _serve(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(stop.wait())
