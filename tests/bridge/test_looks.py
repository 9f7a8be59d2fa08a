from typing import Any

import pytest

from bridge.looks import Others, Watched, begin, looking


class Stock:
    """The part of ccxt that looks into answers."""

    options: dict[str, Any]

    def safe_list(self, place: Any, key: Any, default: Any = None) -> Any:
        return self._found(place, key, list, default)

    def safe_dict(self, place: Any, key: Any, default: Any = None) -> Any:
        return self._found(place, key, dict, default)

    def _found(self, place: Any, key: Any, kind: type, default: Any) -> Any:
        try:
            return place[key] if isinstance(place[key], kind) else default
        except (LookupError, TypeError):
            return default


class Parser(Watched, Stock):
    def __init__(self) -> None:
        self.options = {}


def missed(answer: Any) -> bool:
    parser = Parser()
    with looking() as looks:
        first = parser.safe_dict(parser.safe_list(answer, "data", []), 0, {})
        parser.safe_list(first, "details", [])
        parser.safe_dict(parser.options, "accounts", {})
    return looks.missed


@pytest.mark.parametrize(
    ("answer", "absent"),
    [
        ({"data": [{"details": []}]}, False),
        ({"data": []}, False),
        ({"data": [{"details": None}]}, True),
        ({"data": [{"more": []}]}, True),
        ({"data": None}, True),
        ({"data": {}}, True),
        ({"msg": "hello"}, True),
        ([], True),
    ],
)
def test_empty_is_told_from_absent(answer: Any, absent: bool) -> None:  # noqa: FBT001
    assert missed(answer) is absent


def test_what_an_earlier_answer_lacked_does_not_count() -> None:
    parser = Parser()
    with looking() as looks:
        parser.safe_list({}, "data")
        begin()
    assert not looks.missed


def test_who_does_not_watch_may_look() -> None:
    begin()
    assert Parser().safe_list({"data": [1]}, "data") == [1]


@pytest.mark.parametrize(
    ("entries", "unread"),
    [([], False), ([{}], True), ([1], True), ([["x"]], True), ([{"type": "other"}], False)],
)
def test_entries_that_gave_nothing_are_told_from_those_of_other_wallets(
    entries: list[Any],
    unread: bool,  # noqa: FBT001
) -> None:
    parser, others = Parser(), Others("type", frozenset({"other"}))
    for answer in (entries, {"data": entries}):
        with looking() as looks:
            begin(answer)
            parser.safe_list(answer, "data")
        assert looks.unread(others) is unread


def test_what_ccxt_looks_for_in_its_own_findings_does_not_count() -> None:
    parser = Parser()
    with looking() as looks:
        parser.safe_list({"data": []}, "data")
        parser.safe_dict({"info": {}}, "USDC")
    assert not looks.missed
