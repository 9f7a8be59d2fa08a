from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.backoff import Backoff, spread

SECOND = timedelta(seconds=1)


def test_waits_double_up_to_the_cap() -> None:
    backoff = Backoff(first=SECOND, factor=2, cap=10 * SECOND, jitter=0)

    waits = [backoff.delay(failures, lambda: 0.7).total_seconds() for failures in range(7)]

    assert waits == [0, 1, 2, 4, 8, 10, 10]


@given(st.integers(0, 10**9), st.floats(0, 1, exclude_max=True))
@settings(derandomize=True)
def test_no_wait_is_longer_than_the_cap_and_its_jitter(failures: int, draw: float) -> None:
    backoff = Backoff()

    delay = backoff.delay(failures, lambda: draw)

    assert timedelta(0) <= delay <= backoff.cap * (1 + backoff.jitter)
    assert failures == 0 or delay >= backoff.first * (1 - backoff.jitter)


def test_chance_spreads_a_wait_evenly_around_itself() -> None:
    assert spread(10 * SECOND, 0.2, lambda: 0.0) == 8 * SECOND
    assert spread(10 * SECOND, 0.2, lambda: 0.5) == 10 * SECOND
    assert spread(10 * SECOND, 0.2, lambda: 0.75) == 11 * SECOND
