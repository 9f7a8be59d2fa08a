"""How long to leave a failure alone."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

Draw = Callable[[], float]
"""Chance: a number in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, capped, with +-*jitter* so that many failures do not return as one herd."""

    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    cap: timedelta = timedelta(minutes=5)
    jitter: float = 0.2

    def delay(self, failures: int, draw: Draw) -> timedelta:
        """Return the wait after the *failures*-th failure in a row (from 1)."""
        return spread(self.plain(failures), self.jitter, draw)

    def plain(self, failures: int) -> timedelta:
        """Return the wait without chance; nothing for no failure."""
        if failures < 1:
            return timedelta(0)
        doublings = min(failures - 1, 40)  # past any cap; keeps the float finite
        return min(self.cap, self.first * self.factor**doublings)


def spread(wait: timedelta, jitter: float, draw: Draw) -> timedelta:
    """Return *wait* moved by chance within +-*jitter* (a share of it)."""
    return wait * (1 + jitter * (2 * draw() - 1))
