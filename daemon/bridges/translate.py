"""Turns what HTTP does to us into what the reconciler should do."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import msgspec

from daemon.bridges.words import meaning
from daemon.scrub import scrubbed, shown
from reconciler.model import Instant
from reconciler.verdicts import (
    ExchangeAway,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Unsupported,
    Verdict,
)

CODES: Mapping[str, type[Verdict]] = {
    "refused": Refused,
    "throttled": Throttled,
    "unavailable": ExchangeAway,  # our bridge answers, so it is the exchange that does not
    "unsupported": Unsupported,
    "malformed": Unsupported,
    "not_found": NotThere,
    "conflict": Unclear,
    "unclear": Unclear,
}
"""What the codes of our own bridge mean."""

_FIELDS = frozenset({"account_name", "connector_name", "api_key", "api_secret", "password", "memo"})
_READ = 8192
"""Characters of a body that are searched for words."""
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a bridge said, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    @property
    def ok(self) -> bool:
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    def json(self) -> Any:
        """Return the body decoded, None if it is no JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Wording:
    """What a message needs to be true and hold no secret: the patience, and all that was sent."""

    seconds: float
    secrets: Collection[str] = field(default=(), repr=False)


# -- what httpx raises -----------------------------------------------------------------------


@contextmanager
def translated(wording: Wording) -> Iterator[None]:
    """Raise a verdict for what httpx, or aiohttp through it, raises.

    The original is not chained: its text may repeat what the bridge echoed.
    """
    try:
        yield
    except TimeoutError:
        raise _too_slow(wording) from None
    except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as error:
        raise _of_error(error, wording) from None


def _of_error(error: Exception, wording: Wording) -> Verdict:
    # httpx-aiohttp calls a connection that broke after sending a ConnectTimeout: ask the cause.
    cause = error.__cause__ if isinstance(error.__cause__, aiohttp.ClientError) else error
    match cause:
        case aiohttp.ConnectionTimeoutError() | httpx.ConnectTimeout() | httpx.PoolTimeout():
            return Unavailable("Trading Bridge unreachable: no connection in time")
        case aiohttp.ClientConnectorError() | httpx.ConnectError():
            return Unavailable(f"Trading Bridge unreachable: {_why(cause, wording)}")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError() | httpx.UnsupportedProtocol():
            return Unavailable("Trading Bridge unreachable: its URL is not usable")
        case aiohttp.ServerTimeoutError() | httpx.TimeoutException():
            return _too_slow(wording)
        case aiohttp.ClientResponseError() | httpx.ProtocolError() | httpx.DecodingError():
            return Unclear("Trading Bridge answered with something that is not HTTP")
        case _:
            return Unclear("Trading Bridge broke off the connection before its answer was complete")


def _too_slow(wording: Wording) -> Verdict:
    seconds = f"{wording.seconds:g}"
    return Unclear(f"Trading Bridge timeout: Service did not respond within {seconds} seconds")


def _why(error: Exception, wording: Wording) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "its host name cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            words = _of_certificate(error.certificate_error)
        case aiohttp.ClientConnectorSSLError():
            words = "it does not speak TLS there: check http or https, and the port, in its URL"
        case aiohttp.ClientConnectorError(errno=int(number)):
            words = os.strerror(number).lower()
        case _:
            words = str(error)
    return shown(scrubbed(words, wording.secrets))


def _of_certificate(error: Exception) -> str:
    said = str(getattr(error, "verify_message", error)).rstrip(".")
    why = f"its certificate is not trusted ({said})"
    if getattr(error, "verify_code", None) in _OTHER_NAME:
        return f"{why}: use a name in its URL that the certificate is for"
    return f"{why}: set ca_file to the CA that issued it"


_OTHER_NAME = (62, 64)
"""OpenSSL's codes for another host name and another IP address."""


# -- what the bridge says --------------------------------------------------------------------


def verdict(answer: Answer, now: Instant, secrets: Collection[str] = ()) -> Verdict:
    """Return what an answer means that is not a success. *secrets*: all that was sent."""
    text = scrubbed(_said(answer), secrets)
    message = shown(f"HTTP {answer.status}: {text or _phrase(answer.status)}")
    return (
        _from_in_between(answer)
        or _by_code(answer, message, now)
        or _by_status(answer, message, now)
        or spoken(text, message, now)
        # Forbidden without a word about the key: something before the bridge keeps us out.
        or (Unavailable if answer.status == 403 else Unclear)(message)
    )


def _from_in_between(answer: Answer) -> Verdict | None:
    """The bridge's door, or what stands before it, did not let us through."""
    status = answer.status
    if status in (401, 407):
        return Unavailable(
            f"HTTP {status}: the bridge refuses our token: check it, or its user and password"
        )
    if 300 <= status < 400:
        to = _whither(answer)
        return Unavailable(f"HTTP {status}: redirect{to} not followed, set the bridge's final URL")
    return None


def _by_code(answer: Answer, message: str, now: Instant) -> Verdict | None:
    said = answer.json()
    code = said.get("code") if isinstance(said, dict) else None
    kind = CODES.get(code) if isinstance(code, str) else None
    return made(kind, message, retry_after(answer.headers, now)) if kind else None


def _by_status(answer: Answer, message: str, now: Instant) -> Verdict | None:
    if answer.status in (418, 429):
        return Throttled(message, retry_after=retry_after(answer.headers, now))
    if answer.status in (502, 503, 504):
        return Unavailable(message)
    return _malformed(answer, message) if answer.status == 422 else None


def spoken(text: str, message: str, now: Instant) -> Verdict | None:
    """Return what a bridge's words alone say, None if they say nothing that is known."""
    kind = meaning(text)
    return made(kind, message, _banned_until(text, now)) if kind else None


def made(kind: type[Verdict], message: str, wait: timedelta | None = None) -> Verdict:
    return Throttled(message, retry_after=wait) if kind is Throttled else kind(message)


def _malformed(answer: Answer, message: str) -> Verdict:
    """FastAPI's own 422 repeats the whole body: only names of fields we know come through."""
    said = answer.json()
    detail = said.get("detail") if isinstance(said, dict) else None
    if isinstance(detail, str):
        return made(meaning(message) or Unsupported, message)
    named = sorted(_FIELDS.intersection(_places(detail)))
    which = f" ({', '.join(named)})" if named else ""
    return Unsupported(f"HTTP 422: the bridge calls our request malformed{which}")


def _places(detail: Any) -> Iterator[str]:
    for problem in detail if isinstance(detail, list) else ():
        places = problem.get("loc") if isinstance(problem, dict) else None
        yield from (
            (p for p in places or () if isinstance(p, str)) if isinstance(places, list) else ()
        )


def _said(answer: Answer) -> str:
    """Return the text in an answer: a field of JSON, a page without its tags, or all of it."""
    said = answer.json()
    text = in_words(said) if said is not None else answer.body[:_READ].decode(errors="replace")
    if re.match(r"\s*<", text):
        text = re.sub(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>", " ", text)
    return text[:_READ]


def in_words(said: Any) -> str:
    """Return what an object says in words, wherever bridges put that."""
    if not isinstance(said, dict):
        return said if isinstance(said, str) else _compact(said)
    for name in ("detail", "error", "message", "msg", "reason"):
        if said.get(name):
            return in_words(said[name])
    return _compact(said)


def _compact(said: Any) -> str:
    return msgspec.json.encode(said).decode() if said else ""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no further words"


def _whither(answer: Answer) -> str:
    """Name the host alone: the rest of a redirect may carry what we sent."""
    try:
        host = urlsplit(answer.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return f" to {shown(host)}" if host else ""


# -- how long to wait ------------------------------------------------------------------------


def retry_after(headers: Mapping[str, str], now: Instant) -> timedelta | None:
    """Read Retry-After, seconds or a date; None when it is neither."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,12}(\.\d+)?", text):
        return _bounded(float(text))
    try:
        then = parsedate_to_datetime(text)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return _bounded((then - now).total_seconds())


def _banned_until(text: str, now: Instant) -> timedelta | None:
    """Binance names the end of a ban in milliseconds."""
    until = re.search(r"banned until (\d{13})\b", text)
    return _bounded(int(until[1]) / 1000 - now.timestamp()) if until else None


def _bounded(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_WAIT.total_seconds()))
