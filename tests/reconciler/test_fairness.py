from collections import Counter
from uuid import UUID

from reconciler.fairness import Turns
from reconciler.model import ClientId, Record, Urgency
from tests.reconciler.examples import record

ACME, BLUE = (ClientId(UUID(int=number)) for number in (7, 8))
ENDLESS = 1_000


def due(
    count: int, urgency: Urgency = Urgency.NOW, client: ClientId = ACME, exchange: str = "okx"
) -> list[Record]:
    return [record(urgency=urgency, client_id=client, exchange=exchange)] * count


def plenty(exchange: str, urgency: Urgency) -> int:
    del exchange, urgency
    return ENDLESS


def test_no_more_is_chosen_than_there_is_room_for() -> None:
    assert len(Turns().choose(due(5), 3, plenty)) == 3
    assert len(Turns().choose(due(2), 3, plenty)) == 2


def test_each_class_gets_its_share_while_all_wait() -> None:
    waiting = [one for urgency in Urgency for one in due(100, urgency)]
    chosen = Counter(one.urgency for one in Turns().choose(waiting, 64, plenty))
    assert list(chosen.values()) == [32, 16, 12, 4]


def test_places_that_one_class_leaves_go_to_the_most_urgent_one_that_waits() -> None:
    waiting = due(100, Urgency.SOON) + due(100, Urgency.PROOF)
    chosen = Counter(one.urgency for one in Turns().choose(waiting, 16, plenty))
    assert chosen == {Urgency.SOON: 15, Urgency.PROOF: 1}


def test_choices_of_one_at_a_time_keep_the_shares_too() -> None:
    turns = Turns()
    waiting = [one for urgency in Urgency for one in due(1, urgency)]
    chosen = Counter(turns.choose(waiting, 1, plenty)[0].urgency for _ in range(16))
    assert list(chosen.values()) == [8, 4, 3, 1]


def test_clients_take_turns_inside_a_class() -> None:
    chosen = Turns().choose(due(50) + due(2, client=BLUE), 4, plenty)
    assert Counter(one.client_id for one in chosen) == {ACME: 2, BLUE: 2}


def test_an_exchange_without_room_does_not_hold_up_another() -> None:
    waiting = due(50, exchange="binance") + due(2, exchange="kraken")
    chosen = Turns().choose(waiting, 10, lambda e, _: 1 if e == "binance" else ENDLESS)
    assert Counter(one.exchange for one in chosen) == {"binance": 1, "kraken": 2}


def test_classes_share_the_room_of_an_exchange() -> None:
    waiting = due(5, Urgency.NOW) + due(5, Urgency.BULK)
    chosen = Turns().choose(waiting, 10, lambda _, u: 4 if u is Urgency.NOW else 2)
    assert len(chosen) == 4
