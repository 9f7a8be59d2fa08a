"""Takes secrets out of words before anybody reads them."""

import base64
import html
import re
from collections.abc import Collection, Iterator
from functools import lru_cache

GONE = "***"
LONGEST = 200
"""Characters of a message that a person is shown."""

_SHORT = 4
_PREFIX = 8
"""Characters from which on the beginning of a secret, cut off by somebody else, is known as one."""

_REST = r"[^\s\"',&}<]*"

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
_UUID = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
# A long word without a digit is a name, not a key; an id is meant to be read.
_OPAQUE = re.compile(
    rf"({_UUID})|(?=[A-Za-z+/=_-]*\d)(?:[A-Za-z0-9+/=]{{32,}}|[A-Za-z0-9_=-]{{32,}})"
)
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
    text = masked(Disguises(secrets).taken_from(text))
    return _OPAQUE.sub(lambda found: found[1] or GONE, text)


def shown(text: str) -> str:
    """Return *text* as one printable line of at most `LONGEST` characters."""
    line = " ".join(_CONTROL.sub(" ", text).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


@lru_cache(1024)
def is_private(name: str) -> bool:
    """Tell whether what is called *name* is shown to nobody."""
    return _PRIVATE_NAME.fullmatch(name) is not None


class Disguises:
    """Every form in which one of *secrets* may turn up: escaped however often, or in base64."""

    def __init__(self, secrets: Collection[str]) -> None:
        parts = {part for secret in secrets for part in _parts(secret)}
        found = sorted((each for part in parts for each in _forms(part)), key=len, reverse=True)
        self._pattern = re.compile("|".join(found), re.IGNORECASE)
        re.purge()  # it would keep these patterns, and they are secrets
        self._signs = {sign for part in parts for sign in _signs(part)}

    def taken_from(self, text: str) -> str:
        low = text.lower()
        if not any(sign in low for sign in self._signs):
            return text
        return self._pattern.sub(GONE, text)


def _parts(secret: str) -> set[str]:
    """A long one, say a PEM, is known by its lines."""
    lines = {line.strip() for line in secret.split("\n") if len(line.strip()) >= _PREFIX}
    whole = {secret.strip()} - {""}
    return lines if lines and len(secret) > LONGEST else lines | whole


def _forms(part: str) -> Iterator[str]:
    if len(part) < _SHORT:  # inside other words it would garble the text and hide nothing
        yield rf"(?<!\w){_loose(part)}(?!\w)"
        return
    cut = len(part) >= 2 * _PREFIX
    if cut:
        yield _loose(part[:_PREFIX]) + _REST
    if not cut or not re.fullmatch(_REST, part):  # else the beginning takes all of it along
        yield _loose(part)
    yield from (re.escape(code) + _REST for code in _codes(part))


def _loose(part: str) -> str:
    return "".join(map(_character, part))


def _character(char: str) -> str:
    """Return a pattern of *char* as it is, and as JSON, Python, URLs and HTML write it."""
    if char.isascii() and char.isalnum():
        return char
    written = {re.escape(html.escape(char)), re.escape(repr(char)[1:-1].removeprefix("\\"))}
    for case in {char, char.lower(), char.upper()}:
        units = case.encode("utf-16-be", errors="surrogatepass")
        raw = case.encode(errors="surrogatepass")
        written |= {
            re.escape(case),
            r"\\+".join(f"u{units[i : i + 2].hex()}" for i in range(0, len(units), 2)),
            "".join(f"%(?:25)*{byte:02x}" for byte in raw),
        }
    if char == " ":
        written.add(r"\+")
    return rf"\\*(?:{'|'.join(sorted(written, key=len, reverse=True))})"


def _codes(part: str) -> Iterator[str]:
    """Return the part in base64, also as it looks behind one or two other bytes."""
    for ahead, start in ((0, 0), (1, 2), (2, 3)):
        code = base64.b64encode(b"\0" * ahead + part.encode(errors="surrogatepass")).decode()
        code = code.rstrip("=")[start:-1][: 2 * _PREFIX]
        if len(code) >= _PREFIX:
            yield from {code, code.replace("+", "-").replace("/", "_")}


def _signs(part: str) -> Iterator[str]:
    """Return what is in the text if any form of *part* is: letters and digits stay themselves."""
    yield max(re.split(r"[^A-Za-z0-9]+", part[:_PREFIX]), key=len).lower()
    yield from (code.lower() for code in _codes(part))
