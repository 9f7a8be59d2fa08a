"""OKX as it talks: HMAC in base64 over time, method and path, with a passphrase beside it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from bridge.paper.ledger import Account, Ledger, Right, names
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
    return _yes(tell(asked, account))


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


_CLASSES = {
    "/api/v5/account/balance": "account",
    "/api/v5/account/config": "rights",
    "/api/v5/asset/balances": "account",
    "/api/v5/asset/currencies": "account",
}
_PRIVATE: Mapping[tuple[str, str], tuple[Right, Callable[[Asked, Account], list[Any]]]] = {
    ("GET", "/api/v5/account/balance"): ("read", _balance),
    ("GET", "/api/v5/account/config"): ("read", _config),
    ("GET", "/api/v5/asset/balances"): ("read", _funding),
    ("GET", "/api/v5/asset/currencies"): ("read", _currencies),
}
