"""How far an exchange's clock is ahead of ours, so that requests carry the time it expects."""

import asyncio
import time
from typing import Any

import structlog

log = structlog.get_logger()


class Clock:
    """One exchange's, shared by all its connectors; read only once it has complained."""

    def __init__(self) -> None:
        self.ahead_ms = 0
        self._reading: asyncio.Task[None] | None = None

    async def read(self, remote: Any) -> None:
        """Ask the exchange that *remote* speaks to for its time, once for all who want to know.

        Raises what ccxt does.
        """
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read(remote))
        # One who gives up must not take the answer away from the others.
        await asyncio.shield(self._reading)

    async def _read(self, remote: Any) -> None:
        before = _now_ms()
        theirs = await remote.fetch_time()
        ours = (before + _now_ms()) // 2
        self.ahead_ms = int(theirs) - ours
        log.warning("clock_differs", exchange=remote.id, ahead_ms=self.ahead_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
