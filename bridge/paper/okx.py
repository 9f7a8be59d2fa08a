"""OKX as it talks: HMAC in base64 over time, method and path, with a passphrase beside it."""

from datetime import datetime
from typing import Any

from bridge.paper.ledger import Account, Ledger
from bridge.paper.okx_markets import instruments
from bridge.paper.wire import Asked, Said, same, sha256_base64

NAME = "okx"
HOSTS = ("okx.com",)
_WINDOW_MS = 30_000


def _no(code: str, message: str, status: int = 401) -> Said:
    return Said({"msg": message, "code": code}, status)


IP = _no("50110", "Your IP is not included in your API key's IP whitelist.")
CLOCK = _no("50102", "Timestamp request expired")
BUSY = {"msg": "Too Many Requests", "code": "50011"}


def classed(path: str) -> str:
    if path.endswith("/public/instruments"):
        return "markets"
    return "account" if path.startswith(_PRIVATE) else "other"


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/api/v5/public/time":
            return _yes([{"ts": str(asked.now_ms)}])
        case "/api/v5/public/instruments":
            return _yes(instruments(asked.param("instType"), ledger.markets))
        case path if path.startswith(_PRIVATE):
            return _private(asked, ledger)
        case _:
            return _no("404", "no such endpoint on paper", 404)


_PRIVATE = ("/api/v5/account/", "/api/v5/asset/")


def _yes(data: list[Any]) -> Said:
    return Said({"code": "0", "data": data, "msg": ""})


def _private(asked: Asked, ledger: Ledger) -> Said:
    key = asked.headers.get("ok-access-key", "")
    if not key:
        return _no("50103", 'Request header "OK-ACCESS-KEY" cannot be empty.')
    account = ledger.find(NAME, key)
    return _no("50111", "Invalid OK-ACCESS-KEY.") if account is None else _known(asked, account)


def _known(asked: Asked, account: Account) -> Said:
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
    return _yes(_told(asked, account))


def _millis(stamp: str) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp() * 1000
    except ValueError:
        return None


def _told(asked: Asked, account: Account) -> list[Any]:
    if asked.path != "/api/v5/account/balance":
        return [{"ccy": asset, "name": asset} for asset in account.balances]
    details = [_detail(asset, amount) for asset, amount in account.balances.items()]
    return [{"uTime": str(asked.now_ms), "totalEq": "0", "details": details}]


def _detail(asset: str, amount: str) -> dict[str, str]:
    return {
        "ccy": asset,
        "eq": amount,
        "cashBal": amount,
        "availBal": amount,
        "availEq": amount,
        "frozenBal": "0",
    }
