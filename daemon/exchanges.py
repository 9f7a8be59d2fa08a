"""The exchanges that ccxt knows. A test keeps this equal to the installed ccxt's."""

from collections.abc import Mapping
from difflib import get_close_matches

from reconciler.slots import ALIASES, canonical

KNOWN = frozenset(
    [
        "alpaca",
        "apex",
        "aster",
        "backpack",
        "bequant",
        "bigone",
        "binance",
        "binancecoinm",
        "binanceus",
        "binanceusdm",
        "bingx",
        "bit2c",
        "bitbank",
        "bitbns",
        "bitfinex",
        "bitflyer",
        "bitget",
        "bithumb",
        "bitopro",
        "bitrue",
        "bitso",
        "bitstamp",
        "bitteam",
        "bittrade",
        "bitvavo",
        "blockchaincom",
        "blofin",
        "btcbox",
        "btcmarkets",
        "btcturk",
        "btse",
        "bullish",
        "bybit",
        "bybiteu",
        "bybitid",
        "bydfi",
        "cex",
        "coinbase",
        "coinbaseexchange",
        "coinbaseinternational",
        "coincheck",
        "coinmate",
        "coinone",
        "coinsph",
        "coinspot",
        "cryptocom",
        "cryptomus",
        "deepcoin",
        "delta",
        "deribit",
        "derive",
        "digifinex",
        "dydx",
        "extended",
        "fmfwio",
        "foxbit",
        "gate",
        "gateeu",
        "gemini",
        "grvt",
        "hashkey",
        "hibachi",
        "hitbtc",
        "hollaex",
        "htx",
        "hyperliquid",
        "independentreserve",
        "indodax",
        "kraken",
        "krakenfutures",
        "kucoin",
        "kucoinfutures",
        "latoken",
        "lbank",
        "lighter",
        "luno",
        "mercado",
        "mexc",
        "modetrade",
        "mudrex",
        "myokx",
        "nado",
        "ndax",
        "okx",
        "okxus",
        "onetrading",
        "p2b",
        "pacifica",
        "paradex",
        "paymium",
        "phemex",
        "poloniex",
        "polymarket",
        "revolutx",
        "tokocrypto",
        "toobit",
        "upbit",
        "weex",
        "whitebit",
        "woo",
        "woofipro",
        "xt",
        "zaif",
        "zebpay",
    ]
)

_WITHOUT_KEY = "aster blockchaincom cryptomus grvt lighter mudrex polymarket"
WITHOUT: Mapping[str, str] = {
    **dict.fromkeys(_WITHOUT_KEY.split(), "api_key"),
    **dict.fromkeys(("dydx", "onetrading"), "api_secret"),
}
"""Exchanges whose credentials lack one of the two, and which: it may be left empty."""


def lacks(exchange: str, field: str) -> bool:
    """Tell whether the credentials of *exchange* have no such field."""
    return WITHOUT.get(canonical(exchange)) == field


def nearest(exchange: str) -> list[str]:
    """Return the names of exchanges that may be meant; only one if it is another's other name."""
    name = canonical(exchange)
    if name in KNOWN:
        return [name]
    return list(dict.fromkeys(map(canonical, get_close_matches(name, [*KNOWN, *ALIASES]))))


def doubts_of(exchange: str) -> list[str]:
    """Return what speaks against there being such an exchange, with the nearest names."""
    name = canonical(exchange)
    if name in KNOWN:
        return []
    near = nearest(exchange)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    return [f"no exchange {exchange!r} is known here{hint} It is stored: the bridge may know more."]
