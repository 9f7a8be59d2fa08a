"""Which exchanges there are: their names, what each needs, and words for those we cannot have."""

import difflib
from functools import cache
from typing import Any

import ccxt.async_support as ccxt

from bridge.credentials import asked_for
from bridge.errors import Trouble

TESTNET = "_testnet"
ALIASES = {"gateio": "gate", "gate_io": "gate", "huobi": "htx", "okex": "okx"}
GONE = {
    "bitmart": "BitMart left ccxt in version 4.5.71, so this bridge cannot reach it any more",
}
# Whose balance anybody may read: an answer proves that the address exists, not that a key is right.
PUBLIC = frozenset({"dydx", "hyperliquid", "lighter", "nado", "pacifica"})


def canonical(name: str) -> str:
    """Return ccxt's word for an exchange, its testnet suffix kept; any case, any alias."""
    name = name.strip().lower()
    base = name.removesuffix(TESTNET)
    return ALIASES.get(base, base) + name[len(base) :]


def proves(name: str) -> bool:
    """Tell whether a balance that was read proves the credentials it was asked with."""
    return name.removesuffix(TESTNET) not in PUBLIC


@cache
def catalogue() -> dict[str, dict[str, Any]]:
    """Describe every exchange whose balances ccxt can read; half a second at first."""
    found = {}
    for name in ccxt.exchanges:
        about = _about(getattr(ccxt, name))
        if about["has"].get("fetchBalance"):
            needed = [k for k, v in about["requiredCredentials"].items() if v]
            sandbox = bool(about["urls"].get("test"))  # None says no, too
            found[name] = {
                "fields": asked_for(needed),
                "requires": sorted(needed),
                "sandbox": sandbox,
                "testnet": name + TESTNET if sandbox else None,
            }
    return found


def _about(kind: Any) -> Any:
    stock = kind()
    return {"has": stock.has, "urls": stock.urls, "requiredCredentials": stock.requiredCredentials}


def exchange_class(name: str) -> Any:
    """Return ccxt's class; raises `Trouble` unsupported, in words for each kind of absence."""
    base = name.removesuffix(TESTNET)
    if base in GONE:
        raise Trouble("unsupported", f"Unsupported exchange: {name}. {GONE[base]}.")
    if base not in ccxt.exchanges:
        near = difflib.get_close_matches(base, ccxt.exchanges, n=5, cutoff=0.5)
        some = near or ["binance", "bybit", "gate", "kraken", "kucoin", "okx"]
        raise Trouble(
            "unsupported",
            f"Unsupported exchange: {name[:50]}. Supported: {some} "
            f"and others, {len(ccxt.exchanges)} in all; see /connectors/supported",
        )
    return getattr(ccxt, base)
