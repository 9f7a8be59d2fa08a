"""Measures how late the event loop comes to what is due."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PERIOD_S = 0.01
"""A stall of 60 ms is told as one of 50 to 60."""


@contextmanager
def lag_told(tell: Callable[[float], None], period_s: float = _PERIOD_S) -> Iterator[None]:
    """Tell the lag in seconds a hundred times a second; a timer rather than a task."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look(due: float) -> None:
        nonlocal timer
        now = loop.time()
        tell(max(0.0, now - due))
        timer = loop.call_at(now + period_s, look, now + period_s)

    first = loop.time() + period_s
    timer = loop.call_at(first, look, first)
    try:
        yield
    finally:
        timer.cancel()
