"""Bybit's `instruments-info`; what is not spot is empty."""

from typing import Any


def instruments(category: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    found = [_spot(*pair) for pair in pairs] if category == "spot" else []
    return {"category": category, "list": found, "nextPageCursor": ""}


def _spot(base: str, quote: str) -> dict[str, Any]:
    return {
        "symbol": base + quote,
        "baseCoin": base,
        "quoteCoin": quote,
        "innovation": "0",
        "status": "Trading",
        "marginTrading": "utaOnly",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": "0.000001",
            "quotePrecision": "0.00000001",
            "minOrderQty": "0.00001",
            "maxOrderQty": "100",
            "minOrderAmt": "1",
            "maxOrderAmt": "2000000",
            "maxLimitOrderQty": "83",
            "maxMarketOrderQty": "41.5",
            "postOnlyMaxLimitOrderSize": "500",
        },
        "priceFilter": {"tickSize": "0.01"},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
        "symbolType": "",
        "isPublicListing": True,
    }
