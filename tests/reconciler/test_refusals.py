from uuid import UUID

import pytest

from reconciler.model import Phase, Record, Slot, Verified
from reconciler.refusals import Heard, Refusals, worked
from tests.fakes import BRIDGE
from tests.reconciler.examples import NOW, OLD, record


def heard(*said: str) -> Refusals:
    """Return what was heard: "worked" and "new" are refused, "fine" is not; a slot each."""
    refusals = Refusals()
    for number, word in enumerate(said):
        slot = Slot(BRIDGE, str(UUID(int=number)), "binance")
        refusals.hear(slot, Heard(0.0, refused=word != "fine", worked=word != "new"))
    return refusals


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["worked", "worked", "worked"], True),
        (["worked", "worked", "new"], True),
        (["worked", "worked"], False),
        (["worked", "new", "new", "new"], False),
        (["new"] * 20, False),
        (["worked", "worked", "worked", "fine", "fine", "fine"], False),
        (["worked", "worked", "worked", "fine", "fine"], True),
    ],
)
def test_most_are_refused_and_some_of_them_worked_before(said: list[str], *, answer: bool) -> None:
    assert heard(*said).en_masse(now=1.0) is answer


def test_what_was_said_a_while_ago_does_not_count() -> None:
    refusals = heard("worked", "worked", "worked")
    assert refusals.en_masse(300)
    assert not refusals.en_masse(301)


def test_a_second_refusal_does_not_unsay_that_the_key_had_worked() -> None:
    refusals = Refusals()
    for number in range(3):
        slot = Slot(BRIDGE, f"client_{number}", "binance")
        for worked_before in (True, False):
            refusals.hear(slot, Heard(0.0, refused=True, worked=worked_before))
    assert refusals.en_masse(1.0)


def test_a_slot_counts_once() -> None:
    refusals = Refusals()
    slot = Slot(BRIDGE, "client_acme", "binance")
    for _ in range(9):
        refusals.hear(slot, Heard(0.0, refused=True, worked=True))
    assert not refusals.en_masse(1.0)


@pytest.mark.parametrize(
    ("of", "answer"),
    [
        (record(verified=Verified.OK), True),
        (record(verified=Verified.FAILED, live_since=NOW), False),
        (record(Phase.INITIALIZING, verified=Verified.UNKNOWN), True),
        (record(live_since=NOW, fingerprint=OLD), False),
        (record(live_since=NOW, fingerprint=None, adopted=True), True),
        (record(Phase.INITIALIZING, fingerprint=None), False),
    ],
)
def test_credentials_worked_if_these_were_proven_or_live(of: Record, *, answer: bool) -> None:
    assert worked(of) is answer


def test_what_was_said_long_ago_is_dropped_where_new_things_are_said() -> None:
    refusals = Refusals()
    for number in range(1_000):
        slot = Slot(BRIDGE, f"client_{number}", "binance")
        refusals.hear(slot, Heard(number * 10.0, refused=False, worked=True))
    assert len(refusals._heard) <= 31
