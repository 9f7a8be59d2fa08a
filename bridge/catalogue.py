"""Which exchanges there are: their names, what each needs, and words for those we cannot have."""

import difflib
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import ccxt.async_support as ccxt

from bridge.credentials import asked_for, wanted
from bridge.errors import Trouble
from bridge.mends import MENDED

TESTNET = "_testnet"

# Other names in the field, without their separators: gate.io, gate_io and gate-io are one. The
# daemon's `reconciler.slots` holds the same table; a test compares the two.
ALIASES: Mapping[str, str] = {
    "ascendex": "ascendex",
    "binancecoinm": "binancecoinm",
    "binanceus": "binanceus",
    "binanceusdm": "binanceusdm",
    "bingx": "bingx",
    "bitbay": "zonda",
    "bitcoincom": "fmfwio",
    "bitfinex2": "bitfinex",
    "bitmart": "bitmart",
    "bitmax": "ascendex",
    "bitpanda": "onetrading",
    "bitpandapro": "onetrading",
    "bitstamp1": "bitstamp",
    "blockchaincom": "blockchaincom",
    "btcmarkets": "btcmarkets",
    "bybiteu": "bybiteu",
    "cexio": "cex",
    "coinbaseadvanced": "coinbase",
    "coinbaseadvancedtrade": "coinbase",
    "coinbaseexchange": "coinbaseexchange",
    "coinbaseinternational": "coinbaseinternational",
    "coinbasepro": "coinbaseexchange",
    "cryptocom": "cryptocom",
    "currencycom": "currencycom",
    "gateeu": "gateeu",
    "gateio": "gate",
    "gdax": "coinbaseexchange",
    "hitbtc3": "hitbtc",
    "huobi": "htx",
    "huobiglobal": "htx",
    "huobipro": "htx",
    "hyperliquid": "hyperliquid",
    "independentreserve": "independentreserve",
    "krakenfutures": "krakenfutures",
    "kucoinfutures": "kucoinfutures",
    "lbank2": "lbank",
    "mexc3": "mexc",
    "mexcglobal": "mexc",
    "okcoin": "okcoin",
    "okex": "okx",
    "okex5": "okx",
    "okxus": "okxus",
    "onetrading": "onetrading",
    "p2pb2b": "p2b",
    "woox": "woo",
    "xtcom": "xt",
}
_SEPARATORS = str.maketrans("", "", "_-. ")

# What ccxt's releases 1.50.1, 1.95.1, 2.0.1, 3.0.1, 4.2.1, 4.3.1, 4.4.1, 4.5.1 or 4.5.70 had and
# 4.5.90 has not, apart from those that only changed their name.
_ONCE = """
aax ace aofex ascendex bibox bitbay bitforex bitkk bitmart bitmex bittrex bitz bkex bl3p braziliex
btcalpha btcex btctradeua buda bw bytetrade cdax coinbaseprime coincatch coinegg coinex coinfalcon
coinfloor coingi coinlist coinmarketcap coinmetro crex24 currencycom defx ellipx eqonex equos
eterbase exmo exx flowbtc ftx ftxus gopax hbtc huobijp idex itbit kucoineu kuna lakebtc liquid
lykke mixcoins novadax oceanex okcoin oxfun poloniexfutures probit qtrade rightbtc ripio
southxchange stex therock tidebit tidex timex tradeogre vcc vertex wavesexchange wazirx xbtce xena
yobit zb zipmex zonda
"""
REMOVED = frozenset(_ONCE.split())
_SINCE: Mapping[str, str] = {"bitmart": "BitMart left ccxt in version 4.5.71, and "}

# Whose balance anybody may read: an answer proves that the address exists, not that a key is right.
PUBLIC = frozenset({"dydx", "hyperliquid", "lighter", "nado", "pacifica"})
# Whose balance is read with the API key alone; the private key signs only orders.
KEY_ALONE = frozenset({"extended", "hibachi"})


class OwnCopy(NamedTuple):
    """What of ccxt's attributes each connector has for itself, whatever that costs, and why."""

    of: tuple[str, ...]
    why: str


# Into these ccxt writes while it asks, so that accounts must not share them as they do elsewhere.
OWN_COPIES: Mapping[str, OwnCopy] = {
    "coinbaseinternational": OwnCopy(
        ("has",), "ccxt notes there whether these credentials are for Coinbase or for Deribit"
    ),
    "lighter": OwnCopy(("options",), "ccxt keeps there the signer and token of each account"),
}


def canonical(name: str) -> str:
    """Return ccxt's word for an exchange, its testnet suffix kept; any case, any alias."""
    name = name.strip().lower()
    base = name.removesuffix(TESTNET)
    return ALIASES.get(base.translate(_SEPARATORS), base) + name[len(base) :]


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Describe every exchange whose balances ccxt can read; half a second at first."""
    return {name: about for name in ccxt.exchanges if (about := _described(name))}


def supported() -> dict[str, Any]:
    """Return what `GET /connectors/supported` answers."""
    found = catalogue()
    return {"supported_exchanges": sorted(found), "exchanges": found, "left_out": left_out()}


def left_out() -> dict[str, str]:
    """Return the exchanges of ccxt's that we do not serve, and why."""
    return {
        name: "ccxt cannot read balances from it"
        for name in ccxt.exchanges
        if name not in catalogue()
    }


def proves(name: str) -> bool:
    """Tell whether a balance that was read proves the credentials it was asked with."""
    return name.removesuffix(TESTNET) not in PUBLIC


def exchange_class(name: str) -> Any:
    """Return ccxt's class, mended where it must be. Raises `Trouble` unsupported."""
    base = name.removesuffix(TESTNET)
    if base not in ccxt.exchanges:
        raise Trouble("unsupported", f"Unsupported exchange: {name[:50]}. {_absence(base)}")
    return MENDED.get(base) or getattr(ccxt, base)


def nearest(base: str) -> list[str]:
    """Return up to five exchanges whose names look like *base*, the nearest first."""
    found = difflib.get_close_matches(base[:50], [*ccxt.exchanges, *ALIASES], n=5, cutoff=0.6)
    named = dict.fromkeys(canonical(name) for name in found)
    return [name for name in named if name in ccxt.exchanges]


def _absence(base: str) -> str:
    if base in REMOVED:
        since = _SINCE.get(base, "ccxt knew it once, but ")
        return f"{since}this ccxt ({ccxt.__version__}) does not know it any more"
    near = nearest(base)
    hint = f"Did you mean {' or '.join(near)}? " if near else ""
    return f"{hint}Supported: {len(ccxt.exchanges)} exchanges, see /connectors/supported"


def _described(name: str) -> dict[str, Any] | None:
    stock = getattr(ccxt, name)()
    if not stock.has.get("fetchBalance"):
        return None
    required = [k for k, v in stock.requiredCredentials.items() if v]
    fields = asked_for(name, required)
    sandbox = bool(stock.urls.get("test"))  # None says no, too
    return {
        "fields": fields,
        "requires": sorted(wanted(name, required)),
        "sandbox": sandbox,
        "testnet": name + TESTNET if sandbox else None,
        "proves": proves(name),
        "unproven": _unproven(name, fields),
        "own_copy": own._asdict() if (own := OWN_COPIES.get(name)) else None,
    }


def _unproven(name: str, fields: list[str]) -> list[str]:
    if not proves(name):
        return fields
    return ["api_secret"] if name in KEY_ALONE else []
