"""Notices that the wall clock was set back, by the clock that only counts what elapsed."""

from dataclasses import replace
from datetime import timedelta

from reconciler.model import Instant, Phase, Record
from reconciler.ports import Clock
from reconciler.rules import CLOCK_SKEW, LONGEST_REQUEST


class Stepping:
    """Small steps add up; how far it was set ahead does not matter."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = self._beginning()

    def note(self) -> None:
        """Take note of how far it is ahead now: something is about to be dated by it."""
        self._began = max(self._began, self._beginning())

    def was_set_back(self) -> bool:
        """Tell whether it was, by more than CLOCK_SKEW, since this last said so."""
        began = self._beginning()
        back = self._began - began > CLOCK_SKEW
        self._began = began if back else max(began, self._began)
        return back

    def _beginning(self) -> Instant:
        """Return when, by the wall clock, the other clock began to count."""
        return self._clock.now() - timedelta(seconds=self._clock.elapsed())


def redated(record: Record, now: Instant) -> Record:
    """Return *record*, due now if its due time was set more than CLOCK_SKEW later than *now*.

    A request that is written down as under way may be so for the longest time from now.
    """
    if record.due_set_at is None or record.due_set_at <= now + CLOCK_SKEW:
        return record
    due = now + LONGEST_REQUEST if record.phase is Phase.INITIALIZING else now
    tried = record.last_attempt_at and min(record.last_attempt_at, now)
    return replace(record, due_at=due, due_set_at=now, last_attempt_at=tried)
