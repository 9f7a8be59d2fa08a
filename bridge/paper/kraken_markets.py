"""Kraken's `Assets` and `AssetPairs`, in which old assets have names of four letters."""

from typing import Any

OLD_NAMES = {"BTC": "XXBT", "ETH": "XETH", "USD": "ZUSD", "EUR": "ZEUR"}
_SHORT_NAMES = {"BTC": "XBT"}
_VOLUMES = (0, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000)
_TAKER = (0.4, 0.35, 0.24, 0.22, 0.2, 0.18, 0.16, 0.14, 0.12)
_MAKER = (0.25, 0.2, 0.14, 0.12, 0.08, 0.06, 0.04, 0.02, 0.0)


def asset(name: str) -> tuple[str, dict[str, Any]]:
    short = _SHORT_NAMES.get(name, name)
    about = {
        "aclass": "currency",
        "altname": short,
        "decimals": 8,
        "display_decimals": 5,
        "status": "enabled",
    }
    return OLD_NAMES.get(name, name), about


def pair(base: str, quote: str) -> tuple[str, dict[str, Any]]:
    short = _SHORT_NAMES.get(base, base) + _SHORT_NAMES.get(quote, quote)
    names = OLD_NAMES.get(base, base), OLD_NAMES.get(quote, quote)
    return "".join(names) if names[0] != base else short, {
        "altname": short,
        "wsname": f"{_SHORT_NAMES.get(base, base)}/{_SHORT_NAMES.get(quote, quote)}",
        "aclass_base": "currency",
        "base": names[0],
        "aclass_quote": "currency",
        "quote": names[1],
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [list(step) for step in zip(_VOLUMES, _TAKER, strict=True)],
        "fees_maker": [list(step) for step in zip(_VOLUMES, _MAKER, strict=True)],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": "0.1",
        "status": "online",
        "execution_venue": "international",
    }
