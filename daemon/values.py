"""What a setting's text may be: each function returns the value or says what is expected."""

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from daemon.bridges.address import is_loopback
from daemon.logs import guard
from daemon.vault import Keyring, parse_keys
from reconciler.model import Secret
from reconciler.slots import canonical

T = TypeVar("T")
Said = str | Sequence[str]
Reader = Callable[[Said], object]


def text(said: Said) -> str:
    if not isinstance(said, str):
        raise ValueError("is a list and should be text")  # noqa: TRY004 - settings are ValueErrors
    return said


def of_text(read: Callable[[str], object]) -> Reader:
    """Return a reader of what must be text."""
    return lambda said: read(text(said))


def texts(said: Said) -> frozenset[str]:
    """Read a list of texts; one text is a list with commas in it."""
    items = said.split(",") if isinstance(said, str) else said
    return frozenset(item.strip() for item in items if item.strip())


def proxies(said: Said) -> frozenset[str]:
    """Read addresses and networks; "*" is everybody."""
    found = texts(said)
    for each in found - {"*"}:
        try:
            ip_network(each)
        except ValueError:
            raise ValueError("should be addresses such as 10.0.0.7, 10.0.0.0/8 or *") from None
    return found


def rates(said: Said) -> Mapping[str, float]:
    """Read attempts a second by exchange: "binance=5, *=10"."""
    found: dict[str, float] = {}
    for item in texts(said):
        name, _, number = (part.strip() for part in item.partition("="))
        exchange = canonical(name)
        plain = re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", number)
        if not exchange or not plain or exchange in found:
            raise ValueError(
                f"{item!r} is not exchange=number, each exchange once: attempts a second, such as"
                " 'binance=5, *=10', where * is every other and 0 no limit"
            )
        found[exchange] = float(number)
    return found


def secret(said: str) -> Secret:
    guard(said)
    return Secret(said)


def token(said: str) -> Secret:
    guard(said)
    if not said.isascii() or not said.isprintable() or " " in said:
        raise ValueError("holds a blank or a sign that no token has: copy it anew")
    return Secret(said)


def first_token(said: str) -> Secret:
    """Read a token that somebody else made, which must be hard to guess."""
    if not 32 <= len(said) <= 200:
        raise ValueError("has not 32 to 200 characters: see 'openssl rand -hex 32'")
    return token(said)


def proxy(said: str) -> Secret:
    if not re.match(r"https?://[^/\s]", said) or not _port_will_do(said):
        raise ValueError("is not the URL of a proxy: http://host:3128")
    return hidden_url(said)


def _port_will_do(url: str) -> bool:
    """Look behind a password, which may hold anything."""
    named = re.search(r":(\d+)(?:[/?]|$)", url.rsplit("@", 1)[-1])
    return named is None or 0 < int(named[1]) <= 65_535


def keyring(said: str) -> Keyring:
    keys = parse_keys(said)
    for key in keys:
        guard(key.reveal())
        guard(unquote(key.reveal().rsplit(":", 1)[-1]))
    return Keyring(keys)


def database(said: str) -> Secret:
    """Read the URL of a PostgreSQL; what it says is never repeated."""
    if not re.match(r"postgres(ql)?(\+\w+)?://", said) or not _port_will_do(said):
        raise ValueError("is not a PostgreSQL URL: postgresql://user:password@host:5432/database")
    return hidden_url(said)


def listen(said: str) -> Secret:
    """Read the URL that LISTEN goes to; "off" is none at all."""
    return Secret("") if said.lower() == "off" else database(said)


def hidden_url(said: str) -> Secret:
    """Read a URL that may hold a password."""
    match = _PASSWORD.search(said)
    if match:
        guard(match[1])
        guard(unquote(match[1]))
    return Secret(said)


_PASSWORD = re.compile(r"://[^:/@]*:([^@]+)@")


def web_address(said: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", said) or not _port_will_do(said):
        raise ValueError("is not the address of a page: https://host/path")
    return said


def webhook(said: str) -> Secret:
    """Read where messages go: the whole of it may be what opens it, so it is never repeated."""
    guard(said)
    host = re.match(r"https?://(\[[^\]]*\]|[^\s/?#@:]+)(:\d+)?(/\S*)?$", said)
    if not host or not _port_will_do(said):
        raise ValueError("is not the URL of a webhook: https://host/path, without user or password")
    if said.startswith("http://") and not is_loopback(host[1].strip("[]")):
        raise ValueError("would carry messages unencrypted: https, or http to this very machine")
    return Secret(said)


def webhook_secret(said: str) -> Secret:
    """Read what messages are signed with: 24 characters at least, or `whsec_` and base64."""
    plain = token(said)
    try:
        long_enough = len(signing_key(plain)) >= 24
    except ValueError:
        raise ValueError("begins with whsec_, and no base64 follows") from None
    if not long_enough:
        raise ValueError("is shorter than 24 bytes: see 'openssl rand -hex 32'")
    return plain


def signing_key(secret: Secret) -> bytes:
    """Return the key in a webhook's secret. Raises ValueError where no base64 follows `whsec_`."""
    said = secret.reveal()
    if said.startswith("whsec_"):
        return base64.b64decode(said.removeprefix("whsec_"), validate=True)
    return said.encode()


@dataclass(frozen=True, slots=True)
class Whole:
    """Reads a whole number between these two, both included."""

    low: int
    high: int

    def __call__(self, said: Said) -> int:
        plain = text(said)
        if not plain.isascii() or not plain.isdigit() or not self.low <= int(plain) <= self.high:
            raise ValueError(f"is not a whole number from {self.low} to {self.high}")
        return int(plain)


PORT = Whole(0, 65_535)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Reads a number of seconds between these two, both included."""

    low: float
    high: float

    def __call__(self, said: Said) -> timedelta:
        plain = re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", text(said))
        if not plain or not self.low <= float(plain[0]) <= self.high:
            raise ValueError(f"is not a number of seconds from {self.low:g} to {self.high:g}")
        return timedelta(seconds=float(plain[0]))


def yes(said: str) -> bool:
    if said.lower() not in ("true", "false", "yes", "no", "1", "0", "on", "off"):
        raise ValueError("is neither 'true' nor 'false'")
    return said.lower() in ("true", "yes", "1", "on")


def is_json(said: str) -> bool:
    if said not in ("json", "console"):
        raise ValueError("is neither 'json' nor 'console'")
    return said == "json"


def level(said: str) -> str:
    if said.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise ValueError("is none of DEBUG, INFO, WARNING, ERROR")
    return said.upper()


def path(said: str) -> Path:
    if "\x00" in said or not Path(said).is_absolute():
        raise ValueError(f"{said!r} is not the whole path of a file or directory")
    return Path(said)
