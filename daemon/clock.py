"""The wall clock."""

from datetime import UTC, datetime


class SystemClock:
    """A `reconciler.ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)
