"""No exchange's answer is taken for an empty account when what it holds cannot be read."""

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.catalogue import catalogue
from bridge.errors import Trouble
from tests.bridge.shapes import Finder, lists, maps

pytestmark = pytest.mark.anyio
JUNK: list[Any] = [1, None, "x", True, {}, [], {"x": "y"}, ["x"], [1, 2], [None]]
# They sign in or look an account up first, or know each asset by a name of its own.
NOT_FOUND = {"bitbns", "btcbox", "bullish", "coincheck", "grvt", "kucoinfutures", "lighter"} | {
    "ndax",
    "paradex",
    "paymium",
}
# Whose lists are not all that they tell, or not of assets.
MORE_THAN_A_LIST = {"bitfinex", "btse", "coinbase", "cryptocom", "pacifica"}


def _junked(answers: dict[str, Any]) -> Iterator[Any]:
    """Put junk in place of what each list and each map holds, in turn, and back again."""
    for place in [each for answer in answers.values() for each in lists(answer)]:
        honest = place[:]
        for junk in JUNK:
            place[:] = [junk]
            yield answers
        place[:] = honest
    for spot in [each for answer in answers.values() for each in maps(answer) if "BTC" in each]:
        honest = spot["BTC"]
        for junk in JUNK[1:]:
            spot["BTC"] = junk
            yield answers
        spot["BTC"] = honest


@pytest.mark.parametrize("name", sorted(set(catalogue()) - NOT_FOUND))
async def test_entries_that_cannot_be_read_are_never_an_empty_account(name: str) -> None:
    finder = Finder(name)
    assert await finder.find()
    for answers in _junked(finder.answers):
        try:
            found = await finder.ask()
        except Trouble:
            continue
        assert found, f"reads as empty: {answers}"


@pytest.mark.parametrize("name", sorted(set(catalogue()) - NOT_FOUND - MORE_THAN_A_LIST))
async def test_a_list_that_is_empty_is_an_empty_account(name: str) -> None:
    finder = Finder(name)
    assert await finder.find()
    found = [each for answer in finder.answers.values() for each in lists(answer)]
    if found:
        found[-1].clear()  # the innermost: of its assets
        assert await finder.ask() == {}


@pytest.mark.parametrize("name", sorted(NOT_FOUND))
async def test_what_could_not_be_found_is_still_not_to_be_found(name: str) -> None:
    assert not await Finder(name).find()
