"""The accounts of the pretend exchanges, and the markets that all of them trade."""

from dataclasses import dataclass, field

from bridge.paper.markets import FIRST, pairs


@dataclass(slots=True, repr=False)
class Account:
    """`balances` are decimal strings by asset; `last_nonce` is Kraken's."""

    api_key: str
    api_secret: str
    password: str = ""
    balances: dict[str, str] = field(default_factory=dict)
    last_nonce: int = 0


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

    def assets(self) -> list[str]:
        return sorted({asset for pair in self.markets for asset in pair})
