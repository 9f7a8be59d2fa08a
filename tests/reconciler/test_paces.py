from dataclasses import replace
from math import inf

from reconciler.model import Urgency
from reconciler.paces import Pace, Paces
from reconciler.rules import OTHERS, Rules

RULES = Rules(rates={"kraken": 4.0, OTHERS: 0.0})


def pace(exchange: str = "kraken", **numbers: int) -> Pace:
    return Paces(replace(RULES, **numbers)).of(exchange)  # type: ignore[arg-type]


def begin(of: Pace, count: int, urgency: Urgency = Urgency.NOW, now: float = 0) -> None:
    for _ in range(count):
        of.prepared += 1
        of.begin(urgency, now)


def rooms(of: Pace, now: float = 0) -> list[int]:
    return [of.room(urgency, now) for urgency in Urgency]


def test_less_urgent_classes_leave_tokens_to_more_urgent_ones() -> None:
    kraken = pace()
    assert rooms(kraken) == [8, 6, 4, 4]
    begin(kraken, 3)
    assert rooms(kraken) == [5, 3, 1, 1]


def test_what_is_prepared_has_its_token_and_its_place_waiting() -> None:
    kraken = pace(concurrency=6)
    kraken.prepared = 4
    assert kraken.room(Urgency.NOW, 0) == 2
    kraken.prepared = 0
    begin(kraken, 4)
    assert kraken.room(Urgency.NOW, 100) == 2
    kraken.under_way -= 1
    assert kraken.room(Urgency.NOW, 100) == 3


def test_a_class_that_waited_for_its_turn_leaves_no_more_tokens_to_others() -> None:
    kraken = pace()
    begin(kraken, 5)
    assert kraken.room(Urgency.BULK, 0) == 3
    begin(kraken, 1, Urgency.BULK)
    assert rooms(kraken) == [2, 2, 0, 0]


def test_proofs_get_half_the_rate() -> None:
    kraken = pace()
    begin(kraken, 4, Urgency.PROOF)
    kraken.under_way = 0
    assert kraken.room(Urgency.PROOF, 0) == 0
    assert kraken.wait(Urgency.PROOF, 0) == 0.5
    assert kraken.room(Urgency.PROOF, 1) == 2


def test_it_says_how_long_to_wait_and_for_what() -> None:
    kraken = pace(concurrency=9)
    begin(kraken, 8)
    assert kraken.wait(Urgency.NOW, 0) == 0.25
    assert kraken.wait(Urgency.PROOF, 0) == 0.25 + 3.5 / 4
    begin(kraken, 1)
    assert kraken.wait(Urgency.NOW, 0) == inf


def test_an_exchange_that_throttles_is_left_alone_as_it_asks_and_asked_slower_then() -> None:
    kraken = pace()
    assert kraken.throttled(30, 0, lambda: 0.5) == 30
    assert rooms(kraken, 29.9) == [0, 0, 0, 0]
    assert kraken.wait(Urgency.NOW, 10) == 20
    assert kraken.must_wait(29.9)
    assert not kraken.must_wait(30)
    assert kraken.throttled(0, 100, lambda: 0.5) == 2
    assert kraken.room(Urgency.NOW, 103) == 3


def test_one_that_says_no_time_is_left_alone_ever_longer_until_it_answers() -> None:
    kraken, now, waits = pace(), 0.0, []
    for _ in range(5):
        waits.append(kraken.throttled(0, now, lambda: 0.5))
        kraken.throttled(0, now, lambda: 0.5)  # it was under way then
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16]
    kraken.went_well()
    assert kraken.throttled(0, now, lambda: 0.5) == 1


def test_after_a_cut_what_is_prepared_has_to_wait() -> None:
    gate = pace("gate", concurrency=8)
    gate.prepared = 4
    begin(gate, 3)
    assert not gate.must_wait(0)
    gate.limit.went_badly(0, 0, 7)
    assert gate.must_wait(0)


def test_an_exchange_that_refuses_all_is_tried_by_few_at_once() -> None:
    gate = pace("gate")
    gate.refuses_all = True
    assert rooms(gate) == [2, 2, 2, 2]


def test_rates_are_those_that_were_set_then_those_that_are_known_then_the_usual_one() -> None:
    assert Rules().rate_of("binance").per_second == 5
    assert Rules().rate_of("okx").per_second == 10
    assert Rules(rates={OTHERS: 3}).rate_of("binance").per_second == 3
    assert Rules(rates={"okx": 1, OTHERS: 3}).rate_of("okx").per_second == 1
    assert Rules(rates={"okx": 0}).rate_of("okx").per_second > 100_000
