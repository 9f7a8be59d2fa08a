"""What people may enter: checked before anything is stored, with words that say what to do."""

import re
from dataclasses import dataclass

from reconciler.model import Secret

_EXCHANGE = re.compile(r"[a-z0-9][a-z0-9_]{0,99}", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----\s.*-----END [A-Z ]+-----", re.DOTALL)
_LONGEST = {"api_key": 1_024, "api_secret": 16_384, "passphrase": 255}


class BadEntry(ValueError):
    """Something entered cannot be stored. The message names the field and the cure, no secret."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key as a person entered it, checked."""

    exchange: str
    api_key: Secret
    api_secret: Secret
    passphrase: Secret | None
    label: str | None
    is_testnet: bool


def key_entry(
    exchange: str,
    api_key: str,
    api_secret: str,
    passphrase: str | None = None,
    label: str | None = None,
    *,
    is_testnet: bool = False,
) -> KeyEntry:
    """Return the checked entry. Raises BadEntry; blanks around secrets are dropped."""
    return KeyEntry(
        _exchange(exchange),
        _credential("api_key", api_key),
        _credential("api_secret", api_secret),
        _credential("passphrase", passphrase) if passphrase else None,
        _line("label", label, 255) if label else None,
        is_testnet,
    )


def client_name(name: str) -> str:
    """Return the checked name of a client. Raises BadEntry."""
    return _line("name", name, 255)


def _exchange(text: str) -> str:
    text = text.strip()
    if not _EXCHANGE.fullmatch(text):
        raise BadEntry(
            "exchange: use the exchange's id, such as binance or okx: letters, digits and _,"
            " at most 100 of them"
        )
    return text


def _credential(field: str, text: str) -> Secret:
    text = text.strip()
    if not text:
        raise BadEntry(f"{field}: is empty; paste it as the exchange shows it")
    longest = _LONGEST[field]
    if len(text) > longest:
        raise BadEntry(f"{field}: {len(text):,} characters are too many, at most {longest:,}")
    if field == "api_secret" and _PEM.fullmatch(text):
        return Secret(text)
    allowed = " " if field == "passphrase" else ""
    if any(not (c.isascii() and c.isprintable()) or (c == " " and c not in allowed) for c in text):
        raise BadEntry(
            f"{field}: holds a blank, a line break, a control character, an emoji or another sign"
            " that no exchange issues; paste it again"
        )
    return Secret(text)


def _line(field: str, text: str, longest: int) -> str:
    text = text.strip()
    if not text:
        raise BadEntry(f"{field}: is empty")
    if len(text) > longest:
        raise BadEntry(f"{field}: {len(text):,} characters are too many, at most {longest}")
    if not text.isprintable():
        raise BadEntry(f"{field}: holds a line break or a control character; leave it out")
    return text
