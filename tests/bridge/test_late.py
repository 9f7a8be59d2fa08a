"""An exchange that is slow holds nobody up, and its answer is not lost."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bridge.late import Late

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]


async def test_an_exchange_that_hangs_is_told_as_such_and_the_others_at_once(
    bridge: httpx.AsyncClient, ready: Call, fault: Call
) -> None:
    for exchange in ("binance", "kraken"):
        await ready(exchange)
    await fault("kraken", "hang")
    told = (await bridge.get("/portfolio?account=acme&wait=0.5")).json()["balances"]
    assert told["binance"]["BTC"]["total"] == 0.6
    assert told["kraken"]["code"] == "timeout"
    assert told["kraken"]["error"].startswith("kraken has not answered within 0.5 s")


@pytest.mark.parametrize("wait", ["0", "-1", "61", "x", "nan"])
async def test_a_wait_that_is_none_is_refused(bridge: httpx.AsyncClient, wait: str) -> None:
    assert (await bridge.get(f"/portfolio?account=acme&wait={wait}")).status_code == 422


class Exchange:
    """Answers when it is told to, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked, self.answers = 0, asyncio.Event()

    async def __call__(self) -> dict[str, Any]:
        self.asked += 1
        await self.answers.wait()
        return {"asked": self.asked}


async def test_who_asks_next_gets_the_answer_that_came_too_late_without_another_question() -> None:
    late, exchange = Late(), Exchange()
    assert await late.asked({"x": exchange}, 0) == {"x": None}
    assert await late.asked({"x": exchange}, 0) == {"x": None}
    exchange.answers.set()
    for asked in (1, 2):  # and the one after that asks anew
        assert await late.asked({"x": exchange}, 5) == {"x": {"asked": asked}}


async def test_an_answer_that_nobody_fetches_is_forgotten() -> None:
    late, exchange = Late(kept_s=0), Exchange()
    await late.asked({"x": exchange}, 0)
    exchange.answers.set()
    while late._tasks:  # noqa: ASYNC110  (two turns of the event loop, and nothing tells of them)
        await asyncio.sleep(0)
    assert await late.asked({"x": exchange}, 5) == {"x": {"asked": 2}}


async def test_many_who_ask_at_once_ask_one_question_and_none_is_left_at_the_end() -> None:
    late, exchange = Late(), Exchange()
    told = await asyncio.gather(*(late.asked({"x": exchange}, 0) for _ in range(5)))
    assert told == [{"x": None}] * 5
    assert exchange.asked <= 1
    late.close()
    (task,) = late._tasks.values()
    await asyncio.wait([task])
    assert task.cancelled()
