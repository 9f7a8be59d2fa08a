"""Binance as it talks: HMAC over the query, errors as negative codes."""

from bridge.paper.binance_markets import exchange_info
from bridge.paper.ledger import Account, Ledger
from bridge.paper.wire import Asked, Said, number, same, sha256_hex

NAME = "binance"
HOSTS = ("binance.com", "binance.vision", "binancefuture.com")
IP = Said({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
CLOCK = Said(
    {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, 400
)
BUSY = {"code": -1003, "msg": "Too much request weight used; current limit is 6000 per 1 MINUTE."}


def classed(path: str) -> str:
    if path.endswith("/exchangeInfo"):
        return "markets"
    return "account" if path in _PRIVATE else "other"


def answer(asked: Asked, ledger: Ledger) -> Said:
    match asked.path:
        case "/api/v3/ping":
            return Said({})
        case "/api/v3/time":
            return Said({"serverTime": asked.now_ms})
        case "/api/v3/exchangeInfo":
            return Said(exchange_info(ledger.markets, asked.now_ms))
        case "/fapi/v1/exchangeInfo" | "/dapi/v1/exchangeInfo":
            return Said({"timezone": "UTC", "serverTime": asked.now_ms, "symbols": []})
        case path if path in _PRIVATE:
            return _private(asked, ledger)
        case _:
            return Said({"code": -1, "msg": "no such endpoint on paper"}, 404)


def _private(asked: Asked, ledger: Ledger) -> Said:
    key = asked.headers.get("x-mbx-apikey", "")
    if not key.isascii() or not key:
        return Said({"code": -2014, "msg": "API-key format invalid."}, 401)
    account = ledger.find(NAME, key)
    if account is None:
        return IP
    query, _, signature = asked.query.partition("&signature=")
    if not same(sha256_hex(account.api_secret, query), signature):
        return Said({"code": -1022, "msg": "Signature for this request is not valid."}, 400)
    window = number(asked.param("recvWindow")) or 5000
    if not -window <= number(asked.param("timestamp")) - asked.now_ms <= 1000:
        return CLOCK
    return _PRIVATE[asked.path](asked, account)


def _account(asked: Asked, account: Account) -> Said:
    balances = [{"asset": a, "free": v, "locked": "0"} for a, v in account.balances.items()]
    return Said(
        {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": True,
            "accountType": "SPOT",
            "updateTime": asked.now_ms,
            "balances": [*balances, {"asset": "BNB", "free": "0.00000000", "locked": "0"}],
            "permissions": ["SPOT"],
        }
    )


def _coins(_asked: Asked, account: Account) -> Said:
    return Said([{"coin": a, "name": a, "networkList": []} for a in account.balances])


def _nothing(_asked: Asked, _account: Account) -> Said:
    return Said([])


_PRIVATE = {
    "/api/v3/account": _account,
    "/sapi/v1/capital/config/getall": _coins,
    "/sapi/v1/margin/allPairs": _nothing,
    "/sapi/v1/margin/isolated/allPairs": _nothing,
}
