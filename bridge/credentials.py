"""Which of the fields a client sends becomes which of the fields ccxt wants."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from bridge import forms
from bridge.errors import Trouble

# ccxt's name: the fields of the contract that may fill it, the first that is there wins.
SOURCES: Mapping[str, tuple[str, ...]] = {
    "apiKey": ("api_key",),
    "secret": ("api_secret",),
    "password": ("password", "memo"),
    "uid": ("memo", "password"),
    "accountId": ("memo", "password"),
    "walletAddress": ("api_key",),
    "privateKey": ("api_secret",),
    "login": ("password",),
}
# What a balance takes, where ccxt's requiredCredentials say something else.
NEEDS: Mapping[str, tuple[str, ...]] = {
    "dydx": ("walletAddress",),  # ccxt requires nothing and then misses the address
    "grvt": ("privateKey", "accountId"),  # the id of the sub-account, in ccxt's options
    "ndax": ("apiKey", "secret", "uid", "login"),  # its password only ever signs in with a 2FA code
    "pacifica": ("walletAddress", "privateKey"),
}
# Which of them ccxt looks for among its options.
OPTIONS: Mapping[str, tuple[str, ...]] = {"grvt": ("accountId",)}
# What ccxt checks for and never sends.
_UNSENT: Mapping[str, Mapping[str, str]] = {"ndax": {"password": "unused"}}
LONGEST = 8192  # characters; an RSA key of 4096 bits has 3,300


class Filled(NamedTuple):
    """What to set on a ccxt object, and what to add to its options."""

    fields: dict[str, str]
    options: dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class Offered:
    """The four fields of the contract: stripped, and a PEM key in its canonical lines.

    Raises `Trouble` malformed for what no exchange takes.
    """

    api_key: str = ""
    api_secret: str = ""
    password: str = ""
    memo: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if len(value) > LONGEST:
                raise _malformed(field.name, f"is longer than {LONGEST} characters: no key is")
            object.__setattr__(self, field.name, _cleaned(field.name, value))

    def secrets(self) -> list[str]:
        """Return what may be shown to nobody."""
        return [value for field in fields(self) if (value := getattr(self, field.name))]


def wanted(exchange: str, required: Iterable[str]) -> list[str]:
    """Return the names of the credentials that a balance takes, *required* being ccxt's."""
    return list(NEEDS.get(exchange, required))


def asked_for(exchange: str, required: Iterable[str]) -> list[str]:
    """Return the contract's fields that fill what *exchange* wants."""
    names = wanted(exchange, required)
    return sorted({SOURCES[name][0] if name in SOURCES else name for name in names})


def fill(exchange: str, required: Iterable[str], offered: Offered) -> Filled:
    """Return what ccxt needs for *exchange*, whose requiredCredentials are *required*.

    Raises `Trouble`: malformed when one is missing or has the wrong form, unsupported when the
    contract cannot carry it.
    """
    base = exchange.removesuffix("_testnet")
    names = wanted(base, required)
    taken = {SOURCES[name][0] for name in names if name in SOURCES}
    found = {name: _filled(exchange, name, offered, taken) for name in names}
    for name, value in found.items():
        if wrong := forms.wrong(base, name, value):
            raise _malformed(SOURCES[name][0], wrong, exchange)
    options = {name: found.pop(name) for name in OPTIONS.get(base, ())}
    return Filled({**found, **_UNSENT.get(base, {})}, options | forms.options(base, found))


def _filled(exchange: str, name: str, offered: Offered, taken: Container[str]) -> str:
    if name not in SOURCES:
        raise Trouble("unsupported", f"{exchange} wants '{name}', which this bridge cannot carry")
    first, *others = SOURCES[name]
    for source in (first, *(other for other in others if other not in taken)):
        if value := getattr(offered, source):
            return str(value)
    meaning = forms.MEANINGS[name]
    raise Trouble("malformed", f"{exchange} needs {first} ({meaning}), and it is missing")


def _cleaned(field: str, value: str) -> str:
    if field == "api_key" and "-----BEGIN" in value:
        raise _malformed(field, "is a PEM key: send the key's id here, the PEM as api_secret")
    try:
        return forms.cleaned(value, one_word=field in ("api_key", "api_secret"))
    except forms.Unfit as unfit:
        raise _malformed(field, str(unfit)) from None


def _malformed(field: str, why: str, exchange: str | None = None) -> Trouble:
    whose = f"{exchange} cannot use this {field}: it" if exchange else field
    return Trouble("malformed", f"{whose} {why}")
