"""The accounts of the pretend exchanges, what their keys may do, and the markets they trade."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from bridge.paper.markets import FIRST, Pair, pairs

Right = Literal["read", "trade", "withdraw"]
Side = Literal["buy", "sell"]


@dataclass(slots=True)
class Order:
    """`price` is the limit's until it is filled; then the one it was filled at."""

    id: str
    pair: Pair
    side: Side
    amount: Decimal
    price: Decimal
    at_market: bool
    at_ms: int
    state: Literal["open", "filled", "canceled"] = "open"

    @property
    def filled(self) -> Decimal:
        return self.amount if self.state == "filled" else Decimal(0)


@dataclass(slots=True, repr=False)
class Account:
    """`balances`, for trading, and `funding` are decimal strings by asset.

    A key without `addresses` is bound to none, one with `expires_ms` 0 never expires. A `classic`
    account is of the kind that came before Bybit's unified and KuCoin's high-frequency one.
    `held` is the part of the balances that open orders hold, `heard` counts signed requests by
    class, `last_nonce` is Kraken's.
    """

    api_key: str
    api_secret: str
    password: str = ""
    balances: dict[str, str] = field(default_factory=dict)
    last_nonce: int = 0
    funding: dict[str, str] = field(default_factory=dict)
    rights: frozenset[Right] = frozenset({"read", "trade"})
    addresses: tuple[str, ...] = ()
    expires_ms: int = 0
    classic: bool = False
    held: dict[str, Decimal] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)

    def lets_in(self, address: str) -> bool:
        return not self.addresses or address in self.addresses

    def is_over(self, now_ms: int) -> bool:
        return 0 < self.expires_ms <= now_ms

    def locked(self, asset: str) -> str:
        return plain(self.held.get(asset, Decimal(0)))

    def free(self, asset: str) -> str:
        held = self.held.get(asset)
        total = self.balances.get(asset, "0")
        return plain(Decimal(total) - held) if held else total


class Ledger:
    """Accounts by exchange and key."""

    def __init__(self, markets: int = len(FIRST)) -> None:
        self._accounts: dict[tuple[str, str], Account] = {}
        self.trade(markets)

    def trade(self, markets: int) -> None:
        """Trade that many pairs from now on."""
        self.markets = pairs(markets)

    def put(self, exchange: str, account: Account) -> None:
        self._accounts[exchange, account.api_key] = account

    def drop(self, exchange: str, api_key: str) -> bool:
        return self._accounts.pop((exchange, api_key), None) is not None

    def find(self, exchange: str, api_key: str) -> Account | None:
        return self._accounts.get((exchange, api_key))

    def accounts(self, exchange: str | None = None) -> Iterable[tuple[str, Account]]:
        """Return (exchange, account) in the order of their opening."""
        found = [(name, account) for (name, _), account in self._accounts.items()]
        return [each for each in found if exchange in (None, each[0])]

    def assets(self) -> list[str]:
        return sorted({asset for pair in self.markets for asset in pair})


def plain(amount: Decimal) -> str:
    """Write *amount* as exchanges do, without an exponent."""
    return f"{amount:f}"


def names(rights: Iterable[Right], words: Mapping[Right, Iterable[str]]) -> list[str]:
    """Say *rights* in an exchange's own *words*."""
    return [
        word
        for right in ("read", "trade", "withdraw")
        if right in set(rights)
        for word in words[right]
    ]
