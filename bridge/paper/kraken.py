"""Kraken as it talks: HMAC-SHA512 with a base64 secret, a rising nonce, assets called XXBT."""

import base64
import binascii
import hashlib
import hmac
from typing import Any
from urllib.parse import parse_qs

from bridge.paper.kraken_markets import OLD_NAMES, asset, pair
from bridge.paper.ledger import Account, Ledger
from bridge.paper.wire import Asked, Said, number, same

NAME = "kraken"
HOSTS = ("kraken.com",)
_WINDOW_MS = 60_000


def _no(error: str) -> Said:
    return Said({"error": [error]})


IP = _no("EGeneral:Permission denied")
CLOCK = _no("EAPI:Invalid nonce")
BUSY = {"error": ["EAPI:Rate limit exceeded"]}


def classed(path: str) -> str:
    known = {"/0/public/Assets": "currencies", "/0/public/AssetPairs": "markets"}
    return known.get(path, "account" if path.startswith("/0/private/") else "other")


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/0/public/Time":
            return _yes({"unixtime": asked.now_ms // 1000, "rfc1123": ""})
        case "/0/public/Assets":
            return _yes(dict(asset(name) for name in ledger.assets()))
        case "/0/public/AssetPairs":
            return _yes(dict(pair(base, quote) for base, quote in ledger.markets))
        case "/0/private/BalanceEx" | "/0/private/Balance":
            return _private(asked, ledger)
        case _:
            return _no("EGeneral:Unknown method")


def _yes(result: dict[str, Any]) -> Said:
    return Said({"error": [], "result": result})


def _private(asked: Asked, ledger: Ledger) -> Said:
    account = ledger.find(NAME, asked.headers.get("api-key", ""))
    if account is None:
        return _no("EAPI:Invalid key")
    nonce = parse_qs(asked.body).get("nonce", [""])[0]
    if not same(_signed(account, asked, nonce), asked.headers.get("api-sign", "")):
        return _no("EAPI:Invalid signature")
    if number(nonce) <= account.last_nonce:
        return CLOCK
    account.last_nonce = number(nonce)
    return _yes(_balances(asked, account))


def _signed(account: Account, asked: Asked, nonce: str) -> str:
    try:
        secret = base64.b64decode(account.api_secret, validate=True)
    except binascii.Error:
        return ""
    inner = hashlib.sha256((nonce + asked.body).encode()).digest()
    return base64.b64encode(hmac.digest(secret, asked.path.encode() + inner, "sha512")).decode()


def _balances(asked: Asked, account: Account) -> dict[str, Any]:
    amounts = {OLD_NAMES.get(asset, asset): v for asset, v in account.balances.items()}
    if asked.path == "/0/private/Balance":
        return amounts
    return {asset: {"balance": v, "hold_trade": "0"} for asset, v in amounts.items()}
