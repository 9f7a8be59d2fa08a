"""Kraken as it talks: HMAC-SHA512 with a base64 secret, a rising nonce, assets called XXBT."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

from bridge.paper import orders
from bridge.paper.kraken_markets import OLD_NAMES, asset, pair
from bridge.paper.ledger import Account, Ledger, Order, Right, Side, names, plain
from bridge.paper.markets import Pair
from bridge.paper.wire import Asked, Said, number, same

NAME = "kraken"
KEY = "api-key"
HOSTS = ("kraken.com",)
_WINDOW_MS = 60_000


def _no(error: str) -> Said:
    return Said({"error": [error]})


IP = _no("EGeneral:Permission denied")
EXPIRED = _no("EAPI:Invalid key")
CLOCK = _no("EAPI:Invalid nonce")
BUSY = {"error": ["EAPI:Rate limit exceeded"]}


def classed(path: str) -> str:
    known = {
        "/0/private/AddOrder": "orders",
        "/0/private/CancelOrder": "orders",
        "/0/private/OpenOrders": "orders",
        "/0/private/QueryOrders": "orders",
        "/0/private/GetApiKeyInfo": "rights",
        "/0/public/Assets": "currencies",
        "/0/public/AssetPairs": "markets",
    }
    return known.get(path) or ("account" if path.startswith("/0/private/") else "other")


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/0/public/Time":
            return _yes({"unixtime": asked.now_ms // 1000, "rfc1123": ""})
        case "/0/public/Assets":
            return _yes(dict(asset(name) for name in ledger.assets()))
        case "/0/public/AssetPairs":
            return _yes(dict(pair(base, quote) for base, quote in ledger.markets))
        case path if path in _PRIVATE:
            return _private(asked, ledger)
        case _:
            return _no("EGeneral:Unknown method")


def _yes(result: dict[str, Any]) -> Said:
    return Said({"error": [], "result": result})


def _private(asked: Asked, ledger: Ledger) -> Said:
    account = ledger.find(NAME, asked.headers.get(KEY, ""))
    if account is None or account.is_over(asked.now_ms):
        return _no("EAPI:Invalid key")
    if not account.lets_in(asked.address):
        return IP
    return _wrong(asked, account) or _told(asked, account)


def _wrong(asked: Asked, account: Account) -> Said | None:
    nonce = asked.posted().get("nonce", "")
    if not same(_signed(account, asked, nonce), asked.headers.get("api-sign", "")):
        return _no("EAPI:Invalid signature")
    if number(nonce) <= account.last_nonce:
        return CLOCK
    account.last_nonce = number(nonce)
    return None


def _told(asked: Asked, account: Account) -> Said:
    right, tell = _PRIVATE[asked.path]
    if right not in (None, *account.rights):
        return IP
    try:
        return _yes(tell(asked, account))
    except _Wrong as wrong:
        return _no(str(wrong))
    except orders.NoFunds:
        return _no("EOrder:Insufficient funds")


def _signed(account: Account, asked: Asked, nonce: str) -> str:
    try:
        secret = base64.b64decode(account.api_secret, validate=True)
    except binascii.Error:
        return ""
    inner = hashlib.sha256((nonce + asked.body).encode()).digest()
    return base64.b64encode(hmac.digest(secret, asked.path.encode() + inner, "sha512")).decode()


def _balances(_asked: Asked, account: Account) -> dict[str, Any]:
    return {OLD_NAMES.get(asset, asset): amount for asset, amount in account.balances.items()}


def _balances_with_holds(_asked: Asked, account: Account) -> dict[str, Any]:
    return {
        OLD_NAMES.get(asset, asset): {"balance": amount, "hold_trade": account.locked(asset)}
        for asset, amount in account.balances.items()
    }


class _Wrong(Exception):
    """Its text is the error as Kraken names it."""


def _add_order(asked: Asked, account: Account) -> dict[str, Any]:
    sent = asked.posted()
    pair, amount = _pair(sent.get("pair", "")), orders.decimal(sent.get("volume", ""))
    if pair is None or amount is None:
        raise _Wrong("EGeneral:Invalid arguments" if pair else "EQuery:Unknown asset pair")
    side: Side = "buy" if sent.get("type") == "buy" else "sell"
    limit = orders.decimal(sent["price"]) if sent.get("ordertype") == "limit" else None
    made = orders.place(account, pair, side, amount, limit, asked.now_ms)
    return {"descr": {"order": _words(made)}, "txid": [made.id]}


def _pair(name: str) -> Pair | None:
    """Read a pair of Kraken's: old names or new, in one word."""
    for new, old in {**OLD_NAMES, "BTC": "XBT"}.items():
        name = name.replace(OLD_NAMES.get(new, old), new).replace(old, new)
    return orders.split(name)


def _words(order: Order) -> str:
    end = "market" if order.at_market else f"limit {plain(order.price)}"
    return f"{order.side} {plain(order.amount)} {''.join(order.pair)} @ {end}"


def _cancel_order(asked: Asked, account: Account) -> dict[str, Any]:
    if orders.cancel(account, asked.posted().get("txid", "")) is None:
        raise _Wrong("EOrder:Unknown order")
    return {"count": 1}


def _query_orders(asked: Asked, account: Account) -> dict[str, Any]:
    found = account.orders.get(asked.posted().get("txid", ""))
    if found is None:
        raise _Wrong("EOrder:Unknown order")
    return {found.id: _shown(found)}


def _open_orders(_asked: Asked, account: Account) -> dict[str, Any]:
    found = account.orders.values()
    return {"open": {order.id: _shown(order) for order in found if order.state == "open"}}


_STATES = {"open": "open", "filled": "closed", "canceled": "canceled"}


def _shown(order: Order) -> dict[str, Any]:
    return {
        "status": _STATES[order.state],
        "opentm": order.at_ms / 1000,
        "descr": {
            "pair": pair(*order.pair)[1]["altname"],
            "type": order.side,
            "ordertype": "market" if order.at_market else "limit",
            "price": "0" if order.at_market else plain(order.price),
            "price2": "0",
            "order": _words(order),
        },
        "vol": plain(order.amount),
        "vol_exec": plain(order.filled),
        "cost": plain(order.filled * order.price),
        "fee": "0",
        "price": plain(order.price) if order.state == "filled" else "0",
        "oflags": "fciq",
        "trades": [],
    }


_WORDS: Mapping[Right, tuple[str, ...]] = {
    "read": ("query-funds", "query-open-trades", "query-closed-trades"),
    "trade": ("modify-trades", "close-trades"),
    "withdraw": ("withdraw-funds",),
}


def _key_info(_asked: Asked, account: Account) -> dict[str, Any]:
    return {
        "apiKeyName": "paper",
        "apiKey": account.api_key,
        "nonce": str(account.last_nonce),
        "nonceWindow": 0,
        "permissions": names(account.rights, _WORDS),
        "iban": "AA88 N84G WOAK NMOI",
        "validUntil": str(account.expires_ms // 1000),
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": "1772542900",
        "modifiedTime": "1772543095",
        "ipAllowlist": list(account.addresses),
        "lastUsed": None,
    }


# Kraken's own table wants no right at all for the key's information.
_PRIVATE: Mapping[str, tuple[Right | None, Callable[[Asked, Account], dict[str, Any]]]] = {
    "/0/private/Balance": ("read", _balances),
    "/0/private/BalanceEx": ("read", _balances_with_holds),
    "/0/private/GetApiKeyInfo": (None, _key_info),
    "/0/private/AddOrder": ("trade", _add_order),
    "/0/private/CancelOrder": ("trade", _cancel_order),
    "/0/private/OpenOrders": ("read", _open_orders),
    "/0/private/QueryOrders": ("read", _query_orders),
}
