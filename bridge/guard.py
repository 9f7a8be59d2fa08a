"""Stands between ccxt and what an exchange sends, so that no error passes for an empty balance."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from ccxt.base.errors import BadResponse, BaseError, ExchangeNotAvailable

from bridge.clocks import Clock
from bridge.looks import Watched, begin

_SILENT = logging.getLogger("bridge.ccxt")
_SILENT.disabled = True  # ccxt logs requests with their API keys
_LAST = "guardedNonce"  # in options: with the clock's offset, the last one given

# What an exchange's own "401" holds; without it, something in between has answered.
_MARKS = {"binance": "code", "bybit": "retCode", "kucoin": "code", "mexc": "code", "okx": "code"}
# Who says no to a key by a bare 401, and what stands in it.
_BARE = {"bybit": "", "coinbase": "Unauthorized"}

# Whose balances are an object by asset and nothing around it: an empty one is an empty account.
_MAPS = frozenset({"backpack"})


class Malformed(Exception):
    """ccxt could not sign a request with these credentials: they have the wrong form."""


class Seen(NamedTuple):
    """The HTTP side of an answer, kept beside the error that it became."""

    status: int
    retry_after: str | None


class Guarded(Watched):
    """Mixed in front of a ccxt exchange class; ccxt calls these between reading and parsing."""

    id: str
    options: dict[str, Any]
    logger = _SILENT
    clock = Clock()

    def __init_subclass__(cls, **more: Any) -> None:
        """Give each exchange a clock, which the classes made from its class share."""
        super().__init_subclass__(**more)
        if cls.clock is Guarded.clock:
            cls.clock = Clock()

    def __del__(self) -> None:
        """Own no session, so have none to complain about."""

    def handle_errors(self, *told: Any) -> Any:
        """Let ccxt judge the answer, then refuse what it would let through.

        *told* is (status, reason, url, method, headers, body, parsed or None, ...).
        """
        status, reason, url, method, headers, body, parsed, *_ = told
        with _marked(status, headers):
            refuse_go_betweens(self.id, status, body, parsed)
            skip = cast("Any", super()).handle_errors(*told)
            cast("Any", self).handle_http_status_code(status, reason, url, method, body)
            refuse_nonsense(self.id, status, parsed)
        begin(parsed)
        return skip

    # In ccxt's classes these three read the machine's clock, and all else that signs reads them.

    def microseconds(self) -> int:
        return time.time_ns() // 1000 + self.clock.ahead_ms * 1000

    def milliseconds(self) -> int:
        return self.microseconds() // 1000

    def seconds(self) -> int:
        return self.microseconds() // 1_000_000

    def nonce(self) -> float:
        """Return ccxt's, but always a higher one: Kraken refuses others, and clocks tick slowly.

        A clock that has been put right may begin anew.
        """
        given: float = cast("Any", super()).nonce()
        ahead, last = self.options.get(_LAST, (self.clock.ahead_ms, 0.0))
        if ahead == self.clock.ahead_ms:
            given = max(given, last + 1)
        self.options[_LAST] = self.clock.ahead_ms, given
        return given

    def sign(self, *request: Any, **more: Any) -> Any:
        """Sign, and tell malformed credentials from every other accident."""
        try:
            return cast("Any", super()).sign(*request, **more)
        except BaseError:
            raise
        except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
            # binascii.Error and what coincurve raises are ValueErrors; the text may quote a key.
            raise Malformed(type(error).__name__) from None


def refuse_go_betweens(exchange: str, status: int, body: str, parsed: object) -> None:
    """Raise when a proxy, not the exchange, says that somebody is not allowed in."""
    if status in (407, 511) or (status == 401 and _foreign(exchange, body, parsed)):
        raise ExchangeNotAvailable(f"{exchange} was not reached: a proxy answered {status}")


def _foreign(exchange: str, body: str, parsed: object) -> bool:
    if parsed is None and _BARE.get(exchange) == body.strip():
        return False
    mark = _MARKS.get(exchange)
    return not isinstance(parsed, dict) or (mark is not None and mark not in parsed)


def refuse_nonsense(exchange: str, status: int, parsed: object) -> None:
    """Raise when an answer that ccxt accepted is not one.

    Of 15 exchanges measured, 14 make an empty balance of HTML, of nothing and of `null`.
    """
    if not 200 <= status < 300:
        raise ExchangeNotAvailable(f"{exchange} answered with status {status}")
    if not isinstance(parsed, dict | list):
        raise BadResponse(f"{exchange} answered with something that is not JSON")
    if parsed == {} and exchange not in _MAPS:
        raise BadResponse(f"{exchange} answered with an empty object")


@contextmanager
def _marked(status: int, headers: Mapping[str, str]) -> Iterator[None]:
    try:
        yield
    except BaseError as error:
        after = next((v for k, v in headers.items() if k.lower() == "retry-after"), None)
        vars(error)["seen"] = Seen(status, after)
        raise


def seen(error: BaseException) -> Seen | None:
    """Return the HTTP side of *error*, if there was one."""
    found = vars(error).get("seen")
    return found if isinstance(found, Seen) else None
