"""Takes secrets out of words before anybody reads them."""

import base64
import html
import json
import re
from collections.abc import Collection, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

GONE = "***"
LONGEST = 200
"""Characters of a message that a person is shown."""

_SHORT = 4
_PREFIX = 8
"""Characters from which on the beginning of a secret, cut off by somebody else, is known as one."""

_PRIVATE = (
    r"api[-_ ]?key|api[-_ ]?sign|secret|signature|sign|passphrase|password|passwd|memo|token"
    r"|authorization|cookie|private[-_]?key|encryption[-_]?key|access[-_]key|apikey"
)
_PRIVATE_NAME = re.compile(rf"(?i)(?:.*[-_.])?(?:{_PRIVATE}|ciphertext)s?")
# What ends a value in a query, in JSON and in a Python repr.
_VALUE = r"[^\s\"',;&}\])]+"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN[\s\S]*?(?:-----END[^-]*-----|$)"), GONE),
    (re.compile(r"gAAAA[\w-]{20,}={0,2}"), GONE),
    # postgresql://user:password@host
    (re.compile(r"(\w+://[^\s:/@\"']*):[^\s\"']+@"), rf"\1:{GONE}@"),
    # Signed URLs: the signature may have any name.
    (re.compile(r"(https?://[^\s\"'?]+)\?[^\s\"']*"), rf"\1?{GONE}"),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{6,}"), rf"\1{GONE}"),
    (re.compile(rf"(?i)([\w-]*(?:{_PRIVATE}))=[\"']?{_VALUE}"), rf"\1={GONE}"),
    (
        re.compile(
            rf"(?i)([\"'][\w-]*(?:{_PRIVATE})[\"']\s*[:,]\s*)"
            r"(?:b?\"(?:[^\"\\]|\\.)*(?:\"|$)|b?'(?:[^'\\]|\\.)*(?:'|$))"
        ),
        rf"\1{GONE}",
    ),
    # Outside quotes a word after a colon is prose, unless it has a digit in it.
    (
        re.compile(rf"(?i)([\w-]*(?:{_PRIVATE})[\"']?\s*:\s*)(?=\S*\d)[\w.~+/=-]{{8,}}"),
        rf"\1{GONE}",
    ),
)
# Looking for these first makes the common line, which holds no secret, ten times cheaper.
_SUSPECT = (
    *("key", "secret", "sign", "pass", "memo", "token", "auth", "cookie"),
    *("://", "gaaaa", "-begin", "bearer", "basic"),
)
_UUID = r"(?!\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
# A long word without a digit is a name, not a key.
_OPAQUE = re.compile(rf"{_UUID}(?=[A-Za-z+/=_-]*\d)[A-Za-z0-9+/=_-]{{32,}}")
# C0, C1, and what turns the direction of text or breaks lines.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+"
)


def masked(text: str) -> str:
    """Return *text* without what has the form of a secret: fields, signed URLs, passwords in URLs.

    >>> masked("GET /order?signature=0af1")
    'GET /order?signature=***'
    """
    low = text.lower()
    if not any(word in low for word in _SUSPECT):
        return text
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def scrubbed(text: str, secrets: Collection[str] = ()) -> str:
    """Return *text* without *secrets* in any disguise, and without what looks like one."""
    return _OPAQUE.sub(GONE, masked(Disguises(secrets).taken_from(text)))


def shown(text: str) -> str:
    """Return *text* as one printable line of at most `LONGEST` characters."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


@lru_cache(1024)
def is_private(name: str) -> bool:
    """Tell whether what is called *name* is shown to nobody."""
    return _PRIVATE_NAME.fullmatch(name) is not None


class Disguises:
    """Every form in which one of *secrets* may turn up."""

    def __init__(self, secrets: Collection[str]) -> None:
        forms = {form for secret in secrets if secret for form in _forms(secret)}
        patterns = sorted(map(_pattern, forms), key=len, reverse=True)
        self._pattern = re.compile("|".join(patterns), re.IGNORECASE)
        self._starts = {form[:_PREFIX].lower() for form in forms}

    def taken_from(self, text: str) -> str:
        low = text.lower()
        if not any(start in low for start in self._starts):
            return text
        return self._pattern.sub(GONE, text)


def _pattern(form: str) -> str:
    if len(form) < _SHORT:  # inside other words it would garble the text and hide nothing
        return rf"(?<!\w){re.escape(form)}(?!\w)"
    if len(form) < 2 * _PREFIX:
        return re.escape(form)
    # Whole, or cut off by somebody else.
    return rf"{re.escape(form)}|{re.escape(form[:_PREFIX])}[^\s\"',&}}<]*"


def _forms(secret: str) -> Iterator[str]:
    for part in {secret, secret.strip(), *_lines(secret)} - {""}:
        yield from _encodings(part)


def _lines(secret: str) -> list[str]:
    """A PEM is known by its lines too."""
    return [line for line in secret.split("\n") if len(line.strip()) >= _PREFIX]


def _encodings(part: str) -> Iterator[str]:
    raw = part.encode(errors="surrogatepass")
    yield part
    yield quote(raw, safe="")
    yield quote(raw)
    yield quote_plus(raw)
    yield json.dumps(part)[1:-1]
    yield json.dumps(part, ensure_ascii=False)[1:-1]
    yield repr(part)[1:-1]
    yield html.escape(part)
    yield base64.b64encode(raw).decode().rstrip("=")
    yield base64.urlsafe_b64encode(raw).decode().rstrip("=")
