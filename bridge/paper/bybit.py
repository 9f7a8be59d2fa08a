"""Bybit as it talks: always 200, the truth is in retCode."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.paper import orders
from bridge.paper.bybit_markets import instruments
from bridge.paper.ledger import Account, Ledger, Order, Right, Side, names, plain
from bridge.paper.wire import Asked, Said, number, same, sha256_hex

NAME = "bybit"
HOSTS = ("bybit.com", "bytick.com")


def _no(code: int, message: str) -> Said:
    return Said({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}})


IP = _no(10010, "Unmatched IP, please check your API key's bound IP addresses.")
EXPIRED = _no(33004, "Your api key has expired.")
CLOCK = _no(10002, "invalid request, please check your server timestamp or recv_window param.")
BUSY = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}


KEY = "x-bapi-api-key"


def classed(path: str) -> str:
    if path.endswith("/instruments-info"):
        return "markets"
    if path in _PRIVATE:
        return "orders" if path.startswith("/v5/order/") else "account"
    return "other"


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/v5/market/time":
            seconds = str(asked.now_ms // 1000)
            return _yes(asked, {"timeSecond": seconds, "timeNano": f"{asked.now_ms}000000"})
        case "/v5/market/instruments-info":
            return _yes(asked, instruments(asked.param("category"), ledger.markets))
        case path if path in _PRIVATE:
            return _private(asked, ledger)
        case _:
            return Said({"retCode": 404, "retMsg": "no such endpoint on paper"}, 404)


def _yes(asked: Asked, result: dict[str, Any]) -> Said:
    return Said(
        {
            "retCode": 0,
            "retMsg": "OK",
            "result": result,
            "retExtInfo": {},
            "time": asked.now_ms,
        }
    )


def _private(asked: Asked, ledger: Ledger) -> Said:
    account = ledger.find(NAME, asked.headers.get(KEY, ""))
    if account is None:
        return _no(10003, "API key is invalid.")
    if account.is_over(asked.now_ms):
        return _no(33004, "Your api key has expired.")
    if not account.lets_in(asked.address):
        return IP
    return _wrong(asked, account) or _told(asked, account)


def _wrong(asked: Asked, account: Account) -> Said | None:
    headers = asked.headers
    stamp, window = headers.get("x-bapi-timestamp", ""), headers.get("x-bapi-recv-window", "")
    origin = stamp + account.api_key + window + (asked.body or asked.query)
    if not same(sha256_hex(account.api_secret, origin), headers.get("x-bapi-sign", "")):
        # The real one quotes what it expected to be signed, API key included.
        return _no(10004, f"error sign! origin_string[{origin}]")
    in_time = -(number(window) or 5000) <= number(stamp) - asked.now_ms <= 1000
    return None if in_time else CLOCK


def _told(asked: Asked, account: Account) -> Said:
    right, tell = _PRIVATE[asked.path]
    if right not in account.rights:
        return _no(10005, "Permission denied, please check your API key permissions.")
    try:
        return _yes(asked, tell(asked, account))
    except _Wrong as wrong:
        return _no(*wrong.args)
    except orders.NoFunds:
        return _no(170131, "Insufficient balance.")


_WORDS: Mapping[Right, tuple[str, ...]] = {
    "read": (),
    "trade": ("SpotTrade",),
    "withdraw": ("AccountTransfer", "Withdraw"),
}


def _api_key(_asked: Asked, account: Account) -> dict[str, Any]:
    """Tell what the key may do; without `trade` and `withdraw` it is a read-only one."""
    may, expires = account.rights, account.expires_ms // 1000
    return {
        "id": "13770661",
        "note": "paper",
        "apiKey": account.api_key,
        "readOnly": int(may <= {"read"}),
        "secret": "",
        "permissions": {
            "ContractTrade": [],
            "Spot": names(may & {"trade"}, _WORDS),
            "Wallet": names(may & {"withdraw"}, _WORDS),
            "Options": [],
            "Derivatives": [],
            "Exchange": [],
        },
        "ips": list(account.addresses) or ["*"],
        "type": 1,
        "deadlineDay": 83 if expires else -2,
        "expiredAt": datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "createdAt": "2026-01-16T02:24:40Z",
        "unified": 0,
        "uta": int(not account.classic),
        "userID": 24617703,
        "isMaster": True,
    }


def _info(_asked: Asked, account: Account) -> dict[str, Any]:
    status = 1 if account.classic else 6
    return {"unifiedMarginStatus": status, "marginMode": "REGULAR_MARGIN"}


def _wallet(asked: Asked, account: Account) -> dict[str, Any]:
    kind = "SPOT" if account.classic else "UNIFIED"
    asks_here = asked.param("accountType") == kind
    if not (asks_here or account.classic):
        raise _Wrong(10001, "accountType only support UNIFIED.")
    coins = [_coin(account, asset) for asset in account.balances] if asks_here else []
    return {"list": [{"accountType": kind, "totalEquity": "0", "coin": coins}]}


def _coin(account: Account, asset: str) -> dict[str, str]:
    amount = account.balances[asset]
    nothing = ("totalOrderIM", "totalPositionIM", "borrowAmount", "accruedInterest")
    return {
        "coin": asset,
        "equity": amount,
        "walletBalance": amount,
        "locked": account.locked(asset),
        **dict.fromkeys(nothing, "0"),
    }


def _funding(asked: Asked, account: Account) -> dict[str, Any]:
    found = account.funding if asked.param("accountType") == "FUND" else {}
    rows = [
        {"coin": a, "walletBalance": v, "transferBalance": v, "bonus": ""} for a, v in found.items()
    ]
    return {"memberId": "24617703", "accountType": "FUND", "balance": rows}


def _coins(_asked: Asked, account: Account) -> dict[str, Any]:
    return {"rows": [{"name": a, "coin": a, "chains": []} for a in account.balances]}


class _Wrong(Exception):
    """Bybit's code and words."""


def _create(asked: Asked, account: Account) -> dict[str, str]:
    sent = json.loads(asked.body)
    pair, amount = orders.split(str(sent.get("symbol"))), orders.decimal(str(sent.get("qty")))
    if pair is None or amount is None:
        raise _Wrong(170130, "Data sent for parameter 'symbol' or 'qty' is not valid.")
    side: Side = "buy" if sent.get("side") == "Buy" else "sell"
    limit = orders.decimal(str(sent.get("price"))) if sent.get("orderType") == "Limit" else None
    made = orders.place(account, pair, side, amount, limit, asked.now_ms)
    return {"orderId": made.id, "orderLinkId": ""}


def _cancel(asked: Asked, account: Account) -> dict[str, str]:
    order_id = str(json.loads(asked.body).get("orderId"))
    if orders.cancel(account, order_id) is None:
        raise _Wrong(170213, "Order does not exist.")
    return {"orderId": order_id, "orderLinkId": ""}


def _orders(asked: Asked, account: Account) -> dict[str, Any]:
    """List one order, in whatever state, or all that are open."""
    order_id = asked.param("orderId")
    found = [
        _shown(order)
        for order in account.orders.values()
        if (order.id == order_id if order_id else order.state == "open")
    ]
    return {"category": "spot", "list": found, "nextPageCursor": ""}


_STATES = {"open": "New", "filled": "Filled", "canceled": "Cancelled"}


def _shown(order: Order) -> dict[str, str]:
    return {
        "orderId": order.id,
        "orderLinkId": "",
        "symbol": "".join(order.pair),
        "side": order.side.capitalize(),
        "orderType": "Market" if order.at_market else "Limit",
        "orderStatus": _STATES[order.state],
        "price": "0" if order.at_market else plain(order.price),
        "avgPrice": plain(order.price) if order.state == "filled" else "",
        "qty": plain(order.amount),
        "cumExecQty": plain(order.filled),
        "cumExecValue": plain(order.filled * order.price),
        "leavesQty": plain(order.amount - order.filled),
        "timeInForce": "GTC",
        "createdTime": str(order.at_ms),
        "updatedTime": str(order.at_ms),
    }


_PRIVATE: Mapping[str, tuple[Right, Callable[[Asked, Account], dict[str, Any]]]] = {
    "/v5/user/query-api": ("read", _api_key),
    "/v5/account/info": ("read", _info),
    "/v5/account/wallet-balance": ("read", _wallet),
    "/v5/asset/coin/query-info": ("read", _coins),
    "/v5/order/cancel": ("trade", _cancel),
    "/v5/order/create": ("trade", _create),
    "/v5/order/realtime": ("read", _orders),
    "/v5/asset/transfer/query-account-coins-balance": ("read", _funding),
}
