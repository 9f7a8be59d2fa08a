"""The wall clock, and one that never jumps."""

import time
from datetime import UTC, datetime

_SLEEPLESS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux the monotonic clock stands still while the machine sleeps, and a lease does not."""


class SystemClock:
    """A `reconciler.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(_SLEEPLESS)
