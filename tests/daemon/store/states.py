"""States in which the two tables are found in the field."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction

Columns = Mapping[str, str | None]
"""Definitions by name; None: there is no such column."""

ACME, KEY, OTHER = (f"00000000-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
_CLIENTS: Columns = {
    "id": "uuid PRIMARY KEY",
    "name": "varchar(255) NOT NULL",
    "wallet_address": "varchar(255)",
    "email": "varchar(255)",
    "status": "varchar(20) NOT NULL",
    "tier": "varchar(50)",
    "role": "varchar(50)",
    "settings": "json",
    "created_at": "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
    "updated_at": "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
}
_KEYS: Columns = {
    "id": "uuid PRIMARY KEY DEFAULT gen_random_uuid()",
    "client_id": "uuid NOT NULL REFERENCES clients (id) ON DELETE CASCADE",
    "exchange": "varchar(100) NOT NULL",
    "api_key": "text NOT NULL",
    "api_secret": "text NOT NULL",
    "passphrase": "text",
    "label": "varchar(255)",
    "is_testnet": "boolean NOT NULL DEFAULT false",
    "is_active": "boolean NOT NULL DEFAULT true",
    "created_at": "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
    "updated_at": "timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP",
}
_ENCRYPTED: Columns = {
    "api_key_encrypted": "text NOT NULL",
    "api_secret_encrypted": "text NOT NULL",
    "passphrase_encrypted": "text",
}
_NONE: Columns = {"api_key": None, "api_secret": None, "passphrase": None}
_STATUS = "CREATE TYPE client_status AS ENUM ('ACTIVE', 'PAUSED', 'SUSPENDED')"
_EXCHANGES = "CREATE TYPE exchange_name AS ENUM ('binance', 'kraken', 'okx')"


@dataclass(frozen=True)
class State:
    """Two tables of the story, but for what is said here; *spoil* is done to the rows in them."""

    name: str
    keys: Columns = field(default_factory=dict)
    clients: Columns = field(default_factory=dict)
    types: tuple[str, ...] = ()
    spoil: tuple[str, ...] = ()
    encrypted: bool = False
    """Its own backend writes to the columns that are named so."""
    says: Mapping[str, str] = field(default_factory=dict)
    """What its own backend has to say in each row of a key."""
    says_of_client: Mapping[str, str] = field(default_factory=lambda: {"status": "'ACTIVE'"})

    def script(self) -> tuple[str, ...]:
        """Make the tables, with a client and two keys that its own backend wrote."""
        return (
            *self.types,
            _create("clients", {**_CLIENTS, **self.clients}),
            _create("exchange_api_keys", {**_KEYS, **self.keys}),
            _insert("clients", {"id": f"'{ACME}'", "name": "'Acme'", **self.says_of_client}),
            self.insert(KEY, "binance"),
            self.insert(OTHER, "kraken"),
            *self.spoil,
        )

    def insert(self, id_: str, exchange: str, **more: str) -> str:
        """Store a key as its own backend does, with the columns that it must say, and *more*."""
        row = {"id": id_, "client_id": ACME, "exchange": exchange}
        row |= {self.named(name): f"{exchange}-{name}" for name in _NONE}
        values = {name: f"'{value}'" for name, value in row.items()}
        return _insert("exchange_api_keys", {**values, **self.says, **more})

    def rotate(self, id_: str, api_key: str) -> str:
        """Change a key as its own backend does."""
        return (
            f"UPDATE public.exchange_api_keys SET {self.named('api_key')} = '{api_key}'"
            f" WHERE id = '{id_}'"
        )

    def named(self, secret: str) -> str:
        return f"{secret}_encrypted" if self.encrypted else secret


def _create(table: str, columns: Columns) -> str:
    defined = ", ".join(f"{name} {what}" for name, what in columns.items() if what)
    return f"CREATE TABLE public.{table} ({defined})"


def _insert(table: str, row: Mapping[str, str]) -> str:
    return f"INSERT INTO public.{table} ({', '.join(row)}) VALUES ({', '.join(row.values())})"


def _set(table: str, name: str, value: str = "NULL") -> str:
    return f"UPDATE public.{table} SET {name} = {value}"


_DATED = {"updated_at": "'2024-02-01'"}
_LOOSE = {
    name: f"{kind} NULL"
    for name, kind in {
        "is_active": "boolean",
        "is_testnet": "boolean",
        "created_at": "timestamp",
    }.items()
}

STATES = (
    State("right"),
    State("updated_at missing", {"updated_at": None}, {"updated_at": None}),
    State(
        "updated_at nullable with NULLs",
        {"updated_at": "timestamp"},
        {"updated_at": "timestamp"},
        spoil=(_set("clients", "updated_at"), _set("exchange_api_keys", "updated_at")),
    ),
    State(
        "updated_at NOT NULL without default",
        {"updated_at": "timestamp NOT NULL"},
        {"updated_at": "timestamp NOT NULL", "created_at": "timestamp NOT NULL"},
        says=_DATED,
        says_of_client={"status": "'ACTIVE'", "created_at": "'2024-01-01'", **_DATED},
    ),
    State(
        "times with a zone",
        {"created_at": "timestamptz NOT NULL DEFAULT now()", "updated_at": "timestamptz"},
        {"created_at": "timestamptz", "updated_at": "timestamptz"},
        spoil=(_set("exchange_api_keys", "updated_at"),),
    ),
    State(
        "exchange and status are enums",
        {"exchange": "exchange_name NOT NULL"},
        {"status": "client_status NOT NULL", "settings": "jsonb"},
        types=(_EXCHANGES, _STATUS),
    ),
    State("encrypted alone", {**_NONE, **_ENCRYPTED}, encrypted=True),
    State(
        "encrypted beside, theirs",
        {**dict.fromkeys(_NONE, "text"), **_ENCRYPTED},
        encrypted=True,
    ),
    State(
        "encrypted beside, ours",
        dict.fromkeys(_ENCRYPTED, "text"),
    ),
    State(
        "encrypted beside, alike",
        {**dict.fromkeys(_NONE, "text"), **_ENCRYPTED},
        encrypted=True,
        spoil=tuple(_set("exchange_api_keys", name, f"{name}_encrypted") for name in _NONE),
    ),
    State(
        "encrypted beside, empty",
        {**dict.fromkeys(_NONE, "text NOT NULL DEFAULT ''"), **_ENCRYPTED},
        encrypted=True,
    ),
    State(
        "flags, label, times and settings missing",
        dict.fromkeys(("is_active", "is_testnet", "label", "created_at", "updated_at")),
        dict.fromkeys(("status", "settings", "tier", "role", "email", "created_at", "updated_at")),
        says_of_client={},
    ),
    State(
        "flags and times NULL",
        _LOOSE,
        {"status": "varchar(20)", "created_at": "timestamp", "settings": "text"},
        spoil=(
            *(_set("exchange_api_keys", name) for name in _LOOSE),
            *(_set("clients", name) for name in ("created_at", "status")),
        ),
    ),
    State("id without default", {"id": "uuid PRIMARY KEY"}),
    State(
        "with tables of others",
        types=(
            "CREATE TABLE public.orders (id int PRIMARY KEY)",
            "CREATE TABLE public.alembic_version (version_num varchar(32) NOT NULL)",
            "INSERT INTO public.alembic_version VALUES ('theirs')",
        ),
    ),
)


async def make(engine: AsyncEngine, state: State) -> None:
    async with transaction(engine) as connection:
        for statement in state.script():
            await connection.execute(text(statement))
