"""Bybit as it talks: always 200, the truth is in retCode."""

from typing import Any

from bridge.paper.bybit_markets import instruments
from bridge.paper.ledger import Account, Ledger
from bridge.paper.wire import Asked, Said, number, same, sha256_hex

NAME = "bybit"
HOSTS = ("bybit.com", "bytick.com")


def _no(code: int, message: str) -> Said:
    return Said({"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}})


IP = _no(10010, "Unmatched IP, please check your API key's bound IP addresses.")
CLOCK = _no(10002, "invalid request, please check your server timestamp or recv_window param.")
BUSY = {"retCode": 10006, "retMsg": "Too many visits!", "result": {}}


def classed(path: str) -> str:
    if path.endswith("/instruments-info"):
        return "markets"
    return "account" if path in _PRIVATE else "other"


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
    headers = asked.headers
    account = ledger.find(NAME, headers.get("x-bapi-api-key", ""))
    if account is None:
        return _no(10003, "API key is invalid.")
    stamp, window = headers.get("x-bapi-timestamp", ""), headers.get("x-bapi-recv-window", "")
    origin = stamp + account.api_key + window + (asked.body or asked.query)
    if not same(sha256_hex(account.api_secret, origin), headers.get("x-bapi-sign", "")):
        # The real one quotes what it expected to be signed, API key included.
        return _no(10004, f"error sign! origin_string[{origin}]")
    if not -(number(window) or 5000) <= number(stamp) - asked.now_ms <= 1000:
        return CLOCK
    return _yes(asked, _PRIVATE[asked.path](account))


def _api_key(_account: Account) -> dict[str, Any]:
    return {"readOnly": 1, "unified": 0, "uta": 1, "permissions": {"Wallet": []}}


def _info(_account: Account) -> dict[str, Any]:
    return {"unifiedMarginStatus": 6, "marginMode": "REGULAR_MARGIN"}


def _wallet(account: Account) -> dict[str, Any]:
    coins = [
        {
            "coin": asset,
            "equity": amount,
            "walletBalance": amount,
            "locked": "0",
            "totalOrderIM": "0",
            "totalPositionIM": "0",
            "borrowAmount": "0",
            "accruedInterest": "0",
        }
        for asset, amount in account.balances.items()
    ]
    return {"list": [{"accountType": "UNIFIED", "totalEquity": "0", "coin": coins}]}


def _coins(account: Account) -> dict[str, Any]:
    return {"rows": [{"name": a, "coin": a, "chains": []} for a in account.balances]}


_PRIVATE = {
    "/v5/user/query-api": _api_key,
    "/v5/account/info": _info,
    "/v5/account/wallet-balance": _wallet,
    "/v5/asset/coin/query-info": _coins,
}
