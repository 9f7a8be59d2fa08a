"""Asks an exchange on a connector's behalf; the only place where ccxt may raise anything."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import structlog

from bridge.classify import WORDS, Meaning, Raised, classify
from bridge.errors import Trouble
from bridge.guard import Malformed, seen
from bridge.scrub import scrub

log = structlog.get_logger()

Amounts = dict[str, float | None]
# ccxt leaves the last request on the object, signature and API key included.
_LEFTOVERS = ("last_request_headers", "last_request_body", "last_request_url")


async def balance(
    exchange: str, remote: Any, secrets: list[str], limit_s: float
) -> dict[str, Amounts]:
    """Return {asset: {total, free, used}} of what is not zero, after an authenticated call.

    Raises `Trouble`, within *limit_s* seconds.
    """
    with asking(exchange, remote, secrets, limit_s):
        return _amounts(await remote.fetch_balance())


@contextmanager
def asking(exchange: str, remote: Any, secrets: list[str], limit_s: float) -> Iterator[None]:
    """Turn all that ccxt raises into `Trouble`, in time, and leave no request on *remote*."""
    try:
        with anyio.fail_after(limit_s):
            yield
    except TimeoutError:
        words = f"{exchange} did not answer within {limit_s:g} s"
        raise Trouble("unavailable", words) from None
    except Trouble:
        raise  # of our own making: too many calls wait
    except Exception as error:  # noqa: BLE001 - ccxt raises anything, and its texts carry secrets
        raise trouble(exchange, error, secrets) from None
    finally:
        for leftover in _LEFTOVERS:
            vars(remote).pop(leftover, None)


def trouble(exchange: str, error: Exception, secrets: list[str]) -> Trouble:
    """Say *error* in words that a client may read."""
    if isinstance(error, Malformed):
        return Trouble("malformed", f"{exchange} {WORDS['malformed']}")
    meaning = classify(raised(exchange, error))
    detail = meaning.words
    if _is_ccxts(error) and (said := scrub(str(error), secrets, limit=300)):
        detail = f"{detail}: {said}"
    else:
        log.error("unexpected_error", exchange=exchange, error=type(error).__name__, at=_at(error))
    return Trouble(meaning.code, detail, retry_after=_patience(meaning))


def raised(exchange: str, error: Exception) -> Raised:
    """Return *error* as data for `classify`."""
    kinds = tuple(kind.__name__ for kind in type(error).__mro__)
    http = seen(error)
    return Raised(
        exchange.removesuffix("_testnet"),
        kinds if _is_ccxts(error) else (),
        str(error),
        http.status if http else None,
        http.retry_after if http else None,
    )


def _is_ccxts(error: Exception) -> bool:
    return any(kind.__name__ == "BaseError" for kind in type(error).__mro__)


def _patience(meaning: Meaning) -> float | None:
    if meaning.code == "throttled" and meaning.retry_after is None:
        return 30.0  # a 429 without a word about when: long enough for most windows
    return meaning.retry_after


def _at(error: Exception) -> str:
    """Return where it happened, without the message, which may quote anything."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "nowhere"


def _amounts(found: Any) -> dict[str, Amounts]:
    return {
        asset: {part: found[part].get(asset) for part in ("total", "free", "used")}
        for asset in found["total"]
        if any(found[part].get(asset) for part in ("total", "free", "used"))
    }
