"""Long work in short turns, so that calls under way are answered in between."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from anyio.lowlevel import checkpoint

T = TypeVar("T")
_TURN = 4
"""Items between two looks at the event loop: about a millisecond of work."""


async def in_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Yield *items*; let everything else run now and then."""
    for count, item in enumerate(items, 1):
        yield item
        if count % _TURN == 0:
            await checkpoint()
