"""A bell that many may ring and one waits for; rings that nobody heard yet count as one."""

import anyio


class Bell:
    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, seconds: float) -> None:
        """Return when it rings or rang since the last wait, at the latest after *seconds*."""
        with anyio.move_on_after(max(seconds, 0)):
            await self._rung.wait()
        self._rung = anyio.Event()
