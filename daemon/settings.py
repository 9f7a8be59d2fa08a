"""Environment and files -> one frozen object, once; every mistake is named, all together."""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import unquote

from daemon.logs import guard
from daemon.vault import BadEncryptionKey, Keyring, parse_keys
from reconciler.model import BridgeName, Secret

T = TypeVar("T")
MAIN = BridgeName("main")
"""The one bridge, until several can be configured."""


class BadSettings(ValueError):
    """Settings that cannot be used: one line each, naming its place and what is expected."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What one daemon needs to know. Secrets do not print."""

    database_url: Secret
    keyring: Keyring = field(repr=False)
    bridge_url: str
    bridge_token: Secret | None = None
    bridge: BridgeName = MAIN
    health_host: str = "127.0.0.1"
    health_port: int = 9464
    concurrency: int = 32
    log_json: bool = True
    log_level: str = "INFO"
    history_days: int = 30
    listen_url: Secret | None = None
    """Where LISTEN goes; None: where everything goes; empty: nowhere."""
    lease_seconds: int = 15
    poll_seconds: int = 5
    resync_seconds: int = 30


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; NAME_FILE names a file that holds NAME. Raises BadSettings."""
    return read(environment, Settings)


def read(environment: Mapping[str, str], kind: type[T]) -> T:
    """Return *kind*, a dataclass with some of the fields of `Settings`. Raises BadSettings."""
    found: dict[str, Any] = {}
    mistakes: list[str] = []
    for wanted in fields(kind):  # type: ignore[arg-type]  # every caller's is a dataclass
        if (setting := _SETTINGS.get(wanted.name)) is None:
            continue
        try:
            found |= _taken(environment, wanted.name, setting, needed=wanted.default is MISSING)
        except ValueError as error:
            mistakes.append(str(error))
    if mistakes:
        raise BadSettings("\n".join(mistakes))
    return kind(**found)


@dataclass(frozen=True, slots=True)
class _Setting:
    """Where a setting is found, what reads it, and an example for where it is missing."""

    name: str
    read: Callable[[str], object]
    example: str = ""


def _taken(
    environment: Mapping[str, str], field: str, setting: _Setting, *, needed: bool
) -> dict[str, object]:
    place, text = _text(environment, setting.name)
    if not text:
        if needed:
            raise ValueError(f"{place} is empty or not set: {setting.example}")
        return {}
    try:
        return {field: setting.read(text)}
    except ValueError as error:
        why = str(error).removeprefix(f"{setting.name} ").removeprefix(f"{setting.name}: ")
        raise ValueError(f"{place}: {why}") from None


def _text(environment: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the place of a setting, for people, and its text."""
    path = environment.get(f"{name}_FILE")
    if path is None:
        text = environment.get(name, "").strip()
        return (name if text else f"{name} (or {name}_FILE)"), text
    try:
        return f"{name}_FILE ({path})", Path(path).read_text().strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not a text file"
        raise ValueError(f"{name}_FILE: {path!r} cannot be read: {why}") from None


def _keyring(text: str) -> Keyring:
    keys = parse_keys(text)
    for key in keys:
        guard(key.reveal())
    return Keyring(keys)


def _token(text: str) -> Secret:
    guard(text)
    return Secret(text)


def _database(text: str) -> Secret:
    match = _PASSWORD.search(text)
    if match:
        guard(match[1])
        guard(unquote(match[1]))
    return Secret(text)


def _listen(text: str) -> Secret:
    return Secret("") if text.lower() == "off" else _database(text)


_PASSWORD = re.compile(r"://[^:/@]*:([^@]+)@")


def port(text: str) -> int:
    return _between(0, 65_535)(text)


def _between(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"is not a whole number from {low} to {high}")
        return int(text)

    return read


def _is_json(text: str) -> bool:
    if text not in ("json", "console"):
        raise ValueError("is neither 'json' nor 'console'")
    return text == "json"


def _level(text: str) -> str:
    if text.upper() not in logging.getLevelNamesMapping():
        raise ValueError("is none of DEBUG, INFO, WARNING, ERROR")
    return text.upper()


_SETTINGS: Mapping[str, _Setting] = MappingProxyType(
    {
        "database_url": _Setting(
            "DATABASE_URL", _database, "postgresql://user:password@host:5432/database"
        ),
        "keyring": _Setting(
            "ENCRYPTION_KEY", _keyring, "a Fernet key, or several; see 'bridgetender new-key'"
        ),
        "bridge_url": _Setting(
            "TRADING_BRIDGE_URL", str, "https://host:port, http://127.0.0.1:port or unix:/path"
        ),
        "bridge_token": _Setting("TRADING_BRIDGE_TOKEN", _token),
        "health_host": _Setting("BRIDGETENDER_HEALTH_HOST", str),
        "health_port": _Setting("BRIDGETENDER_HEALTH_PORT", port),
        "concurrency": _Setting("BRIDGETENDER_CONCURRENCY", _between(1, 1_000)),
        "log_json": _Setting("BRIDGETENDER_LOG_FORMAT", _is_json),
        "log_level": _Setting("BRIDGETENDER_LOG_LEVEL", _level),
        "history_days": _Setting("BRIDGETENDER_HISTORY_DAYS", _between(1, 36_500)),
        "listen_url": _Setting("BRIDGETENDER_LISTEN_URL", _listen),
        "lease_seconds": _Setting("BRIDGETENDER_LEASE_SECONDS", _between(3, 600)),
        "poll_seconds": _Setting("BRIDGETENDER_POLL_SECONDS", _between(1, 600)),
        "resync_seconds": _Setting("BRIDGETENDER_RESYNC_SECONDS", _between(1, 3_600)),
    }
)

__all__ = [
    "MAIN",
    "BadEncryptionKey",
    "BadSettings",
    "Settings",
    "from_environment",
    "port",
    "read",
]
