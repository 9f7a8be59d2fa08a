"""KuCoin as it talks: the passphrase is signed too."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from bridge.paper import orders
from bridge.paper.kucoin_markets import currency, symbol
from bridge.paper.ledger import Account, Ledger, Order, Right, Side, names, plain
from bridge.paper.wire import Asked, Said, number, same, sha256_base64

NAME = "kucoin"
KEY = "kc-api-key"
HOSTS = ("kucoin.com",)
_WINDOW_MS = 5_000


def _no(code: str, message: str, status: int = 401) -> Said:
    return Said({"code": code, "msg": message}, status)


IP = _no("400006", "The requested ip address is not in the api whitelist")
EXPIRED = _no("400003", "KC-API-KEY not exists")
CLOCK = _no("400002", "KC-API-TIMESTAMP Invalid")
BUSY = {"code": "429000", "msg": "Too Many Requests"}


def classed(path: str) -> str:
    if path.endswith("/currencies"):
        return "currencies"
    if path.startswith(_ORDERS):
        return "orders"
    if path in _PRIVATE:
        return "rights" if path == "/api/v1/user/api-key" else "account"
    return "markets" if path.endswith(("/symbols", "/allTickers", "/active")) else "other"


def answer(asked: Asked, ledger: Ledger) -> Said:
    if asked.path in _PRIVATE or asked.path.startswith(_ORDERS):
        return _private(asked, ledger)
    if asked.path in _PUBLIC:
        return _yes(_PUBLIC[asked.path](asked, ledger))
    return _no("404000", "no such endpoint on paper", 404)


def _yes(data: Any) -> Said:
    return Said({"code": "200000", "data": data})


def _private(asked: Asked, ledger: Ledger) -> Said:
    headers = asked.headers
    if not all(headers.get(f"kc-api-{name}") for name in ("key", "sign", "timestamp")):
        return _no("400001", "Please check the header of your request for KC-API-KEY")
    account = ledger.find(NAME, headers["kc-api-key"])
    if account is None or account.is_over(asked.now_ms):
        return _no("400003", "KC-API-KEY not exists")
    if not account.lets_in(asked.address):
        return IP
    return _wrong(asked, account) or _told(asked, account)


def _told(asked: Asked, account: Account) -> Said:
    right, tell = _PRIVATE.get(asked.path) or _ordering(asked)
    if right not in account.rights:
        return _no("400007", "Require more permission", 200)
    try:
        return _yes(tell(asked, account))
    except _Wrong as wrong:
        code, words = wrong.args
        return _no(code, words, 200)
    except orders.NoFunds:
        return _no("200004", "Balance insufficient!", 200)


def _ordering(asked: Asked) -> tuple[Right, Callable[[Asked, Account], Any]]:
    match asked.method:
        case "POST":
            return "trade", _order
        case "DELETE":
            return "trade", _cancel
        case _:
            return "read", _open_orders if asked.path.endswith("/active") else _one_order


def _wrong(asked: Asked, account: Account) -> Said | None:
    headers = asked.headers
    stamp = headers["kc-api-timestamp"]
    if abs(number(stamp) - asked.now_ms) > _WINDOW_MS:
        return CLOCK
    signed = sha256_base64(account.api_secret, stamp + asked.method + asked.target + asked.body)
    if not same(signed, headers["kc-api-sign"]):
        return _no("400005", "Invalid KC-API-SIGN")
    if not same(_passphrase(asked, account), headers.get("kc-api-passphrase", "")):
        return _no("400004", "Invalid KC-API-PASSPHRASE")
    return None


def _passphrase(asked: Asked, account: Account) -> str:
    """Return what belongs into the header: from version 2 on, keys want it signed."""
    if asked.headers.get("kc-api-key-version", "1") == "1":
        return ""  # all keys on paper are newer
    return sha256_base64(account.api_secret, account.password)


def _accounts(asked: Asked, account: Account) -> list[Any]:
    """List one kind of account; who asks for the kind that this one is not finds it empty."""
    kind = asked.param("type")
    if kind == "main":
        return [_row(n, kind, a, v, v, "0") for n, (a, v) in enumerate(account.funding.items())]
    if kind != ("trade" if account.classic else "trade_hf"):
        return []
    return [
        _row(position, kind, asset, amount, account.free(asset), account.locked(asset))
        for position, (asset, amount) in enumerate(account.balances.items())
    ]


def _row(position: int, kind: str, asset: str, total: str, free: str, held: str) -> dict[str, str]:
    return {
        "id": f"{position:024x}",
        "currency": asset,
        "type": kind,
        "balance": total,
        "available": free,
        "holds": held,
    }


_ORDERS = "/api/v1/hf/orders"


class _Wrong(Exception):
    """KuCoin's code and words."""


def _order(asked: Asked, account: Account) -> dict[str, str]:
    sent = json.loads(asked.body)
    pair, amount = orders.split(str(sent.get("symbol"))), orders.decimal(str(sent.get("size")))
    if pair is None or amount is None:
        raise _Wrong("400100", "symbol or size is not valid")
    side: Side = "buy" if sent.get("side") == "buy" else "sell"
    limit = orders.decimal(str(sent.get("price"))) if sent.get("type") == "limit" else None
    made = orders.place(account, pair, side, amount, limit, asked.now_ms)
    return {"orderId": made.id, "clientOid": str(sent.get("clientOid", ""))}


def _cancel(asked: Asked, account: Account) -> dict[str, str]:
    found = orders.cancel(account, _named_in(asked))
    if found is None:
        raise _Wrong("400100", "order_not_exist_or_not_allow_to_cancel")
    return {"orderId": found.id}


def _one_order(asked: Asked, account: Account) -> dict[str, Any] | None:
    found = account.orders.get(_named_in(asked))
    return _shown(found) if found else None


def _open_orders(_asked: Asked, account: Account) -> list[Any]:
    return [_shown(order) for order in account.orders.values() if order.state == "open"]


def _named_in(asked: Asked) -> str:
    return asked.path.rpartition("/")[2]


def _shown(order: Order) -> dict[str, Any]:
    return {
        "id": order.id,
        "symbol": "-".join(order.pair),
        "opType": "DEAL",
        "type": "market" if order.at_market else "limit",
        "side": order.side,
        "price": "0" if order.at_market else plain(order.price),
        "size": plain(order.amount),
        "dealSize": plain(order.filled),
        "dealFunds": plain(order.filled * order.price),
        "fee": "0",
        "feeCurrency": order.pair[1],
        "timeInForce": "GTC",
        "tradeType": "TRADE",
        "active": order.state == "open",
        "inOrderBook": order.state == "open",
        "cancelExist": order.state == "canceled",
        "createdAt": order.at_ms,
        "lastUpdatedAt": order.at_ms,
    }


_WORDS: Mapping[Right, tuple[str, ...]] = {
    "read": ("General",),
    "trade": ("Spot",),
    "withdraw": ("Transfer",),
}


def _api_key(asked: Asked, account: Account) -> dict[str, Any]:
    told = {
        "remark": "paper",
        "apiKey": account.api_key,
        "apiVersion": 3,
        "permission": ",".join(names(account.rights, _WORDS)),
        "createdAt": asked.now_ms - 86_400_000,
        "uid": 165111215,
        "isMaster": True,
    }
    return told | ({"ipWhitelist": ",".join(account.addresses)} if account.addresses else {})


def _mode(_asked: Asked, _account: Account) -> dict[str, str]:
    return {"selfAccountMode": "CLASSIC"}


def _opened(_asked: Asked, account: Account) -> bool:
    return not account.classic


def _no_margin(_asked: Asked, _account: Account) -> dict[str, Any]:
    return {"timestamp": 0, "items": []}


def _no_isolated(_asked: Asked, _account: Account) -> list[Any]:
    return []


_PRIVATE: Mapping[str, tuple[Right, Callable[[Asked, Account], Any]]] = {
    "/api/v3/margin/symbols": ("read", _no_margin),
    "/api/v1/isolated/symbols": ("read", _no_isolated),
    "/api/v1/accounts": ("read", _accounts),
    "/api/ua/v1/account/mode": ("read", _mode),
    "/api/v1/hf/accounts/opened": ("read", _opened),
    "/api/v1/user/api-key": ("read", _api_key),
}


def _symbols(_asked: Asked, ledger: Ledger) -> list[Any]:
    return [symbol(base, quote) for base, quote in ledger.markets]


def _currencies(_asked: Asked, ledger: Ledger) -> list[Any]:
    return [currency(asset) for asset in ledger.assets()]


_PUBLIC: dict[str, Callable[[Asked, Ledger], Any]] = {
    "/api/v1/timestamp": lambda asked, _: asked.now_ms,
    "/api/v2/symbols": _symbols,
    "/api/v3/currencies": _currencies,
    "/api/v1/market/allTickers": lambda asked, _: {"time": asked.now_ms, "ticker": []},
    "/api/v1/contracts/active": lambda _asked, _: [],
}
