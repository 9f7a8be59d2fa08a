"""A second event loop in a thread of its own: parsing thousands of markets there stalls nobody."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from threading import Thread
from typing import TypeVar

from bridge.collector import COLLECTOR
from bridge.session import Outward

T = TypeVar("T")
_TURN_S = 0.001
"""How long one thread may go on while another waits. The event loop waits its turn after each call
of the system, several times in an answer, so that Python's 5 ms added up to 50."""


class Loader:
    """Runs loads side by side in one thread, which starts with the first of them."""

    def __init__(self) -> None:
        self._running: tuple[Thread, asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def run(self, load: Callable[[Outward], Awaitable[T]], outward: Outward) -> T:
        """Await `load` over there, with a twin of *outward*; cancelled here means there, too."""
        if self._running is None:
            self._running = _started()
        _, loop, _ = self._running
        there = asyncio.run_coroutine_threadsafe(self._apart(load, outward), loop)
        return await asyncio.wrap_future(there)

    async def close(self) -> None:
        """End the thread, and what still runs there."""
        if self._running is not None:
            thread, loop, stop = self._running
            self._running = None
            loop.call_soon_threadsafe(stop.set)
            await asyncio.to_thread(thread.join)

    async def _apart(self, load: Callable[[Outward], Awaitable[T]], outward: Outward) -> T:
        """Cancelled twice, as by its caller and at the end, a load would break off closing."""
        inside = asyncio.ensure_future(_loaded(load, outward))
        while True:
            try:
                return await asyncio.shield(inside)
            except asyncio.CancelledError:
                if inside.done():
                    raise
                if not inside.cancelling():
                    inside.cancel()


async def _loaded(load: Callable[[Outward], Awaitable[T]], outward: Outward) -> T:
    with COLLECTOR.kept_out():
        async with outward.twin() as twin:
            return await load(twin)


def _started() -> tuple[Thread, asyncio.AbstractEventLoop, asyncio.Event]:
    sys.setswitchinterval(_TURN_S)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    # A daemon thread: a parse under way is no reason to outlive a process that was told to stop.
    thread = Thread(target=_serve, args=(loop, stop), name="market-loader", daemon=True)
    thread.start()
    return thread, loop, stop


def _serve(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(_until(stop))


async def _until(stop: asyncio.Event) -> None:
    """Wait, and then for the loads: to close their connections takes them some steps."""
    await stop.wait()
    loads = asyncio.all_tasks() - {asyncio.current_task()}
    for load in loads:
        if not load.cancelling():  # cancelled twice, it would break off closing
            load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
