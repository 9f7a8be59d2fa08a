from datetime import timedelta

from reconciler.backoff import Backoff
from reconciler.pacing import Breaker, Bucket, Limit, Rate

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


# -- how many at once --------------------------------------------------------------------------


def a_round(of: Limit, *, well: bool, at: float = 0.0) -> int:
    """Let as many as may be tried at once end; return how many may be then."""
    under_way = of.now
    for _ in range(under_way):
        if well:
            of.went_well(under_way)
        else:
            of.went_badly(at, at + 1, under_way)
    return of.now


def test_until_the_first_trouble_each_round_doubles_the_limit() -> None:
    limit = Limit(1, 64, 8)
    assert [a_round(limit, well=True) for _ in range(4)] == [16, 32, 64, 64]


def test_trouble_halves_the_limit_once_for_all_that_was_under_way_then() -> None:
    limit = Limit(1, 64, 64)
    assert a_round(limit, well=False) == 32
    limit.went_badly(began=0.5, now=2.0, under_way=32)
    assert limit.now == 32
    limit.went_badly(began=2.5, now=3.0, under_way=32)
    assert limit.now == 16


def test_what_is_halved_is_what_was_under_way() -> None:
    limit = Limit(1, 64, 64)
    limit.went_badly(began=0, now=1, under_way=8)
    assert limit.now == 4


def test_after_trouble_a_round_that_went_well_allows_one_more() -> None:
    limit = Limit(1, 64, 8)
    a_round(limit, well=False)
    assert limit.now == 4
    assert [a_round(limit, well=True) for _ in range(3)] == [5, 6, 7]


def test_the_limit_never_falls_below_its_floor_and_never_grows_while_it_is_not_reached() -> None:
    limit = Limit(1, 64, 8)
    for at in range(20):
        a_round(limit, well=False, at=2.0 * at)
    assert limit.now == 1
    for _ in range(100):
        limit.went_well(under_way=0)
    assert limit.now == 1


# -- how fast ----------------------------------------------------------------------------------


def taken(of: Bucket, seconds: range) -> list[int]:
    """Take all there is, second after second."""
    found = []
    for now in seconds:
        count = 0
        while of.level(now) >= 1:
            of.take(now)
            count += 1
        found.append(count)
    return found


def test_a_rested_bucket_gives_a_burst_and_then_its_rate() -> None:
    assert taken(Bucket(Rate(5, 10)), range(4)) == [10, 5, 5, 5]


def test_a_slow_rate_gives_one_at_a_time() -> None:
    assert taken(Bucket(Rate.of(0.25)), range(9)) == [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_throttling_halves_the_rate_and_successes_bring_it_back() -> None:
    bucket = Bucket(Rate(8, 16))
    bucket.slow_down(0)
    assert taken(bucket, range(1, 4)) == [4, 4, 4]
    for _ in range(32):
        bucket.went_well()
    assert taken(bucket, range(4, 6)) == [8, 8]
    for at in range(6, 20):
        bucket.slow_down(at)
    assert bucket.wait(1, 19) == 1 / (8 / 16)


def test_a_bucket_says_how_long_a_token_takes() -> None:
    bucket = Bucket(Rate(2, 4))
    for _ in range(4):
        bucket.take(0)
    assert (bucket.wait(1, 0), bucket.wait(3, 0), bucket.wait(1, 1)) == (0.5, 1.5, 0)


def test_a_clock_that_goes_back_gives_no_tokens() -> None:
    bucket = Bucket(Rate(1, 2))
    assert taken(bucket, range(100, 101)) == [2]
    assert bucket.level(50) == 0
    assert bucket.level(101) == 1
