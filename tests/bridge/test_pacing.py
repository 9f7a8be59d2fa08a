from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.pacing import (
    BURST,
    FIRST_QUIET_S,
    LONGEST_SAID_S,
    LONGEST_UNSAID_S,
    Call,
    Line,
    Quiet,
    Who,
)

INTERVAL = 0.5  # exact in binary, as all times here, so that sums are
COSTS = st.sampled_from([0.5, 1.0, 2.0, 5.0])
ACCOUNT_S = [INTERVAL / 4, INTERVAL, INTERVAL * 2]
WHO = st.sampled_from(["ann", "bob", "eve", None])


@dataclass
class Day:
    """A line with a clock; notes when each call started, and what was given back."""

    line: Line
    now: float = 0.0
    started: list[tuple[float, Call]] = field(default_factory=list)

    def until(self, then: float) -> None:
        while (at := self.line.next_at()) is not None and at <= then:
            self.now = max(self.now, at)
            self._start()
        self.now = then

    def ask(self, who: str | None, cost: float = 1.0) -> Call:
        call = self.line.join(who, cost)
        self._start()
        return call

    def _start(self) -> None:
        self.started += [(self.now, call) for call in self.line.due(self.now)]

    def starts(self, who: str | None) -> list[float]:
        return [at for at, call in self.started if call.who == who]


ARRIVALS = st.lists(st.tuples(st.sampled_from([0.0, 0.125, 1.0, 8.0]), WHO, COSTS), max_size=40)


def _within(day: Day, interval: float) -> None:
    """Assert the rate over every window that begins and ends with a start."""
    costs = [call.cost for _, call in day.started]
    times = [at for at, _ in day.started]
    for first in range(len(times)):
        spent = 0.0
        for last in range(first + 1, len(times)):
            spent += costs[last - 1]
            assert spent * interval <= times[last] - times[first] + BURST * interval


@given(ARRIVALS)
def test_no_window_of_time_ever_sees_more_than_the_rate(
    arrivals: list[tuple[float, str | None, float]],
) -> None:
    day = Day(Line(INTERVAL))
    for pause, who, cost in arrivals:
        day.until(day.now + pause)
        day.ask(who, cost)
    day.until(10_000)
    assert len(day.started) == len(arrivals)
    _within(day, INTERVAL)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.125, 1.0]), WHO, COSTS, st.booleans())))
def test_calls_that_are_given_up_at_any_moment_neither_cost_nor_break_the_rate(
    arrivals: list[tuple[float, str | None, float, bool]],
) -> None:
    day = Day(Line(INTERVAL))
    for pause, who, cost, given_up in arrivals:
        day.until(day.now + pause)
        call = day.ask(who, cost)
        if given_up:
            day.line.leave(call)
            day.started = [(at, each) for at, each in day.started if each is not call]
    kept = sum(not given_up for *_, given_up in arrivals)
    owed = sum(cost for _, _, cost, given_up in arrivals if not given_up)
    day.until(day.now + owed * INTERVAL)
    assert len(day.started) == kept
    assert len(day.line) == 0
    _within(day, INTERVAL)


@given(ARRIVALS, st.sampled_from(ACCOUNT_S))
def test_where_accounts_count_each_keeps_its_rate_and_the_address_its_own(
    arrivals: list[tuple[float, str | None, float]], account_s: float
) -> None:
    day = Day(Line(INTERVAL, account_s=account_s))
    for pause, who, cost in arrivals:
        day.until(day.now + pause)
        day.ask(who, cost)
    day.until(10_000)
    assert len(day.started) == len(arrivals)
    for who in ("ann", "bob", "eve"):
        _within(Day(day.line, started=[s for s in day.started if s[1].who == who]), account_s)
    light = [(at, Call(c.who, min(c.cost, 1.0) if c.who else c.cost)) for at, c in day.started]
    _within(Day(day.line, started=light), INTERVAL)


@given(st.integers(0, 200), st.integers(0, 30))
def test_an_accounts_first_call_goes_before_anothers_second(many: int, seconds: int) -> None:
    day = Day(Line(INTERVAL))
    for _ in range(many):
        day.ask("greedy")
    day.until(float(seconds))
    before = day.now
    day.ask("modest")
    day.until(10_000)
    assert day.starts("modest")[0] - before <= 2 * INTERVAL


@given(st.lists(WHO, min_size=1, max_size=60))
def test_nobody_is_more_than_one_turn_ahead_of_another_who_waits(askers: list[str | None]) -> None:
    day = Day(Line(INTERVAL))
    day.ask("first of all", 8.0)
    for who in askers:
        day.line.join(who, 1.0)
    left, served = Counter[Who | None](askers), Counter[Who | None]()
    day.until(10_000)
    for _, call in day.started[1:]:
        served[call.who] += 1
        waiting = [served[who] for who in left if served[who] < left[who]]
        assert not waiting or served[call.who] - min(waiting) <= 1


@given(ARRIVALS, WHO, st.sampled_from([None, *ACCOUNT_S]))
def test_the_wait_foretold_is_never_shorter_than_the_wait(
    arrivals: list[tuple[float, str | None, float]], who: str | None, account_s: float | None
) -> None:
    day = Day(Line(INTERVAL, account_s=account_s))
    for pause, other, cost in arrivals:
        day.until(day.now + pause)
        day.ask(other, cost)
    began, foretold = day.now, day.line.wait(who, day.now)
    call = day.ask(who)
    day.until(10_000)
    at = next(at for at, each in day.started if each is call)
    assert at - began <= foretold


def test_an_idle_line_lets_the_next_call_through_at_once() -> None:
    day = Day(Line(INTERVAL))
    assert day.line.wait("ann", 0.0) == 0
    assert day.ask("ann").started
    day.until(3600.0)
    assert day.ask("ann").started


def test_a_call_given_up_in_its_turn_leaves_the_turn_to_the_next() -> None:
    day = Day(Line(INTERVAL))
    given_up = day.ask("ann", 100.0)
    assert given_up.started
    day.line.leave(given_up)
    assert day.ask("bob").started


def test_a_token_that_others_have_built_upon_is_not_given_back_twice() -> None:
    day = Day(Line(INTERVAL))
    first = day.ask("ann", 1.0)
    assert day.ask("bob", 4.0).started  # on the burst
    day.line.leave(first)
    assert not day.ask("eve").started


def test_a_quiet_that_was_asked_for_holds_up_every_account_and_then_keeps_the_rate() -> None:
    day = Day(Line(INTERVAL))
    day.line.told("ann", 0.0, 30.0)
    for who in ("ann", "bob", "eve"):
        day.ask(who)
    assert day.line.wait("new", 0.0) >= 30
    day.until(29.9)
    assert day.started == []
    day.until(100.0)
    assert [at for at, _ in day.started] == [30.0, 30.0, 30.5]  # two on the burst
    _within(day, INTERVAL)


@pytest.mark.parametrize("address", [False, True])
def test_what_one_account_did_is_its_own_matter_where_accounts_count(*, address: bool) -> None:
    line = Line(INTERVAL, account_s=INTERVAL)
    line.told("ann", 0.0, None, address=address)
    assert line.wait("ann", 0.0) == FIRST_QUIET_S
    assert line.wait("bob", 0.0) == (FIRST_QUIET_S if address else 0)


def test_a_keyless_call_speaks_for_the_address() -> None:
    line = Line(INTERVAL, account_s=INTERVAL)
    line.told(None, 0.0, None)
    assert line.wait("ann", 0.0) == FIRST_QUIET_S


def test_an_account_in_quiet_does_not_hold_up_those_behind_it() -> None:
    day = Day(Line(INTERVAL, account_s=INTERVAL))
    day.line.told("ann", 0.0, None)
    day.ask("ann")
    day.ask("bob")
    assert day.starts("bob") == [0.0]
    day.until(FIRST_QUIET_S)
    assert day.starts("ann") == [FIRST_QUIET_S]


def test_quiet_grows_each_time_that_nobody_says_how_long_and_shrinks_once_answered() -> None:
    quiet, now, lengths = Quiet(), 0.0, []
    for _ in range(12):
        quiet.told(now, None)
        quiet.told(now, None)  # another that was under way
        lengths.append(quiet.until - now)
        now = quiet.until
    assert lengths[:3] == [FIRST_QUIET_S, 2 * FIRST_QUIET_S, 4 * FIRST_QUIET_S]
    assert max(lengths) == lengths[-1] == LONGEST_UNSAID_S
    quiet.eased(now)
    quiet.told(now, None)
    assert quiet.until - now == FIRST_QUIET_S


def test_an_answer_that_was_under_way_does_not_end_a_quiet() -> None:
    quiet = Quiet()
    quiet.told(0.0, None)
    quiet.eased(1.0)
    assert quiet.until == FIRST_QUIET_S
    quiet.told(FIRST_QUIET_S, None)
    assert quiet.until == 3 * FIRST_QUIET_S


def test_a_longer_quiet_is_never_cut_short_and_an_absurd_one_is() -> None:
    quiet = Quiet()
    quiet.told(0.0, 100.0)
    quiet.told(1.0, 5.0)
    quiet.told(2.0, None)
    assert quiet.until == 100.0
    quiet.told(0.0, 1e12)
    assert quiet.until == LONGEST_SAID_S


def test_a_retry_after_of_nothing_is_no_leave_to_go_on() -> None:
    quiet = Quiet()
    quiet.told(0.0, 0.0)
    assert quiet.until == FIRST_QUIET_S


def test_those_who_are_sent_away_are_told_to_come_back_apart() -> None:
    line = Line(INTERVAL)
    line.told(None, 0.0, 60.0)
    told = [line.promise(f"account {number}", 2.0, 0.0) for number in range(4)]
    assert told == [60.0, 61.0, 62.0, 63.0]


def test_a_promise_stays_within_bounds_and_heals() -> None:
    line = Line(INTERVAL)
    line.told(None, 0.0, 60.0)
    assert max(line.promise("ann", 100.0, 0.0) for _ in range(1000)) == 360.0
    assert line.promise("ann", 1.0, 3600.0) == 0.0


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_accounts_that_came_once_are_forgotten(seed: int) -> None:
    day = Day(Line(INTERVAL, account_s=INTERVAL))
    for number in range(1000):
        day.ask(f"{seed} {number}")
        day.until(day.now + 4)
        if number % 7 == 0:
            day.line.told(f"{seed} {number}", day.now, None)
    day.until(day.now + 10 * LONGEST_UNSAID_S)
    for number in range(1000):
        day.ask(f"later {number}")
        day.until(day.now + 4)
    assert len(day.line._accounts) < 10
