"""Environment and files -> one frozen object, once; every mistake is named, all together."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

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


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; NAME_FILE names a file that holds NAME. Raises BadSettings."""
    reader = _Reader(environment)
    settings = {
        "database_url": reader.need("DATABASE_URL", Secret, "postgresql://user:password@host/db"),
        "keyring": reader.need("ENCRYPTION_KEY", _keyring, "a Fernet key, or several"),
        "bridge_url": reader.need("TRADING_BRIDGE_URL", str, "http://host:port or unix:/path"),
        "bridge_token": reader.take("TRADING_BRIDGE_TOKEN", Secret, None),
        "health_host": reader.take("BRIDGETENDER_HEALTH_HOST", str, "127.0.0.1"),
        "health_port": reader.take("BRIDGETENDER_HEALTH_PORT", port, 9464),
        "concurrency": reader.take("BRIDGETENDER_CONCURRENCY", _between(1, 1_000), 32),
        "log_json": reader.take("BRIDGETENDER_LOG_FORMAT", _is_json, default=True),
        "log_level": reader.take("BRIDGETENDER_LOG_LEVEL", _level, "INFO"),
        "history_days": reader.take("BRIDGETENDER_HISTORY_DAYS", _between(1, 36_500), 30),
    }
    reader.complain()
    return Settings(**settings)  # type: ignore[arg-type]  # complain() let no None through


class _Reader:
    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._mistakes: list[str] = []

    def need(self, name: str, read: Callable[[str], T], expected: str) -> T | None:
        if not self._text(name):
            self._mistakes.append(f"{name} (or {name}_FILE) is not set: {expected}")
        return self.take(name, read, None)

    def take(self, name: str, read: Callable[[str], T], default: T | None) -> T | None:
        text = self._text(name)
        if not text:
            return default
        try:
            return read(text)
        except ValueError as error:
            self._mistakes.append(f"{name}: {error}" if name not in str(error) else str(error))
            return default

    def complain(self) -> None:
        if self._mistakes:
            raise BadSettings("\n".join(dict.fromkeys(self._mistakes)))

    def _text(self, name: str) -> str:
        path = self._environment.get(f"{name}_FILE")
        if path is None:
            return self._environment.get(name, "").strip()
        try:
            return Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or "not a text file"
            self._mistakes.append(f"{name}_FILE: {path} cannot be read: {why}")
            return ""


def _keyring(text: str) -> Keyring:
    return Keyring(parse_keys(text))


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


__all__ = ["BadEncryptionKey", "BadSettings", "Settings", "from_environment", "port"]
