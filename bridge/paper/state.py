"""What the pretend exchanges know and have heard."""

from collections import Counter, defaultdict, deque
from types import ModuleType
from typing import NamedTuple

from bridge.paper import binance, bybit, kraken, kucoin, okx
from bridge.paper.faults import Faults
from bridge.paper.ledger import Ledger
from bridge.paper.markets import FIRST
from bridge.paper.wire import Asked

EXCHANGES: tuple[ModuleType, ...] = (binance, bybit, kraken, kucoin, okx)


class Request(NamedTuple):
    """What was asked for, and how the honest answer began; a query might hold a signature."""

    exchange: str
    method: str
    path: str
    classed: str
    status: int


class Paper:
    """The state of all pretend exchanges.

    `heard` counts requests by exchange and class, `log` holds the last ones without their secrets,
    `ahead_ms` puts an exchange's clock wrong.
    """

    def __init__(self, markets: int = len(FIRST)) -> None:
        self.ledger = Ledger(markets)
        self.faults = Faults()
        self.ahead_ms: Counter[str] = Counter()
        self.heard: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.log: deque[Request] = deque(maxlen=1000)

    def note(self, exchange: ModuleType, asked: Asked, classed: str, status: int) -> None:
        """Count a request, for its account too if it names one."""
        self.heard[exchange.NAME][classed] += 1
        account = self.ledger.find(exchange.NAME, asked.headers.get(exchange.KEY, ""))
        if account is not None:
            account.heard[classed] += 1
        self.log.append(Request(exchange.NAME, asked.method, asked.path, classed, status))

    def forget(self) -> None:
        """Count from nothing again."""
        self.heard.clear()
        self.log.clear()
        for _, account in self.ledger.accounts():
            account.heard.clear()
