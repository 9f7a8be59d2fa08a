"""Spot orders on paper: a resting one holds its funds, one that meets the price is filled at once.

Prices stand still and there are no fees.
"""

from decimal import Decimal, InvalidOperation

from bridge.paper.ledger import Account, Order, Side, plain
from bridge.paper.markets import QUOTES, Pair

_IN_USDT = {"BTC": 50_000, "ETH": 2_500, "BNB": 500, "SOL": 100, "USDT": 1, "USDC": 1, "EUR": 1}


class NoFunds(Exception):
    """The account has not enough free of what the order would pay."""


def price(pair: Pair) -> Decimal:
    base, quote = (Decimal(_IN_USDT.get(asset, 10)) for asset in pair)
    return base / quote


def split(symbol: str) -> Pair | None:
    """Return the pair that is written in one word, or with a dash."""
    word = symbol.replace("-", "").upper()
    for quote in QUOTES:
        if word.endswith(quote) and word != quote:
            return word.removesuffix(quote), quote
    return None


def decimal(text: str) -> Decimal | None:
    """Read a positive amount; None when it is none."""
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() and found > 0 else None


def place(
    account: Account, pair: Pair, side: Side, amount: Decimal, limit: Decimal | None, now_ms: int
) -> Order:
    """Fill or keep an order; no *limit* takes the price there is. Raises `NoFunds`."""
    order_id = str(100_000 + len(account.orders))
    order = Order(order_id, pair, side, amount, limit or price(pair), limit is None, now_ms)
    asset, cost = _paid(order)
    if Decimal(account.free(asset)) < cost:
        raise NoFunds
    account.orders[order_id] = order
    _hold(account, asset, cost)
    if limit is None or (limit >= price(pair) if side == "buy" else limit <= price(pair)):
        _fill(account, order)
    return order


def cancel(account: Account, order_id: str) -> Order | None:
    """Free what the open order held; None when there is no open one."""
    order = account.orders.get(order_id)
    if order is None or order.state != "open":
        return None
    order.state = "canceled"
    asset, cost = _paid(order)
    _hold(account, asset, -cost)
    return order


def _paid(order: Order) -> tuple[str, Decimal]:
    base, quote = order.pair
    return (quote, order.amount * order.price) if order.side == "buy" else (base, order.amount)


def _hold(account: Account, asset: str, amount: Decimal) -> None:
    account.held[asset] = account.held.get(asset, Decimal(0)) + amount


def _fill(account: Account, order: Order) -> None:
    """Move the funds, at the price there is, which may be better than the limit."""
    asset, held = _paid(order)
    _hold(account, asset, -held)
    order.price, order.state = price(order.pair), "filled"
    paid, cost = _paid(order)
    base, quote = order.pair
    got, gain = (base, order.amount) if order.side == "buy" else (quote, order.amount * order.price)
    for name, change in ((paid, -cost), (got, gain)):
        account.balances[name] = plain(Decimal(account.balances.get(name, "0")) + change)
