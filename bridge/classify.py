"""What an exchange's refusal means for the one who asked: a table, and the walk through it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bridge.errors import Code

# ccxt's class (the nearest one in the family wins).
CLASSES: Mapping[str, Code] = {
    "AuthenticationError": "refused",  # with PermissionDenied, AccountNotEnabled, AccountSuspended
    "ManualInteractionNeeded": "refused",
    "RestrictedLocation": "unavailable",  # where we stand is the operator's matter, not the key's
    "ArgumentsRequired": "malformed",
    "NotSupported": "unsupported",
    "InvalidProxySettings": "unavailable",
    "ExchangeClosedByUser": "unavailable",
    "DDoSProtection": "throttled",
    "RateLimitExceeded": "throttled",
    "NetworkError": "unavailable",  # with ExchangeNotAvailable, RequestTimeout, InvalidNonce
    "BadResponse": "unclear",
    "BaseError": "unclear",
}

_CLOCK = "the clock of this machine and the exchange's differ"
_PLACE = "the exchange does not serve this location"
# Where ccxt's class misleads: family of exchanges, pattern in the text, code, what to say.
OVERRIDES: tuple[tuple[str, str, Code, str | None], ...] = (
    # ccxt calls it DDoSProtection once an object has succeeded: revoked would look busy for ever
    ("binance", r'"code":\s*-201[45]\b', "refused", None),
    ("binance", r'"code":\s*-1022\b', "refused", None),
    ("binance", r'"code":\s*-1021\b', "unavailable", _CLOCK),
    ("bybit", r'"retCode":\s*10009\b', "throttled", "the exchange has banned this address"),
    ("bybit", r'"retCode":\s*10002\b', "unavailable", _CLOCK),
    ("gate", r"\bREQUEST_EXPIRED\b", "unavailable", _CLOCK),
    ("kraken", r"EAPI:Invalid signature", "refused", None),
    ("mexc", r'"code":\s*"?(700006|10072)\b', "refused", None),
    ("mexc", r'"code":\s*"?(700003|10073)\b', "unavailable", _CLOCK),
    ("okx", r'"code":\s*"50100"', "refused", "the exchange has frozen this API key"),
    ("okx", r'"code":\s*"501(02|12)"', "unavailable", _CLOCK),
    ("kucoin", r'"code":\s*"400002"', "unavailable", _CLOCK),
)
_FAMILIES = {"myokx": "okx", "tokocrypto": "binance"}  # whose names do not show it
STATUSES: Mapping[int, tuple[Code, str | None]] = {
    418: ("throttled", "the exchange has banned this address for a while"),
    429: ("throttled", None),
    451: ("unavailable", _PLACE),
}
WORDS: Mapping[Code, str] = {
    "refused": "refused these credentials",
    "throttled": "asks for patience",
    "unavailable": "could not be asked",
    "unsupported": "cannot be asked for this",
    "malformed": "cannot use these credentials: they have the wrong form",
    "unclear": "gave an answer that makes no sense",
}


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of ccxt's, as data: its classes' names, the nearest first, and its HTTP side."""

    exchange: str
    kinds: tuple[str, ...]
    text: str
    status: int | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """*words* end with nothing of the exchange's own; `retry_after` is in seconds."""

    code: Code
    words: str
    retry_after: float | None = None


def classify(raised: Raised, now: datetime | None = None) -> Meaning:
    """Say what *raised* means."""
    code, why = _override(raised) or _by_status(raised) or (_by_class(raised.kinds), None)
    words = f"{raised.exchange} {WORDS[code]}" + (f": {why}" if why else "")
    return Meaning(code, words, seconds(raised.retry_after, now))


def seconds(retry_after: str | None, now: datetime | None = None) -> float | None:
    """Read a Retry-After header, a number or a date; None when it is neither."""
    if not retry_after:
        return None
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return max(0.0, (then - (now or datetime.now(UTC))).total_seconds())


def _override(raised: Raised) -> tuple[Code, str | None] | None:
    family = _FAMILIES.get(raised.exchange, raised.exchange)
    for prefix, pattern, code, why in OVERRIDES:
        if family.startswith(prefix) and re.search(pattern, raised.text):
            return code, why
    return None


def _by_status(raised: Raised) -> tuple[Code, str | None] | None:
    return None if raised.status is None else STATUSES.get(raised.status)


def _by_class(kinds: tuple[str, ...]) -> Code:
    for kind in kinds:
        if kind in CLASSES:
            return CLASSES[kind]
    return "unclear"
