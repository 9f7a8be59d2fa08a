"""Clients and keys, written on people's behalf. The loop never comes here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    DateTime,
    String,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.scrub import shown
from daemon.store.engine import transaction
from daemon.store.tables import clients, exchange_api_keys
from reconciler.model import ClientId, KeyId
from reconciler.slots import account_name

_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")


ClientStatus = Literal["ACTIVE", "PAUSED", "SUSPENDED"]


class NoSuchThing(LookupError):
    """There is no such client or key, or a name fits several. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Client:
    """A client, and under which *account* a bridge files it."""

    id: ClientId
    name: str
    status: str
    keys: int
    account: str


@dataclass(frozen=True, slots=True)
class SealedEntry:
    """A key to store, encrypted. Raises nothing; the database checks the rest."""

    exchange: str
    api_key: str
    api_secret: str
    passphrase: str | None = None
    label: str | None = None
    is_testnet: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A stored key as lists show it, ciphertext of the public half included for masking."""

    id: KeyId
    client_id: ClientId
    client: str
    exchange: str
    label: str | None
    is_testnet: bool
    is_active: bool
    api_key: str
    created_at: datetime


class People:
    """What the CLI and the admin API do to the tables of people. May raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def add_client(self, name: str, settings: Mapping[str, Any] | None = None) -> ClientId:
        values = {"name": name, "settings": dict(settings) if settings else None}
        query = insert(clients).values(values).returning(clients.c.id)
        async with transaction(self._engine) as connection:
            return ClientId((await connection.execute(query)).scalar_one())

    async def clients(self) -> Sequence[Client]:
        counted = func.count(exchange_api_keys.c.id)
        query = (
            select(*_CLIENT, counted)
            .join(exchange_api_keys, isouter=True)
            .group_by(clients.c.id)
            .order_by(clients.c.name, clients.c.id)
        )
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(query)).all()
        return [
            Client(id_, name, status, keys, _account(name, own))
            for id_, name, status, own, keys in rows
        ]

    async def find_client(self, name_or_id: str) -> ClientId:
        """Return the id of the client with this id or name. Raises NoSuchThing."""
        return (await self.client(name_or_id)).id

    async def client(self, name_or_id: str) -> Client:
        """Return the client with this id or name. Raises NoSuchThing."""
        known = await self.clients()
        found = [c for c in known if name_or_id in (str(c.id), c.name)]
        if len(found) == 1:
            return found[0]
        asked = shown(name_or_id)
        if found:
            raise NoSuchThing(f"{len(found)} clients are named {asked!r}: say the id")
        names = {client.name.casefold(): client.name for client in known}
        near = [names[name] for name in get_close_matches(asked.casefold(), names)]
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise NoSuchThing(f"no client {asked!r}: {hint}see 'bridgetender clients list'")

    async def add_key(self, client_id: ClientId, entry: SealedEntry) -> KeyId:
        values = {name: getattr(entry, name) for name in SealedEntry.__slots__}
        query = insert(exchange_api_keys).values(client_id=client_id, **values)
        async with transaction(self._engine) as connection:
            row = await connection.execute(query.returning(exchange_api_keys.c.id))
            return KeyId(row.scalar_one())

    async def keys(self, client_id: ClientId | None = None, prefix: str = "") -> Sequence[KeyRow]:
        k = exchange_api_keys.c
        query = (
            select(
                *(k.id, k.client_id, clients.c.name, k.exchange, k.label),
                *(k.is_testnet, k.is_active, k.api_key),
                cast(k.created_at, DateTime(timezone=True)),  # in the session's zone
            )
            .join(clients)
            .order_by(clients.c.name, k.exchange, k.created_at, k.id)
        )
        if client_id is not None:
            query = query.where(k.client_id == client_id)
        if prefix:
            query = query.where(cast(k.id, String).startswith(prefix))
        async with transaction(self._engine) as connection:
            return [KeyRow(*row) for row in await connection.execute(query)]

    async def find_key(self, id_or_prefix: str) -> KeyRow:
        """Return the key whose id begins like this, at least 8 characters. Raises NoSuchThing."""
        prefix, asked = id_or_prefix.strip().lower(), shown(id_or_prefix)
        if not _PREFIX.fullmatch(prefix):
            raise NoSuchThing(f"{asked!r} is no key: say its id, or at least the first 8 of it")
        found = await self.keys(prefix=prefix)
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchThing(f"{len(found)} keys begin with {asked!r}: say more of the id")
        raise NoSuchThing(f"no key {asked!r}: see 'bridgetender keys list'")

    async def sealed(self, key_id: KeyId) -> SealedEntry:
        """Return a key as it is stored. Raises NoSuchThing."""
        fields = (exchange_api_keys.c[name] for name in SealedEntry.__slots__)
        query = select(*fields).where(exchange_api_keys.c.id == key_id)
        async with transaction(self._engine) as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            raise NoSuchThing(f"no key {key_id}: see 'bridgetender keys list'")
        return SealedEntry(*row)

    async def set_active(self, key_id: KeyId, *, active: bool) -> None:
        """Enable or disable a key. Raises NoSuchThing."""
        await self._change(key_id, is_active=active)

    async def relabel(self, key_id: KeyId, label: str | None) -> None:
        """Raises NoSuchThing."""
        await self._change(key_id, label=label)

    async def replace(self, key_id: KeyId, entry: SealedEntry) -> None:
        """Put other credentials in the place of the stored ones. Raises NoSuchThing."""
        fields = ("api_key", "api_secret", "passphrase")
        await self._change(key_id, **{name: getattr(entry, name) for name in fields})

    async def delete_key(self, key_id: KeyId) -> None:
        """Raises NoSuchThing."""
        query = delete(exchange_api_keys).where(exchange_api_keys.c.id == key_id)
        async with transaction(self._engine) as connection:
            _expect((await connection.execute(query)).rowcount, key_id)

    async def set_status(self, client_id: ClientId, status: ClientStatus) -> None:
        """Raises NoSuchThing."""
        said = literal_column(f"'{status}'", String)  # the column may be text or an enum
        query = update(clients).where(clients.c.id == client_id).values(status=said)
        async with transaction(self._engine) as connection:
            _expect_client((await connection.execute(query)).rowcount, client_id)

    async def refile(
        self, client_id: ClientId, account: str | None, name: str | None = None
    ) -> None:
        """File a client under *account*, and *name* it; None: under one made from its name.

        Raises NoSuchThing.
        """
        query = select(clients.c.settings).where(clients.c.id == client_id).with_for_update()
        async with transaction(self._engine) as connection:
            before = (await connection.execute(query)).scalar()
            kept = dict(before) if isinstance(before, dict) else {}
            kept.pop("bridge_account", None)
            own = {"bridge_account": account} if account else {}
            values = {"settings": kept | own, **({"name": name} if name else {})}
            change = update(clients).where(clients.c.id == client_id).values(values)
            _expect_client((await connection.execute(change)).rowcount, client_id)

    async def delete_client(self, client_id: ClientId) -> int:
        """Delete a client and its keys; return how many those were. Raises NoSuchThing."""
        keys = delete(exchange_api_keys).where(exchange_api_keys.c.client_id == client_id)
        query = delete(clients).where(clients.c.id == client_id)
        async with transaction(self._engine) as connection:
            count = (await connection.execute(keys)).rowcount
            _expect_client((await connection.execute(query)).rowcount, client_id)
        return count

    async def wish(self, *, key_id: KeyId | None = None, client_id: ClientId | None = None) -> int:
        """Ask for active keys to be initialized again, of a client or all; return how many."""
        async with transaction(self._engine) as connection:
            values = {"key": key_id, "client": client_id}
            wished = (await connection.execute(_WISH, values)).scalars().all()
            hint = ",".join({str(client) for client in wished}) if len(wished) <= 100 else "*"
            await connection.execute(_HINT, {"hint": hint})
        return len(wished)

    async def _change(self, key_id: KeyId, **values: object) -> None:
        query = update(exchange_api_keys).where(exchange_api_keys.c.id == key_id).values(values)
        async with transaction(self._engine) as connection:
            _expect((await connection.execute(query)).rowcount, key_id)


_CLIENT = (clients.c.id, clients.c.name, clients.c.status, clients.c.settings)
_WISH = text("""
WITH wished AS (
  INSERT INTO bridgetender.wishes (key_id)
  SELECT id FROM public.exchange_api_keys
  WHERE is_active AND (CAST(:key AS uuid) IS NULL OR id = :key)
    AND (CAST(:client AS uuid) IS NULL OR client_id = :client)
  ON CONFLICT (key_id) DO UPDATE SET asked_at = now()
  RETURNING key_id
)
SELECT k.client_id FROM wished JOIN public.exchange_api_keys k ON k.id = wished.key_id
""")
_HINT = text("SELECT pg_notify('bridgetender', :hint)")


def _account(name: str, settings: object) -> str:
    own = settings.get("bridge_account") if isinstance(settings, dict) else None
    return account_name(name, own if isinstance(own, str) else None)


def _expect(count: int, key_id: UUID) -> None:
    if count == 0:
        raise NoSuchThing(f"no key {key_id}: see 'bridgetender keys list'")


def _expect_client(count: int, client_id: UUID) -> None:
    if count == 0:
        raise NoSuchThing(f"no client {client_id}: see 'bridgetender clients list'")
