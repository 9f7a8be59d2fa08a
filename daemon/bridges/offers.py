"""Reads which exchanges a bridge serves, and what each calls the fields of its credentials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Stored = Literal["api_key", "api_secret", "passphrase"]
_REQUIRED: Mapping[str, tuple[Stored, str]] = {
    "apiKey": ("api_key", "API key"),
    "walletAddress": ("api_key", "Wallet address"),
    "secret": ("api_secret", "API secret"),
    "privateKey": ("api_secret", "Private key"),
    "password": ("passphrase", "Passphrase"),
    "uid": ("passphrase", "User id"),
    "accountId": ("passphrase", "Account id"),
    "login": ("passphrase", "Login"),
}
"""By ccxt's names: where it is stored, and what people call it."""
_CONTRACT: Mapping[str, str] = {
    "api_key": "apiKey",
    "api_secret": "secret",
    "password": "password",
    "memo": "uid",
}
"""What the fields of the contract are, where nothing more exact is told."""
_ORDER: tuple[Stored, ...] = ("api_key", "api_secret", "passphrase")


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to enter: *name* says where it is stored, *label* what the exchange calls it."""

    name: Stored
    label: str


@dataclass(frozen=True, slots=True)
class Offer:
    """One exchange. *unfit* says why no stored key can hold its credentials, where that is so.

    *testnet*: it has one. *proves*: an answer of its proves credentials; None is not told.
    *required*: it is told that a key needs every one of the fields, not only that it may have them.
    """

    fields: tuple[Field, ...]
    testnet: bool | None = None
    proves: bool | None = None
    unfit: str = ""
    required: bool = False


def offers(told: object) -> Mapping[str, Offer]:
    """Return what is told as it should be, of what /connectors/supported answers."""
    exchanges = told.get("exchanges") if isinstance(told, dict) else None
    if not isinstance(exchanges, dict):
        return {}
    found = {name: _offer(name, about) for name, about in exchanges.items()}
    return {name: offer for name, offer in found.items() if offer}


def _offer(name: str, about: Any) -> Offer | None:
    if not isinstance(about, dict):
        return None
    names = _known(about.get("requires"), _REQUIRED)
    required = names is not None
    if names is None and (contract := _known(about.get("fields"), _CONTRACT)) is not None:
        names = [_CONTRACT[each] for each in contract]
    if names is None:
        return None
    fields = sorted((Field(*_REQUIRED[each]) for each in names), key=_place)
    testnet, proves = about.get("sandbox"), about.get("proves")
    return Offer(
        tuple(fields),
        testnet if isinstance(testnet, bool) else None,
        proves if isinstance(proves, bool) else None,
        _unfit(name, fields),
        required,
    )


def _known(names: object, known: Mapping[str, object]) -> list[str] | None:
    """Return *names* if it is a list of known ones."""
    if not isinstance(names, list) or not all(isinstance(n, str) and n in known for n in names):
        return None
    return names


def _place(field: Field) -> int:
    return _ORDER.index(field.name)


def _unfit(exchange: str, fields: Sequence[Field]) -> str:
    extra = [field.label for field in fields if field.name == "passphrase"]
    if len(extra) < 2:
        return ""
    return (
        f"{exchange} wants {' and '.join(extra)} beside key and secret, and a stored key has room"
        " for one of them only"
    )
