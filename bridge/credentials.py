"""Which of the fields a client sends becomes which of the fields ccxt wants."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

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
    "token": ("api_key",),
}


@dataclass(frozen=True, slots=True, repr=False)
class Offered:
    """The four fields of the contract, stripped; a PEM secret keeps its newlines."""

    api_key: str = ""
    api_secret: str = ""
    password: str = ""
    memo: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _stripped(getattr(self, field.name)))

    def secrets(self) -> list[str]:
        """Return what may be shown to nobody."""
        return [value for field in fields(self) if (value := getattr(self, field.name))]


def fill(exchange: str, needed: Iterable[str], offered: Offered) -> dict[str, str]:
    """Return ccxt's credential fields for *exchange*.

    Raises `Trouble`: malformed when one is missing, unsupported when the contract cannot carry it.
    """
    return {name: _filled(exchange, name, offered) for name in needed}


def asked_for(needed: Iterable[str]) -> list[str]:
    """Return the contract's fields that fill ccxt's *needed* ones."""
    return sorted({SOURCES[name][0] if name in SOURCES else name for name in needed})


def _filled(exchange: str, name: str, offered: Offered) -> str:
    sources = SOURCES.get(name)
    if sources is None:
        raise Trouble("unsupported", f"{exchange} wants '{name}', which this bridge cannot carry")
    for source in sources:
        if value := getattr(offered, source):
            return str(value)
    raise Trouble("malformed", f"{exchange} needs {sources[0]}, and it is missing")


def _stripped(value: str) -> str:
    return value if "-----BEGIN" in value else value.strip()
