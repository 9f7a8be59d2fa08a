"""What the pretend exchanges know and have heard."""

from collections import Counter, defaultdict
from types import ModuleType

from bridge.paper import binance, bybit, kraken, kucoin, okx
from bridge.paper.faults import Faults
from bridge.paper.ledger import Ledger
from bridge.paper.markets import FIRST

EXCHANGES: tuple[ModuleType, ...] = (binance, bybit, kraken, kucoin, okx)


class Paper:
    """The state of all pretend exchanges; `heard` counts requests by exchange and class."""

    def __init__(self, markets: int = len(FIRST)) -> None:
        self.ledger = Ledger(markets)
        self.faults = Faults()
        self.heard: defaultdict[str, Counter[str]] = defaultdict(Counter)
