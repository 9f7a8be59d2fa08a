"""Made-up credentials of the form that each exchange takes, and the same with one part changed."""

import base64
from dataclasses import replace
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bridge.catalogue import exchange_class
from bridge.credentials import Offered, fill
from bridge.guard import Guarded

_ETHEREUM = ("aster", "derive", "grvt", "hyperliquid", "lighter", "nado", "paradex", "polymarket")
_KEYS: dict[str, tuple[str, str]] = {
    "dydx": ("dydx1" + "q" * 38, "dydx1" + "p" * 38),
    "pacifica": ("3" * 44, "4" * 44),
}
# 32 bytes of 1, and of 2, in base58
_ORDERLY = (
    "ed25519:4vJ9JU1bJJE96FWSJKvHsmmFADCg4gpZQff4P3bkLKi",
    "ed25519:8qbHbw2BbbTHBW1sbeqakYXVKRQM8Ne7pLK7m6CVfeR",
)
_SECRETS: dict[str, tuple[str, str]] = {
    "lbank": ("3" * 32, "4" * 32),
    "modetrade": _ORDERLY,
    "woofipro": _ORDERLY,
    "pacifica": ("3" * 87, "4" * 87),
}


def offered(exchange: str) -> Offered:
    api_key, api_secret, password, memo = (_values(exchange, field)[0] for field in _FIELDS)
    return Offered(api_key, api_secret, password, memo)


def changed(exchange: str, field: str) -> Offered:
    """Return `offered`'s with another *field*."""
    return replace(offered(exchange), **{field: _values(exchange, field)[1]})


def guarded(exchange: str, **settings: object) -> Any:
    """Return real ccxt behind our guard, with keys, and with a market so that it asks for none."""
    kind = type(exchange, (Guarded, exchange_class(exchange)), {"quiet_s": lambda _: 0.0})
    remote: Any = kind({"enableRateLimit": False, **settings})
    wanted = [field for field, want in remote.requiredCredentials.items() if want]
    filled = fill(exchange, wanted, offered(exchange))
    for field, value in filled.fields.items():
        setattr(remote, field, value)
    remote.options.update(filled.options)
    remote.set_markets([{"id": "X", "symbol": "X/Y", "base": "X", "quote": "Y", "spot": True}])
    return remote


_FIELDS = ("api_key", "api_secret", "password", "memo")


def _values(exchange: str, field: str) -> tuple[str, str]:
    match field:
        case "api_key":
            address = exchange in _ETHEREUM
            return _KEYS.get(exchange, _twice("0x", "5", "6", 40) if address else _ACCOUNTS)
        case "api_secret":
            return _secrets(exchange)
        case "password":
            return "pass phrase", "other phrase"
        case _:
            return "123456", "654321"


def _secrets(exchange: str) -> tuple[str, str]:
    if exchange in (*_ETHEREUM, "extended", "hibachi"):
        return _twice("0x", "1", "2", 64)
    if exchange == "revolutx":
        return ed25519(b"1"), ed25519(b"2")
    return _SECRETS.get(exchange, (_packed(b"1"), _packed(b"2")))


_ACCOUNTS = ("account-key-1", "account-key-2")


def _twice(prefix: str, one: str, other: str, length: int) -> tuple[str, str]:
    return prefix + one * length, prefix + other * length


def _packed(seed: bytes) -> str:
    return base64.b64encode(seed * 64).decode()


@cache
def ed25519(seed: bytes) -> str:
    key = Ed25519PrivateKey.from_private_bytes(seed * 32)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
