"""Markets are asked for without a key, and done without where that cannot be."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest
from ccxt.base.errors import AuthenticationError, NetworkError
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
    kind, asked, signed = exchange_class(exchange), list[str](), list[str]()

    async def answered(
        stock: Any, path: str, api: Any = "public", method: str = "GET", *more: Any, **_: Any
    ) -> Any:
        asked.append(path)
        if len(asked) > 20:
            raise NetworkError("enough")  # it asks for one page after the other
        try:
            stock.sign(path, api, method, *more[:1])
        except AuthenticationError:  # it has no key
            signed.append(path)
        return {"data": [], "result": []}

    monkeypatch.setattr(kind, "fetch2", answered)
    monkeypatch.setattr(kind, "request", answered)
    async with kind() as stock:
        with suppress(Exception):  # such an answer may be no good, and ends what would follow
            await stock.load_markets()
    assert signed == []


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
