"""Asks an exchange on a connector's behalf; the only place where ccxt may raise anything."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import structlog
from aiohttp import ServerDisconnectedError
from ccxt.base.errors import BadRequest, BadResponse, BaseError

from bridge.classify import CAUSES, WORDS, Meaning, Raised, classify
from bridge.errors import Trouble
from bridge.guard import Malformed, seen
from bridge.looks import Others, looking
from bridge.scrub import scrub

log = structlog.get_logger()

Amounts = dict[str, float | None]
PARTS = ("total", "free", "used")
# They tell of every asset they know, and ccxt looks for each by its name.
NEVER_EMPTY = frozenset({"btcbox", "coincheck", "paymium"})
# Who lists several wallets at once, of which ccxt reads one.
OTHERS = {
    "bitfinex": Others(0, frozenset({"funding", "margin"})),
    "coinbase": Others("type", frozenset({"vault", "ACCOUNT_TYPE_VAULT"})),
    "latoken": Others("type", frozenset({"ACCOUNT_TYPE_WALLET"})),
}
# Options in which ccxt keeps a failure to find out for a "no", or what may have changed since.
# After such an error they are found out again.
_UNIFIED = ("enableUnifiedMargin", "enableUnifiedAccount")
GUESSED: Mapping[str, tuple[type[BaseException], tuple[str, ...]]] = {
    "bitget": (BaseException, ("uta",)),
    **dict.fromkeys(("bybit", "bybiteu", "bybitid"), (BadRequest, _UNIFIED)),
}
# ccxt leaves the last request on the object, signature and API key included.
_LEFTOVERS = ("last_request_headers", "last_request_body", "last_request_url")


async def balance(
    exchange: str, remote: Any, secrets: list[str], limit_s: float
) -> dict[str, Amounts]:
    """Return {asset: {total, free, used}} of what is not zero, after an authenticated call.

    Raises `Trouble`, within *limit_s* seconds.
    """
    with asking(exchange, remote, secrets, limit_s):
        return await _twice_at_most(exchange, remote)


@contextmanager
def asking(exchange: str, remote: Any, secrets: list[str], limit_s: float) -> Iterator[None]:
    """Turn all that ccxt raises into `Trouble`, in time, and leave no request on *remote*."""
    try:
        with anyio.fail_after(limit_s) as scope:
            yield
    except TimeoutError as error:
        if not scope.cancelled_caught:
            raise trouble(exchange, error, secrets, remote.quiet_s()) from None
        words = f"{exchange} did not answer within {limit_s:g} s"
        raise Trouble("unavailable", words) from None
    except Trouble:
        raise  # of our own making: too many calls wait
    except Exception as error:  # noqa: BLE001 - ccxt raises anything, and its texts carry secrets
        raise trouble(exchange, error, secrets, remote.quiet_s()) from None
    finally:
        for leftover in _LEFTOVERS:
            vars(remote).pop(leftover, None)


async def _twice_at_most(exchange: str, remote: Any) -> dict[str, Amounts]:
    """Ask, and once more when the clock, the nonce or the connection was the only thing wrong."""
    try:
        return await _asked(exchange, remote)
    except BaseError as error:
        meaning = classify(raised(exchange, error))
        if not (meaning.clock or meaning.nonce or _hung_up(error)):
            raise
        if meaning.clock and not await _clock_read(remote):
            raise
    return await _asked(exchange, remote)


def _hung_up(error: BaseError) -> bool:
    """Tell whether a kept connection ended just then: who only reads may ask again.

    aiohttp does so by itself, but not for a POST, by which Kraken and others are asked.
    """
    return isinstance(error.__cause__, ServerDisconnectedError | ConnectionResetError)


async def _asked(exchange: str, remote: Any) -> dict[str, Amounts]:
    try:
        with looking() as looks:
            found = await remote.fetch_balance()
    except BaseException as error:
        kind, guesses = GUESSED.get(exchange.removesuffix("_testnet"), (BaseException, ()))
        for guess in guesses if isinstance(error, kind) else ():
            remote.options[guess] = None
        raise
    nothing_told = looks.missed or looks.unread(OTHERS.get(exchange)) or exchange in NEVER_EMPTY
    if not found["total"] and nothing_told:
        raise BadResponse("answered without balances")
    return amounts(found)


async def _clock_read(remote: Any) -> bool:
    try:
        await remote.clock.read(remote)
    except BaseError as error:
        log.info("clock_not_read", exchange=remote.id, error=type(error).__name__)
        return False
    return True


def amounts(found: Any) -> dict[str, Amounts]:
    """Return what is not zero of ccxt's balance; raises BadResponse when no number is in it."""
    held = {
        asset: {part: found[part].get(asset) for part in PARTS}
        for asset in {**found["total"], **found["free"]}
    }
    numbers = [n for parts in held.values() for n in parts.values() if n is not None]
    if held and not numbers:
        raise BadResponse("answered without amounts")
    if not all(math.isfinite(number) for number in numbers):
        raise BadResponse("answered with amounts that are no numbers")
    return {asset: parts for asset, parts in held.items() if any(parts.values())}


def trouble(exchange: str, error: Exception, secrets: list[str], quiet_s: float) -> Trouble:
    """Say *error* in words that a client may read; *quiet_s* is how long we are to be quiet."""
    if isinstance(error, Malformed):
        return Trouble("malformed", f"{exchange} {WORDS['malformed']}")
    data = raised(exchange, error)
    meaning = classify(data)
    if not isinstance(error, BaseError):
        log.error("unexpected_error", exchange=exchange, error=type(error).__name__, at=_at(error))
    said = "" if data.causes or not data.kinds else _said(exchange, error, secrets)
    detail = f"{meaning.words}: {said}" if said else meaning.words
    return Trouble(meaning.code, detail, retry_after=_patience(meaning, quiet_s))


def _said(exchange: str, error: Exception, secrets: list[str]) -> str:
    """Return ccxt's text without secrets, and without the name before it."""
    base = exchange.removesuffix("_testnet")
    return scrub(str(error).removeprefix(base).strip(), secrets, limit=300)


def raised(exchange: str, error: Exception) -> Raised:
    """Return *error* as data for `classify`."""
    http = seen(error)
    ccxts = isinstance(error, BaseError)
    beneath = error.__cause__ if ccxts else error
    return Raised(
        exchange,
        _names(error) if ccxts else (),
        str(error),
        http.status if http else None,
        http.retry_after if http else None,
        tuple(name for name in _names(beneath) if name in CAUSES),
    )


def _names(error: BaseException | None) -> tuple[str, ...]:
    return tuple(kind.__name__ for kind in type(error).__mro__)


def _patience(meaning: Meaning, quiet_s: float) -> float | None:
    if meaning.code == "throttled":  # most say not for how long: then it is we who decide
        return max(meaning.retry_after or 0.0, quiet_s) or None
    return meaning.retry_after


def _at(error: Exception) -> str:
    """Return where it happened, without the message, which may quote anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"
