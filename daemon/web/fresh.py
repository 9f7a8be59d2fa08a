"""Answers that are kept for a while: who asks the same meanwhile costs nothing."""

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from time import monotonic
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

import anyio

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Kept(Generic[T]):
    told: T
    at: float


@dataclass(slots=True)
class Fresh(Generic[T]):
    """Keeps answers for *seconds*; who asks for one that is under way waits for that.

    *lasting* tells of an answer that it is good for fewer.
    """

    seconds: float
    lasting: Callable[[T], float] | None = None
    time: Callable[[], float] = monotonic
    _kept: dict[Hashable, _Kept[T]] = field(default_factory=dict)
    _locks: WeakValueDictionary[Hashable, anyio.Lock] = field(default_factory=WeakValueDictionary)

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> tuple[T, float]:
        """Return the answer and its age in seconds."""
        async with self._locks.setdefault(key, anyio.Lock()):
            kept = self._kept.get(key)
            if kept is None or self.time() - kept.at >= self._good_for(kept.told):
                self._forget_old()
                kept = self._kept[key] = _Kept(await ask(), self.time())
            return kept.told, self.time() - kept.at

    def _good_for(self, told: T) -> float:
        return min(self.lasting(told), self.seconds) if self.lasting else self.seconds

    def _forget_old(self) -> None:
        """Drop what is no use any more: the oldest are first, since each is kept anew."""
        old = self.time() - self.seconds
        for key in [key for key, kept in self._kept.items() if kept.at <= old]:
            del self._kept[key]
