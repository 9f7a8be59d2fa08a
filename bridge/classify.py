"""What an exchange's refusal means for the one who asked: the walk through the tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bridge.dialects import BANNED, CLOCK, FAMILIES, FROZEN, NONCE, PLACE, ROWS, TOO_OFTEN, Row
from bridge.errors import Code

Verdict = tuple[Code, str | None]

# ccxt's class (the nearest one in the family wins).
CLASSES: Mapping[str, Verdict] = {
    "AccountNotEnabled": ("refused", "this kind of account is not enabled"),
    "AccountSuspended": ("refused", FROZEN),
    "PermissionDenied": (
        "refused",
        "the key lacks a permission, or this address is not on its allowlist",
    ),
    "AuthenticationError": ("refused", None),
    "ManualInteractionNeeded": ("refused", "the account's owner must do something first"),
    # where we stand is the operator's matter, not the key's
    "RestrictedLocation": ("unavailable", PLACE),
    "ArgumentsRequired": ("malformed", None),
    "NotSupported": ("unsupported", None),
    "InvalidProxySettings": ("unavailable", None),
    "ExchangeClosedByUser": ("unavailable", None),
    "DDoSProtection": ("throttled", None),
    "RateLimitExceeded": ("throttled", None),
    "OnMaintenance": ("unavailable", "the exchange is under maintenance"),
    "InvalidNonce": ("unavailable", CLOCK),
    "BadResponse": ("unclear", None),
    "OperationFailed": ("unavailable", None),  # with NetworkError and its kin
    "BaseError": ("unclear", None),
}
# HTTP statuses that speak louder than ccxt's class.
STATUSES: Mapping[int, Verdict] = {
    418: ("throttled", BANNED),
    429: ("throttled", None),
    451: ("unavailable", PLACE),
}
# What broke the connection, by the name of its class; ccxt's own text is only a signed URL.
CAUSES: Mapping[str, Verdict] = {
    "ClientHttpProxyError": ("unavailable", "the proxy on the way there refused to pass it on"),
    "ClientProxyConnectionError": ("unavailable", "the proxy on the way there is out of reach"),
    "ClientConnectorCertificateError": ("unavailable", "its certificate is not to be trusted"),
    "ClientConnectorSSLError": ("unavailable", "no secure connection came about"),
    "ClientConnectorDNSError": ("unavailable", "its name is not known"),
    "gaierror": ("unavailable", "its name is not known"),
    "ServerTimeoutError": ("unavailable", "it did not answer in time"),
    "TimeoutError": ("unavailable", "it did not answer in time"),
    "ProxyError": ("unavailable", "the proxy on the way there refused to pass it on"),
    "ClientConnectorError": ("unavailable", "no connection came about"),
    "ClientConnectionError": ("unavailable", "the connection was lost"),
    "ClientPayloadError": ("unclear", "the answer broke off"),
    "OSError": ("unavailable", "the connection was lost"),
    "ClientError": ("unclear", "the answer was not HTTP as it should be"),
}
WORDS: Mapping[Code, str] = {
    "refused": "refused these credentials",
    "throttled": "asks for patience",
    "unavailable": "could not be asked",
    "unsupported": "cannot be asked for this",
    "malformed": "cannot use these credentials: they have the wrong form",
    "unclear": "gave an answer that makes no sense",
}
LONGEST_S = 7 * 86_400.0  # no ban is longer, whatever a header says
_URL = re.compile(r"https?://\S+")  # ccxt's own words: what we asked, not what was said
_UNTIL = re.compile(r"(?:banned until|Throttled:)\s*(\d{10})(\d{3})?\b")  # binance, kraken


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of ccxt's, as data: its classes' names, the nearest first, and its HTTP side.

    `causes` are the names of the classes of what lies beneath it.
    """

    exchange: str
    kinds: tuple[str, ...]
    text: str
    status: int | None = None
    retry_after: str | None = None
    causes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Meaning:
    """*words* hold nothing of the exchange's own; `retry_after` is in seconds."""

    code: Code
    words: str
    retry_after: float | None = None

    @property
    def clock(self) -> bool:
        """Whether to read the exchange's time and ask again."""
        return self.words.endswith(CLOCK)

    @property
    def nonce(self) -> bool:
        """Whether to ask again: two calls may have overtaken each other."""
        return self.words.endswith(NONCE)

    @property
    def address(self) -> bool:
        """Whether it is our address, and not an account, that has asked too much."""
        return self.words.endswith((BANNED, TOO_OFTEN))


def classify(raised: Raised, now: datetime | None = None) -> Meaning:
    """Say what *raised* means."""
    now = now or datetime.now(UTC)
    row = _row(raised)
    code, why = (
        _by_cause(raised.causes)
        or (row and (row.code, row.why))
        or _by_status(raised)
        or _by_class(raised.kinds, raised.text, raised.status)
    )
    words = f"{raised.exchange} {WORDS[code]}" + (f": {why}" if why else "")
    said = (seconds(raised.retry_after, now), _until(raised.text, now), row and row.patience_s)
    return Meaning(code, words, next((wait for wait in said if wait is not None), None))


def seconds(retry_after: str | None, now: datetime) -> float | None:
    """Read a Retry-After header, a number or a date; None when it is neither."""
    if not retry_after:
        return None
    stripped = retry_after.strip()
    if stripped.isascii() and stripped.isdigit():
        return min(float(stripped), LONGEST_S)
    try:
        then = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return _ahead(then.timestamp(), now)


def _until(text: str, now: datetime) -> float | None:
    found = _UNTIL.search(text)
    return _ahead(float(found[1]), now) if found else None


def _ahead(then: float, now: datetime) -> float:
    return min(max(0.0, then - now.timestamp()), LONGEST_S)


def _by_cause(causes: tuple[str, ...]) -> Verdict | None:
    return next((CAUSES[cause] for cause in causes if cause in CAUSES), None)


def _row(raised: Raised) -> Row | None:
    base = raised.exchange.removesuffix("_testnet")
    family = FAMILIES.get(base, base)
    text = _URL.sub("", raised.text)
    for row in ROWS:
        if family.startswith(row.family) and re.search(row.pattern, text):
            return row
    return None


def _by_status(raised: Raised) -> Verdict | None:
    return None if raised.status is None else STATUSES.get(raised.status)


def _by_class(kinds: tuple[str, ...], text: str, status: int | None) -> Verdict:
    if "InvalidNonce" in kinds and "nonce" in text.lower():
        return "unavailable", NONCE
    found = next((CLASSES[kind] for kind in kinds if kind in CLASSES), ("unclear", None))
    vague = found[0] == "unclear" and "BadResponse" not in kinds
    return (_by_bare_status(status) or found) if vague else found


def _by_bare_status(status: int | None) -> Verdict | None:
    """Judge by the status alone, when the exchange's words are unknown to ccxt."""
    if status == 401:  # a proxy's has been told apart before
        return "refused", None
    return ("unavailable", None) if status is not None and status >= 500 else None
