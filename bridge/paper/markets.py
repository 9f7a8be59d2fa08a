"""Which pairs the pretend exchanges trade: a few at first, thousands when asked for."""

from collections.abc import Iterator
from itertools import count, islice, product

Pair = tuple[str, str]
FIRST: tuple[Pair, ...] = (
    ("BTC", "USDT"),
    ("ETH", "USDT"),
    ("SOL", "USDT"),
    ("BTC", "USDC"),
    ("ETH", "BTC"),
)
# No quote ends with another, so that base and quote written together still tell the pair.
QUOTES = ("USDT", "USDC", "BTC", "ETH", "EUR", "TRY")
_KNOWN_LINES = """
BTC ETH SOL XRP BNB DOGE ADA TRX AVAX LINK DOT LTC BCH UNI NEAR ATOM ETC FIL APT ARB OP INJ
SUI TIA SEI PEPE SHIB AAVE MKR CRV SNX LDO RUNE GRT SAND MANA AXS GALA ENJ CHZ FLOW EGLD
ALGO VET HBAR ICP QNT STX IMX RNDR FET AGIX OCEAN COMP YFI SUSHI BAL UMA KNC BAT LRC DYDX
GMX PENDLE ENS APE BLUR JUP PYTH WIF BONK FLOKI ORDI STRK MANTA DYM PIXEL PORTAL ETHFI ENA
TON NOT IO ZRO LISTA KAS KAVA ROSE CELO ANKR SKL STORJ OMG IOTA NEO QTUM ONT DASH WOO MASK
"""
_KNOWN = _KNOWN_LINES.split()
_WIDELY_TRADED = 150
_HEADS, _VOWELS, _TAILS = "BCDFGHJKLMNPRSTVW", "AEIOUY", "BDFGKLMNRSTVX"


def pairs(number: int) -> list[Pair]:
    """Return *number* pairs, each once, the well-known ones first."""
    return list(islice(_pairs(), number))


def _pairs() -> Iterator[Pair]:
    yield from FIRST
    for rank, base in enumerate(_assets()):
        quotes = QUOTES if rank < _WIDELY_TRADED else QUOTES[:3]
        pairs = ((base, quote) for quote in quotes if quote != base)
        yield from (pair for pair in pairs if pair not in FIRST)


def _assets() -> Iterator[str]:
    """Yield tickers: real ones, then pronounceable ones, which grow longer when they run out."""
    yield from _KNOWN
    for syllables in count(2):
        for parts in product(*[_syllables()] * (syllables - 1), _TAILS):
            if (ticker := "".join(parts)) not in _KNOWN:
                yield ticker


def _syllables() -> list[str]:
    return ["".join(parts) for parts in product(_HEADS, _VOWELS)]
