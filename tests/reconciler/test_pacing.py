from datetime import timedelta

from reconciler.backoff import Backoff
from reconciler.pacing import Breaker, Holdoffs
from tests.reconciler.examples import NOW

SECOND = timedelta(seconds=1)


def breaker(*, closed: bool = True) -> Breaker:
    made = Breaker(Backoff(cap=30 * SECOND, jitter=0), opens_after=3)
    if closed:
        made.probed(well=True)
    return made


def next_probe(of: Breaker) -> float:
    return of.next_probe(lambda: 0.5).total_seconds()


def test_nothing_is_attempted_before_the_first_listing() -> None:
    one = breaker(closed=False)
    assert not one.closed

    one.probed(well=True)
    assert one.closed


def test_failures_in_a_row_open_it_once() -> None:
    one = breaker()

    assert [one.failed() for _ in range(4)] == [False, False, True, False]
    assert not one.closed


def test_an_answer_in_between_starts_the_count_anew() -> None:
    one = breaker()
    one.failed()
    one.failed()
    one.answered()

    assert [one.failed() for _ in range(3)] == [False, False, True]


def test_a_bridge_that_is_down_is_asked_ever_more_rarely() -> None:
    one = breaker()
    waits = []
    for _ in range(7):
        one.probed(well=False)
        waits.append(next_probe(one))

    assert waits == [1, 2, 4, 8, 16, 30, 30]
    one.probed(well=True)
    one.probed(well=False)
    assert next_probe(one) == 1


def test_a_bridge_that_only_lists_is_on_trial_and_tried_ever_more_rarely() -> None:
    one = breaker()
    one.failed()
    one.failed()
    assert not one.on_trial
    waits = []
    for _ in range(7):
        assert one.failed()
        waits.append(next_probe(one))
        one.probed(well=True)
        assert one.closed
        assert one.on_trial

    assert waits == [1, 2, 4, 8, 16, 30, 30]


def test_one_answer_ends_the_trial() -> None:
    one = breaker()
    for _ in range(3):
        one.failed()
    one.probed(well=True)

    one.answered()

    assert not one.on_trial
    one.probed(well=True)
    one.probed(well=False)
    assert next_probe(one) == 1


def test_an_exchange_is_spared_until_the_latest_time_that_was_asked_for() -> None:
    quiet = Holdoffs()
    quiet.hold("binance", NOW + 5 * SECOND)
    quiet.hold("binance", NOW + 2 * SECOND)
    quiet.hold("kraken", NOW + SECOND)

    assert quiet.held(NOW) == {"binance": NOW + 5 * SECOND, "kraken": NOW + SECOND}
    assert quiet.held(NOW + SECOND) == {"binance": NOW + 5 * SECOND}
    assert quiet.held(NOW + 5 * SECOND) == {}
