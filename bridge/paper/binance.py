"""Binance as it talks: HMAC over the query, errors as negative codes."""

from collections.abc import Callable, Mapping
from typing import Any

from bridge.paper import orders
from bridge.paper.binance_markets import exchange_info
from bridge.paper.ledger import Account, Ledger, Order, Right, Side, plain
from bridge.paper.wire import Asked, Said, number, same, sha256_hex

NAME = "binance"
HOSTS = ("binance.com", "binance.vision", "binancefuture.com")
IP = Said({"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, 401)
EXPIRED = IP
CLOCK = Said(
    {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, 400
)
BUSY = {"code": -1003, "msg": "Too much request weight used; current limit is 6000 per 1 MINUTE."}


WINDOW = Said({"code": -1131, "msg": "recvWindow must be less than 60000"}, 400)
KEY = "x-mbx-apikey"


def classed(path: str) -> str:
    if path.endswith("/exchangeInfo"):
        return "markets"
    return _CLASSES.get(path, "other")


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
        case path if path in _CLASSES:
            return _private(asked, ledger)
        case _:
            return Said({"code": -1, "msg": "no such endpoint on paper"}, 404)


def _private(asked: Asked, ledger: Ledger) -> Said:
    key = asked.headers.get(KEY, "")
    if not key.isascii() or not key:
        return Said({"code": -2014, "msg": "API-key format invalid."}, 401)
    account = ledger.find(NAME, key)
    if account is None or account.is_over(asked.now_ms) or not account.lets_in(asked.address):
        return IP
    return _untimely(asked) or _unsigned(asked, account) or _known(asked, account)


def _untimely(asked: Asked) -> Said | None:
    """Look at the clock; parameters may stand in the query or the body."""
    sent = asked.sent()
    window = number(sent.get("recvWindow", "5000"))
    if window > 60_000:
        return WINDOW
    ahead = number(sent.get("timestamp", "")) - asked.now_ms
    return None if -window <= ahead <= 1000 else CLOCK


def _unsigned(asked: Asked, account: Account) -> Said | None:
    signed, _, signature = (asked.query + asked.body).partition("&signature=")
    if same(sha256_hex(account.api_secret, signed), signature):
        return None
    return Said({"code": -1022, "msg": "Signature for this request is not valid."}, 400)


def _known(asked: Asked, account: Account) -> Said:
    found = _PRIVATE.get((asked.method, asked.path))
    if found is None:
        return Said({"code": -1, "msg": "no such method on paper"}, 404)
    right, tell = found
    return IP if right not in account.rights else tell(asked, account)


def _account(asked: Asked, account: Account) -> Said:
    balances = [
        {"asset": asset, "free": account.free(asset), "locked": account.locked(asset)}
        for asset in account.balances
    ]
    return Said(
        {
            "makerCommission": 10,
            "takerCommission": 10,
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "accountType": "SPOT",
            "updateTime": asked.now_ms,
            "balances": [*balances, {"asset": "BNB", "free": "0.00000000", "locked": "0"}],
            "permissions": ["SPOT"],
        }
    )


def _funding(_asked: Asked, account: Account) -> Said:
    nothing = dict.fromkeys(("locked", "freeze", "withdrawing"), "0")
    return Said([{"asset": a, "free": v, **nothing} for a, v in account.funding.items()])


def _rights(asked: Asked, account: Account) -> Said:
    may, until = account.rights, account.expires_ms
    return Said(
        {
            "ipRestrict": bool(account.addresses),
            "createTime": asked.now_ms - 86_400_000,
            "enableReading": "read" in may,
            "enableWithdrawals": "withdraw" in may,
            "enableInternalTransfer": False,
            "enableMargin": False,
            "enableFutures": False,
            "permitsUniversalTransfer": False,
            "enableVanillaOptions": False,
            "enableFixApiTrade": False,
            "enableFixReadOnly": False,
            "enableSpotAndMarginTrading": "trade" in may,
            "enablePortfolioMarginTrading": False,
            **({"tradingAuthorityExpirationTime": until} if until else {}),
        }
    )


def _coins(_asked: Asked, account: Account) -> Said:
    return Said([{"coin": a, "name": a, "networkList": []} for a in account.balances])


def _nothing(_asked: Asked, _account: Account) -> Said:
    return Said([])


def _order(asked: Asked, account: Account) -> Said:
    sent = asked.sent()
    pair, amount = orders.split(sent.get("symbol", "")), orders.decimal(sent.get("quantity", ""))
    limit = orders.decimal(sent["price"]) if sent.get("type") == "LIMIT" else None
    if pair is None:
        return Said({"code": -1121, "msg": "Invalid symbol."}, 400)
    if amount is None:
        return Said({"code": -1013, "msg": "Invalid quantity."}, 400)
    side: Side = "buy" if sent.get("side") == "BUY" else "sell"
    try:
        return Said(_shown(orders.place(account, pair, side, amount, limit, asked.now_ms)))
    except orders.NoFunds:
        message = "Account has insufficient balance for requested action."
        return Said({"code": -2010, "msg": message}, 400)


def _one_order(asked: Asked, account: Account) -> Said:
    found = account.orders.get(asked.param("orderId"))
    if found is None:
        return Said({"code": -2013, "msg": "Order does not exist."}, 400)
    return Said(_shown(found))


def _open_orders(_asked: Asked, account: Account) -> Said:
    return Said([_shown(order) for order in account.orders.values() if order.state == "open"])


def _no_order(asked: Asked, account: Account) -> Said:
    found = orders.cancel(account, asked.sent().get("orderId", ""))
    if found is None:
        return Said({"code": -2011, "msg": "Unknown order sent."}, 400)
    return Said(_shown(found))


_STATES = {"open": "NEW", "filled": "FILLED", "canceled": "CANCELED"}


def _shown(order: Order) -> dict[str, Any]:
    return {
        "symbol": "".join(order.pair),
        "orderId": int(order.id),
        "orderListId": -1,
        "clientOrderId": f"paper-{order.id}",
        "transactTime": order.at_ms,
        "time": order.at_ms,
        "updateTime": order.at_ms,
        "price": "0" if order.at_market else plain(order.price),
        "origQty": plain(order.amount),
        "executedQty": plain(order.filled),
        "cummulativeQuoteQty": plain(order.filled * order.price),
        "status": _STATES[order.state],
        "timeInForce": "GTC",
        "type": "MARKET" if order.at_market else "LIMIT",
        "side": order.side.upper(),
        "fills": [],
    }


_CLASSES = {
    "/api/v3/account": "account",
    "/api/v3/openOrders": "orders",
    "/api/v3/order": "orders",
    "/sapi/v1/account/apiRestrictions": "rights",
    "/sapi/v1/asset/get-funding-asset": "account",
    "/sapi/v1/capital/config/getall": "account",
    "/sapi/v1/margin/allPairs": "account",
    "/sapi/v1/margin/isolated/allPairs": "account",
}
_PRIVATE: Mapping[tuple[str, str], tuple[Right, Callable[[Asked, Account], Said]]] = {
    ("GET", "/api/v3/account"): ("read", _account),
    ("GET", "/api/v3/openOrders"): ("read", _open_orders),
    ("GET", "/api/v3/order"): ("read", _one_order),
    ("POST", "/api/v3/order"): ("trade", _order),
    ("DELETE", "/api/v3/order"): ("trade", _no_order),
    ("GET", "/sapi/v1/account/apiRestrictions"): ("read", _rights),
    ("POST", "/sapi/v1/asset/get-funding-asset"): ("read", _funding),
    ("GET", "/sapi/v1/capital/config/getall"): ("read", _coins),
    ("GET", "/sapi/v1/margin/allPairs"): ("read", _nothing),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): ("read", _nothing),
}
