"""OKX as it talks: HMAC in base64 over time, method and path, with a passphrase beside it."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bridge.paper import orders
from bridge.paper.ledger import Account, Ledger, Order, Right, Side, names, plain
from bridge.paper.okx_markets import instruments
from bridge.paper.wire import Asked, Said, same, sha256_base64

NAME = "okx"
KEY = "ok-access-key"
HOSTS = ("okx.com",)
_WINDOW_MS = 30_000


def _no(code: str, message: str, status: int = 401) -> Said:
    return Said({"msg": message, "code": code}, status)


IP = _no("50110", "Your IP is not included in your API key's IP whitelist.")
EXPIRED = _no("50119", "API key doesn't exist")
CLOCK = _no("50102", "Timestamp request expired")
BUSY = {"msg": "Too Many Requests", "code": "50011"}


def classed(path: str) -> str:
    if path.endswith("/public/instruments"):
        return "markets"
    return _CLASSES.get(path, "other")


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/api/v5/public/time":
            return _yes([{"ts": str(asked.now_ms)}])
        case "/api/v5/public/instruments":
            return _yes(instruments(asked.param("instType"), ledger.markets))
        case path if path in _CLASSES:
            return _private(asked, ledger)
        case _:
            return _no("404", "no such endpoint on paper", 404)


def _yes(data: list[Any]) -> Said:
    return Said({"code": "0", "data": data, "msg": ""})


def _said(data: list[Any]) -> Said:
    """Say it; where all that was asked for has failed, the whole has."""
    failed = data and all(each.get("sCode", "0") != "0" for each in data)
    return Said({"code": "1", "data": data, "msg": ""}) if failed else _yes(data)


def _private(asked: Asked, ledger: Ledger) -> Said:
    key = asked.headers.get(KEY, "")
    if not key:
        return _no("50103", 'Request header "OK-ACCESS-KEY" cannot be empty.')
    account = ledger.find(NAME, key)
    if account is None:
        return _no("50111", "Invalid OK-ACCESS-KEY.")
    if account.is_over(asked.now_ms):
        return _no("50119", "API key doesn't exist.")
    if not account.lets_in(asked.address):
        return IP
    return _wrong(asked, account) or _told(asked, account)


def _wrong(asked: Asked, account: Account) -> Said | None:
    stamp = asked.headers.get("ok-access-timestamp", "")
    then = _millis(stamp)
    if then is None:
        return _no("50112", "Invalid OK-ACCESS-TIMESTAMP.")
    if abs(then - asked.now_ms) > _WINDOW_MS:
        return CLOCK
    signed = sha256_base64(account.api_secret, stamp + asked.method + asked.target + asked.body)
    if not same(signed, asked.headers.get("ok-access-sign", "")):
        return _no("50113", "Invalid Sign")
    if not same(account.password, asked.headers.get("ok-access-passphrase", "")):
        return _no("50105", "OK-ACCESS-PASSPHRASE incorrect")
    return None


def _millis(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp() * 1000
    except ValueError:
        return None


def _told(asked: Asked, account: Account) -> Said:
    found = _PRIVATE.get((asked.method, asked.path))
    if found is None:
        return _no("404", "no such method on paper", 404)
    right, tell = found
    if right not in account.rights:
        return _no("50120", "This API key doesn't have permission to use this function.")
    return _said(tell(asked, account))


def _balance(asked: Asked, account: Account) -> list[Any]:
    details = [_detail(account, asset) for asset in account.balances]
    return [{"uTime": str(asked.now_ms), "totalEq": "0", "details": details}]


def _detail(account: Account, asset: str) -> dict[str, str]:
    amount, free = account.balances[asset], account.free(asset)
    return {
        "ccy": asset,
        "eq": amount,
        "cashBal": amount,
        "availBal": free,
        "availEq": free,
        "frozenBal": account.locked(asset),
    }


def _funding(_asked: Asked, account: Account) -> list[Any]:
    return [
        {"ccy": asset, "bal": amount, "availBal": amount, "frozenBal": "0"}
        for asset, amount in account.funding.items()
    ]


_WORDS: Mapping[Right, tuple[str, ...]] = {
    "read": ("read_only",),
    "trade": ("trade",),
    "withdraw": ("withdraw",),
}


def _config(_asked: Asked, account: Account) -> list[Any]:
    return [
        {
            "uid": "44705892343619584",
            "mainUid": "44705892343619584",
            "acctLv": "2",
            "autoLoan": False,
            "ctIsoMode": "automatic",
            "greeksType": "PA",
            "ip": ",".join(account.addresses),
            "kycLv": "3",
            "label": "paper",
            "level": "Lv1",
            "perm": ",".join(names(account.rights, _WORDS)),
            "posMode": "net_mode",
            "roleType": "0",
            "type": "0",
        }
    ]


def _currencies(_asked: Asked, account: Account) -> list[Any]:
    return [{"ccy": asset, "name": asset} for asset in account.balances]


def _order(asked: Asked, account: Account) -> list[Any]:
    """Place orders: one as an object, or a list of them."""
    sent = json.loads(asked.body)
    return [_placed(each, asked, account) for each in (sent if isinstance(sent, list) else [sent])]


def _placed(sent: dict[str, Any], asked: Asked, account: Account) -> dict[str, str]:
    pair, amount = orders.split(str(sent.get("instId"))), orders.decimal(str(sent.get("sz")))
    if pair is None or amount is None:
        return _failed("51000", "Parameter instId or sz error")
    side: Side = "buy" if sent.get("side") == "buy" else "sell"
    limit = orders.decimal(str(sent.get("px"))) if sent.get("ordType") != "market" else None
    try:
        made = orders.place(account, pair, side, amount, limit, asked.now_ms)
    except orders.NoFunds:
        return _failed("51008", "Order failed. Insufficient balance in account.")
    return {"ordId": made.id, "clOrdId": "", "tag": "", "sCode": "0", "sMsg": ""}


def _failed(code: str, words: str) -> dict[str, str]:
    return {"ordId": "", "clOrdId": "", "sCode": code, "sMsg": words}


def _cancel(asked: Asked, account: Account) -> list[Any]:
    order_id = str(json.loads(asked.body).get("ordId"))
    if orders.cancel(account, order_id) is None:
        return [_failed("51400", "Cancellation failed as the order does not exist.")]
    return [{"ordId": order_id, "clOrdId": "", "sCode": "0", "sMsg": ""}]


def _one_order(asked: Asked, account: Account) -> list[Any]:
    found = account.orders.get(asked.param("ordId"))
    return [_shown(found)] if found else []


def _open_orders(_asked: Asked, account: Account) -> list[Any]:
    return [_shown(order) for order in account.orders.values() if order.state == "open"]


_STATES = {"open": "live", "filled": "filled", "canceled": "canceled"}


def _shown(order: Order) -> dict[str, str]:
    return {
        "instType": "SPOT",
        "instId": "-".join(order.pair),
        "ordId": order.id,
        "clOrdId": "",
        "ordType": "market" if order.at_market else "limit",
        "side": order.side,
        "px": "" if order.at_market else plain(order.price),
        "sz": plain(order.amount),
        "accFillSz": plain(order.filled),
        "avgPx": plain(order.price) if order.state == "filled" else "",
        "state": _STATES[order.state],
        "tdMode": "cash",
        "cTime": str(order.at_ms),
        "uTime": str(order.at_ms),
    }


_CLASSES = {
    "/api/v5/account/balance": "account",
    "/api/v5/account/config": "rights",
    "/api/v5/asset/balances": "account",
    "/api/v5/asset/currencies": "account",
    "/api/v5/trade/batch-orders": "orders",
    "/api/v5/trade/cancel-order": "orders",
    "/api/v5/trade/order": "orders",
    "/api/v5/trade/orders-pending": "orders",
}
_PRIVATE: Mapping[tuple[str, str], tuple[Right, Callable[[Asked, Account], list[Any]]]] = {
    ("GET", "/api/v5/account/balance"): ("read", _balance),
    ("GET", "/api/v5/account/config"): ("read", _config),
    ("GET", "/api/v5/asset/balances"): ("read", _funding),
    ("GET", "/api/v5/asset/currencies"): ("read", _currencies),
    ("POST", "/api/v5/trade/batch-orders"): ("trade", _order),
    ("POST", "/api/v5/trade/cancel-order"): ("trade", _cancel),
    ("GET", "/api/v5/trade/order"): ("read", _one_order),
    ("POST", "/api/v5/trade/order"): ("trade", _order),
    ("GET", "/api/v5/trade/orders-pending"): ("read", _open_orders),
}
