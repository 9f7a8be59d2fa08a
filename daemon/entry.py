"""What people may enter: checked before anything is stored, with words that say what to do."""

import re
import unicodedata
from dataclasses import dataclass

from daemon.exchanges import lacks, nearest
from reconciler.model import Secret

_EXCHANGE = re.compile(r"[a-z0-9][a-z0-9_]{0,99}", re.IGNORECASE)
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}", re.IGNORECASE)
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----\s.*-----END [A-Z ]+-----", re.DOTALL)
_LONGEST = {"api_key": 1_024, "api_secret": 16_384, "passphrase": 255}
_NEVER_ISSUED = frozenset("<>\"'`;\\")
"""Printable, and in no exchange's keys: what is pasted with them is a page, or still in quotes."""
_NAMED = 255
_FILED = 200
"""Characters of an account, on a bridge."""
_SIGNS = frozenset(" .,:'\u2019&+-_/@#()")
"""What names hold beside letters, marks and digits of any script."""


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
        exchange_name(exchange),
        _needed(exchange, "api_key", api_key),
        _needed(exchange, "api_secret", api_secret),
        _credential("passphrase", passphrase) if passphrase else None,
        None if label is None else key_label(label),
        is_testnet,
    )


def client_name(name: str) -> str:
    """Return the checked name of a client. Raises BadEntry."""
    return _name("name", name)


def account_name(name: str) -> str:
    """Return the checked name of an account on a bridge. Raises BadEntry."""
    name = name.strip()
    if not _ACCOUNT.fullmatch(name):
        raise BadEntry("account: use letters, digits, _, . and - only, at most 100 of them")
    return name


def filed_account(account: str) -> str:
    """Return the account that was made from a client's name. Raises BadEntry if no bridge has it.

    It travels in paths, so it is no step up and holds no slash.
    """
    if len(account) > _FILED or not {"/", "\\"}.isdisjoint(account) or not account.strip("."):
        raise BadEntry(
            f"name: the account made from it is over {_FILED} characters, holds a slash or is only"
            " dots, which no bridge takes; give it another account"
        )
    return account


def key_label(label: str) -> str:
    """Return the checked label of a key. Raises BadEntry."""
    return _name("label", label)


def token_name(name: str) -> str:
    """Return the checked name of a token. Raises BadEntry."""
    return _name("name", name)


def remark(field: str, text: str) -> str:
    """Return words for other people, checked. Raises BadEntry."""
    text = text.strip()
    if len(text) > _NAMED or not text.isprintable():
        raise BadEntry(f"{field}: use one line of at most {_NAMED} characters")
    return text


def exchange_name(text: str) -> str:
    """Return the checked name of an exchange, known or not. Raises BadEntry."""
    text = text.strip()
    if not _EXCHANGE.fullmatch(text):
        near = nearest(text) if len(text) <= _NAMED else []
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise BadEntry(
            "exchange: use the exchange's id, such as binance or okx: letters, digits and _,"
            f" at most 100 of them{meant}"
        )
    return text


def _needed(exchange: str, field: str, text: str) -> Secret:
    if not text.strip() and lacks(exchange, field):
        return Secret("")
    return _credential(field, text)


def _credential(field: str, text: str) -> Secret:
    text = text.strip()
    if not text:
        raise BadEntry(f"{field}: is empty; paste it as the exchange shows it")
    longest = _LONGEST[field]
    if len(text) > longest:
        raise BadEntry(f"{field}: {len(text):,} characters are too many, at most {longest:,}")
    if field == "api_secret" and _PEM.fullmatch(text):
        return Secret(text)
    never = frozenset() if field == "passphrase" else _NEVER_ISSUED | {" "}
    if not (text.isascii() and text.isprintable()) or not never.isdisjoint(text):
        raise BadEntry(
            f"{field}: holds a blank, a quote, a line break, a control character, an emoji or"
            " another sign that no exchange issues; paste it again"
        )
    return Secret(text)


def _name(field: str, text: str) -> str:
    text = text.strip()
    if not text:
        raise BadEntry(f"{field}: is empty")
    if len(text) > _NAMED:
        raise BadEntry(f"{field}: {len(text):,} characters are too many, at most {_NAMED}")
    if not all(c in _SIGNS or unicodedata.category(c)[0] in "LMN" for c in text):
        raise BadEntry(
            f"{field}: holds a line break, a control character, an emoji or a sign such as < > ; ="
            f" that no {field} needs; leave it out"
        )
    return text
