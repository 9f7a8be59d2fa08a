"""Notices that the wall clock was set back, by the clock that only counts what elapsed."""

from datetime import timedelta

from reconciler.model import Instant
from reconciler.ports import Clock
from reconciler.rules import CLOCK_SKEW


class Stepping:
    """Small steps add up; how far it was set ahead does not matter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._beginning()

    def was_set_back(self) -> bool:
        """Tell whether it was, by more than CLOCK_SKEW, since this last said so."""
        began = self._beginning()
        back = self._began - began > CLOCK_SKEW
        self._began = began if back else max(began, self._began)
        return back

    def _beginning(self) -> Instant:
        """Return when, by the wall clock, the other clock began to count."""
        return self._clock.now() - timedelta(seconds=self._clock.elapsed())
