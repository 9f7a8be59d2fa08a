"""Bybit as it talks: always 200, the truth is in retCode."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from bridge.paper.bybit_markets import instruments
from bridge.paper.ledger import Account, Ledger, Right, names
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
    return _yes(asked, tell(asked, account))


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


_PRIVATE: Mapping[str, tuple[Right, Callable[[Asked, Account], dict[str, Any]]]] = {
    "/v5/user/query-api": ("read", _api_key),
    "/v5/account/info": ("read", _info),
    "/v5/account/wallet-balance": ("read", _wallet),
    "/v5/asset/coin/query-info": ("read", _coins),
    "/v5/asset/transfer/query-account-coins-balance": ("read", _funding),
}
