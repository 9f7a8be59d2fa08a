from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import BridgeName
from reconciler.sharing import Sharing, Tenure, ask_again, gives_back, may_take

COURTESY, POLL = timedelta(seconds=10), timedelta(seconds=5)
TERM = timedelta(seconds=15)


def names(words: str) -> list[BridgeName]:
    return [BridgeName(word) for word in words.split()]


def seen(me: str = "one", *, waiting: str = "", free: float | None = None, **held: str) -> Sharing:
    """Return how things stand: *held* bridges by replica; "bridge:replica" for each that waits.

    "main" has been free for *free* seconds.
    """
    tenures = {bridge: Tenure(who, TERM) for who, words in held.items() for bridge in names(words)}
    if free is not None:
        tenures[BridgeName("main")] = Tenure("gone", timedelta(seconds=-free))
    places = (word.split(":") for word in waiting.split())
    return Sharing(me, tenures, frozenset((BridgeName(at), who) for at, who in places))


def takes(sharing: Sharing) -> bool:
    return may_take(sharing, BridgeName("main"), COURTESY)


def given_by(sharing: Sharing) -> list[BridgeName]:
    return [b for b in sharing.held_by(sharing.me) if gives_back(sharing, b)]


def test_a_bridge_that_is_held_is_not_taken() -> None:
    assert not takes(seen(two="main"))


def test_a_free_bridge_is_taken_also_by_who_holds_many_if_nobody_else_waits() -> None:
    assert takes(seen(free=0, one="a b c"))
    assert takes(seen(free=0, one="a b c", two="", waiting="main:one other:two"))
    assert takes(seen())


def test_a_free_bridge_is_left_to_who_holds_fewer_for_a_while() -> None:
    assert not takes(seen(free=9.9, one="a", waiting="main:two"))
    assert takes(seen(free=10, one="a", waiting="main:two"))
    assert takes(seen(free=0, one="a", two="b", waiting="main:two"))
    assert takes(seen("two", free=0, one="a", waiting="main:two main:one"))


def test_one_bridge_is_given_to_a_replica_that_holds_two_fewer() -> None:
    assert given_by(seen(one="a b", waiting="a:two b:two")) == ["a"]
    assert given_by(seen(one="a b", waiting="b:two")) == ["b"]
    assert given_by(seen(one="a b c", two="d", waiting="c:two b:two")) == ["b"]


def test_nothing_is_given_where_it_would_not_bring_the_counts_together() -> None:
    assert given_by(seen(one="a", waiting="a:two")) == []
    assert given_by(seen(one="a b", two="c", waiting="a:two")) == []
    assert given_by(seen(one="a b")) == []
    assert given_by(seen(one="a b", waiting="other:two")) == []


def test_what_was_given_is_taken_before_more_is_given() -> None:
    assert given_by(seen(one="a b c", free=1, waiting="main:two a:two")) == []


def test_a_standby_asks_when_the_lease_it_waits_for_can_end() -> None:
    main = BridgeName("main")
    held = Sharing("one", {main: Tenure("two", timedelta(seconds=2))})
    assert ask_again(held, main, COURTESY, POLL) == timedelta(seconds=2)
    assert ask_again(seen(two="main"), main, COURTESY, POLL) == POLL
    left_to_another = seen(free=7, one="a", waiting="main:two")
    assert ask_again(left_to_another, main, COURTESY, POLL) == timedelta(seconds=3)
    assert ask_again(seen(free=10), main, COURTESY, POLL) > timedelta(0)


@given(st.lists(st.sampled_from("pqrs"), max_size=8), st.sampled_from([2, 3, 4]))
def test_replicas_come_to_equal_shares_and_then_nothing_moves(first: list[str], count: int) -> None:
    """From whatever any of them holds, one decision at a time."""
    replicas = "pqrs"[:count]
    bridges = [BridgeName(str(n)) for n in range(len(first))]
    holders = {b: who for b, who in zip(bridges, first, strict=True) if who in replicas}
    moves = 0
    while changed := turn(bridges, holders, replicas):
        moves += changed
        assert moves <= 2 * len(bridges)
    counts = [list(holders.values()).count(who) for who in replicas]
    assert len(holders) == len(bridges)
    assert max(counts) - min(counts) <= 1


def turn(bridges: list[BridgeName], holders: dict[BridgeName, str], replicas: str) -> int:
    """Let each replica decide once about each bridge; return how many leases changed hands."""
    before = dict(holders)
    for who in replicas:
        for bridge in bridges:
            tenures = {b: Tenure(held_by, TERM) for b, held_by in holders.items()}
            waiting = frozenset((b, r) for b in bridges for r in replicas if holders.get(b) != r)
            sharing = Sharing(who, tenures | free_now(bridges, holders), waiting)
            if holders.get(bridge) == who and gives_back(sharing, bridge):
                del holders[bridge]
            elif may_take(sharing, bridge, COURTESY):
                holders[bridge] = who
    return sum(before.get(b) != holders.get(b) for b in bridges)


def free_now(bridges: list[BridgeName], holders: dict[BridgeName, str]) -> dict[BridgeName, Tenure]:
    return {b: Tenure("gone", timedelta(0)) for b in bridges if b not in holders}


@pytest.mark.parametrize("left", [0, -1])
def test_a_lease_that_has_ended_counts_for_nobody(left: float) -> None:
    ended = Tenure("one", timedelta(seconds=left))
    assert Sharing("one", {BridgeName("main"): ended}).held_by("one") == []
