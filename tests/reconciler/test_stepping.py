from datetime import timedelta

from reconciler.model import Instant
from reconciler.rules import CLOCK_SKEW
from reconciler.stepping import Stepping
from tests.fakes import START

MINUTE = timedelta(minutes=1)


class Hands:
    """A wall clock that is set by hand, and one that only counts."""

    def __init__(self) -> None:
        self.gone = self.ahead = timedelta(0)

    def now(self) -> Instant:
        return START + self.gone + self.ahead

    def elapsed(self) -> float:
        return self.gone.total_seconds()


def test_a_clock_that_is_set_back_is_noticed_once() -> None:
    clock = Hands()
    stepping = Stepping(clock)
    clock.gone += MINUTE
    assert not stepping.was_set_back()
    clock.ahead -= MINUTE
    assert stepping.was_set_back()
    assert not stepping.was_set_back()


def test_set_ahead_it_is_noticed_when_it_is_put_right() -> None:
    clock = Hands()
    stepping = Stepping(clock)
    clock.ahead = MINUTE
    assert not stepping.was_set_back()
    clock.ahead = timedelta(0)
    assert stepping.was_set_back()


def test_small_steps_back_add_up() -> None:
    clock = Hands()
    stepping = Stepping(clock)
    clock.ahead -= CLOCK_SKEW
    assert not stepping.was_set_back()
    clock.ahead -= timedelta(seconds=1)
    assert stepping.was_set_back()


def test_ahead_for_a_moment_it_is_noticed_where_something_was_dated_then() -> None:
    clock = Hands()
    stepping = Stepping(clock)
    clock.ahead = MINUTE
    stepping.note()
    clock.ahead = timedelta(0)
    assert stepping.was_set_back()
    assert not stepping.was_set_back()
