"""OKX's `public/instruments`; what is not spot is empty."""

_EMPTY = """
alias ctMult ctType ctVal ctValCcy expTime instFamily optType quoteCcyList ruleTypeNote settleCcy
stk uly openType contTdSwTime auctionEndTime posLmtAmt posLmtPct maxPlatOILmt elp futureSettlement
"""


def instruments(kind: str, pairs: list[tuple[str, str]]) -> list[dict[str, object]]:
    return [_spot(base, quote) for base, quote in pairs] if kind == "SPOT" else []


def _spot(base: str, quote: str) -> dict[str, object]:
    return {
        **dict.fromkeys(_EMPTY.split(), ""),
        "instType": "SPOT",
        "instId": f"{base}-{quote}",
        "instIdCode": 10000 + len(base),
        "baseCcy": base,
        "quoteCcy": quote,
        "category": "1",
        "groupId": "1",
        "lotSz": "0.00001",
        "minSz": "0.00001",
        "tickSz": "0.01",
        "lever": "10",
        "maxIcebergSz": "9999999999",
        "maxLmtAmt": "20000000",
        "maxLmtSz": "9999999999",
        "maxMktAmt": "1000000",
        "maxMktSz": "1000000",
        "maxStopSz": "1000000",
        "maxTriggerSz": "9999999999",
        "maxTwapSz": "9999999999",
        "ruleType": "normal",
        "state": "live",
        "tradeQuoteCcyList": [quote],
        "upcChg": [],
        "listTime": "1548133413000",
    }
