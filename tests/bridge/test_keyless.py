"""Markets are asked for without a key, and done without where that cannot be."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from ccxt.base.errors import NetworkError
from fastapi import FastAPI

from bridge.ask import balance
from bridge.catalogue import catalogue, exchange_class
from bridge.session import opened
from bridge.shelf import Shelf
from bridge.template import LISTS_TO_KEYS_ALONE
from tests.bridge.conftest import served
from tests.bridge.plausible import offered

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("exchange", sorted(set(catalogue()) - LISTS_TO_KEYS_ALONE))
async def test_no_exchange_of_all_is_asked_anything_private_for_its_markets(
    exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, asked = exchange_class(exchange), []

    async def answered(_: Any, __: str, api: Any = "public", *___: Any, **____: Any) -> Any:
        asked.append(api if isinstance(api, str) else "/".join(api))
        if len(asked) > 20:
            raise NetworkError("enough")  # it asks for one page after the other
        return {"data": [], "result": []}

    monkeypatch.setattr(kind, "fetch2", answered)
    monkeypatch.setattr(kind, "request", answered)
    async with kind() as stock:
        with suppress(Exception):  # such an answer may be no good
            await stock.load_markets()
    assert not [api for api in asked if "private" in api.lower()]


@pytest.mark.parametrize(
    ("exchange", "answers", "total"),
    [
        (
            "alpaca",
            {
                "/v2/account": {
                    "currency": "USD",
                    "cash": "5",
                    "equity": "5",
                    "position_market_value": "0",
                },
                "/v2/positions": [{"symbol": "BTC/USD", "qty": "0.6"}],
            },
            {"USD": 5.0, "BTC": 0.6},
        ),
        (
            "mudrex",
            {"/futures/funds": {"data": {"balance": "5", "locked_amount": "1"}}},
            {"USDT": 6.0},
        ),
    ],
)
async def test_who_lists_markets_to_keys_alone_is_read_without_them(
    exchange: str, answers: dict[str, Any], total: dict[str, float]
) -> None:
    told = FastAPI()
    told.add_api_route("/{path:path}", lambda path: answers.get(_end(path, answers)))
    async with served(told) as address, opened(address) as way:
        shelf = Shelf(way)
        shelf.get(exchange).warm()
        remote = shelf.make(exchange, offered(exchange))
        found = await balance(exchange, remote, [], 5)
    assert {asset: parts["total"] for asset, parts in found.items()} == total
    assert shelf.get(exchange)._loading is None


def _end(path: str, ends: Iterable[str]) -> str:
    return next((end for end in ends if f"/{path}".endswith(end)), "")
