"""Tells all who wait that something moved, at once; who asks later waits for the next time."""

import anyio


class News:
    def __init__(self) -> None:
        self._next = anyio.Event()

    def tell(self) -> None:
        self._next.set()
        self._next = anyio.Event()

    async def wait(self, seconds: float) -> bool:
        """Return True when something moves, False after *seconds* without."""
        event = self._next
        with anyio.move_on_after(seconds):
            await event.wait()
        return event.is_set()
