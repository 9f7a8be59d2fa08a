"""Finds the answers from which ccxt reads a balance, by growing them wherever it looks in vain."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from itertools import product
from typing import Any
from urllib.parse import urlsplit

import ccxt.async_support as ccxt

from bridge.ask import Amounts, balance
from bridge.errors import Trouble
from bridge.looks import begin
from tests.bridge.plausible import guarded
from tests.bridge.still import still

_SPOT = [{"id": 1, "type": "spot", "state": "working"}]
_HTX = {"data": {"list": [{"currency": "btc", "type": "trade", "balance": "1"}]}}
_FREE = {"currency": "BTC", "available": "1"}
_BYBIT: Mapping[str, Any] = {
    "/v5/user/query-api": {"result": {"uta": 1}},
    "/v5/account/wallet-balance": {
        "result": {"list": [{"accountType": "UNIFIED", "coin": [{"coin": "BTC"}]}]}
    },
}
# What cannot grow: ccxt compares it with something.
SEEDS: Mapping[str, Mapping[str, Any]] = {
    "bingx": {"/openApi/spot/v1/account/balance": {"data": {"balances": [{"asset": "BTC"}]}}},
    "bitfinex": {"/v2/auth/r/wallets": [["exchange", "BTC", 1, 0, 1]]},
    "bittrade": {"/v1/account/accounts": {"data": _SPOT}, "/v1/account/accounts/1/balance": _HTX},
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    "coinbase": {"/v2/accounts": {"data": [{"type": "wallet"}]}},
    "htx": {"/v1/account/accounts": {"data": _SPOT}, "/v1/account/accounts/1/balance": _HTX},
    "kucoin": {"/api/v1/accounts": {"data": [_FREE | {"type": "trade"}]}},
    "latoken": {"/v2/auth/account": [_FREE | {"type": "ACCOUNT_TYPE_SPOT"}]},
    "poloniex": {"/accounts/balances": [{"accountType": "SPOT", "balances": [_FREE]}]},
}
_LOOKS: dict[str, Callable[[], Any]] = {"list": lambda: [{}], "dict": dict, "value": dict}
_LOOKS |= dict.fromkeys(("string", "string_lower", "string_upper"), lambda: "1")
_LOOKS |= dict.fromkeys(("integer", "number", "float", "timestamp"), lambda: "1")
_ROOTS: tuple[Callable[[], Any], ...] = (dict, lambda: [{}])
_ASSETS: tuple[Callable[[], Any], ...] = (dict, lambda: "1")
_AGAIN = 6


class Finder:
    """One exchange's real ccxt object, whose requests `answers` has the answers to, by path."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answers: dict[str, Any] = {}
        self._grows, self._grew, self._depth = True, False, 0
        self._nodes: dict[int, Any] = {}
        self._root: Callable[[], Any] = dict
        self._remote = self._made()

    async def ask(self) -> dict[str, Amounts]:
        self._asked = 0
        return await balance(self.name, self._remote, [], 5)

    async def find(self) -> bool:
        """Grow `answers` until something is read from them; tell whether that came about."""
        found = await self._found()
        self._grows = False
        return found

    async def _found(self) -> bool:
        self.answers = deepcopy(dict(SEEDS.get(self.name, {})))
        if self.answers:
            return await self._grown()
        for self._root, asset in product(_ROOTS, _ASSETS):
            self.answers = {}
            if await self._grown():
                return True
            for leaf in [each for answer in self.answers.values() for each in maps(answer)]:
                leaf["BTC"] = asset()
            if await self._grown():
                return True
        return False

    async def _grown(self) -> bool:
        for _ in range(_AGAIN):
            self._grew = False
            try:
                if await self.ask():
                    return True
            except Trouble:  # ccxt trips over what has not grown yet
                pass
            if not self._grew:
                break
        return False

    def _made(self) -> Any:
        remote = guarded(self.name)
        remote.fetch, remote.load_markets = self._fetch, self._nothing
        still(remote)
        for look, made in _LOOKS.items():
            for suffix in ("", "_2", "_n"):
                self._watch(remote, f"safe_{look}{suffix}", suffix, made)
        return remote

    async def _nothing(self, *_: object, **__: object) -> None:
        pass

    async def _fetch(self, url: str, *_: object, **__: object) -> Any:
        self._asked += 1
        if self._asked > _AGAIN:
            raise ccxt.NetworkError("enough")
        answer = self.answers.setdefault(urlsplit(url).path, self._root())
        self._know(answer)
        begin(answer)
        return answer

    def _watch(self, remote: Any, method: str, suffix: str, made: Callable[[], Any]) -> None:
        stock = getattr(remote, method)

        def look(place: Any, key: Any, *rest: Any) -> Any:
            self._depth += 1  # ccxt's methods call each other, and the outermost knows best
            found = stock(place, key, *rest)
            self._depth -= 1
            keys = {"": [key], "_2": [key, *rest[:1]], "_n": key}[suffix]
            if self._depth == 0 and self._lacks(place, keys):
                place[keys[0]] = made()
                self._know(place)
                self._grew = True
                return stock(place, key, *rest)
            return found

        setattr(remote, method, look)

    def _lacks(self, place: Any, keys: list[Any]) -> bool:
        known = self._grows and self._nodes.get(id(place)) is place
        return known and isinstance(place, dict) and not any(key in place for key in keys)

    def _know(self, node: Any) -> None:
        self._nodes |= {id(each): each for each in _nodes(node)}


def lists(node: Any) -> Iterator[list[Any]]:
    return (each for each in _nodes(node) if isinstance(each, list))


def maps(node: Any) -> Iterator[dict[str, Any]]:
    """Return the objects that hold neither objects nor lists."""
    for each in _nodes(node):
        if isinstance(each, dict) and not any(isinstance(v, dict | list) for v in each.values()):
            yield each


def _nodes(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        yield node
        for each in node.values() if isinstance(node, dict) else node:
            yield from _nodes(each)
