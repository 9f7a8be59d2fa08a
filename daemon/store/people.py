"""Clients and keys, written on people's behalf. The loop never comes here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.tables import clients, exchange_api_keys
from reconciler.model import ClientId, KeyId


class NoSuchThing(LookupError):
    """There is no such client or key, or a name fits several. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Client:
    id: ClientId
    name: str
    status: str
    keys: int


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
            select(clients.c.id, clients.c.name, clients.c.status, counted)
            .join(exchange_api_keys, isouter=True)
            .group_by(clients.c.id)
            .order_by(clients.c.name, clients.c.id)
        )
        async with transaction(self._engine) as connection:
            return [Client(*row) for row in await connection.execute(query)]

    async def find_client(self, name_or_id: str) -> ClientId:
        """Return the client with this id or name. Raises NoSuchThing."""
        found = [c.id for c in await self.clients() if name_or_id in (str(c.id), c.name)]
        if len(found) == 1:
            return found[0]
        if found:
            raise NoSuchThing(f"{len(found)} clients are named {name_or_id!r}: say the id")
        raise NoSuchThing(f"no client {name_or_id!r}: see 'bridgetender clients list'")

    async def add_key(self, client_id: ClientId, entry: SealedEntry) -> KeyId:
        values = {name: getattr(entry, name) for name in SealedEntry.__slots__}
        query = insert(exchange_api_keys).values(client_id=client_id, **values)
        async with transaction(self._engine) as connection:
            row = await connection.execute(query.returning(exchange_api_keys.c.id))
            return KeyId(row.scalar_one())

    async def keys(self, client_id: ClientId | None = None) -> Sequence[KeyRow]:
        k = exchange_api_keys.c
        query = (
            select(
                *(k.id, k.client_id, clients.c.name, k.exchange, k.label),
                *(k.is_testnet, k.is_active, k.api_key, k.created_at),
            )
            .join(clients)
            .order_by(clients.c.name, k.exchange, k.created_at, k.id)
        )
        if client_id is not None:
            query = query.where(k.client_id == client_id)
        async with transaction(self._engine) as connection:
            return [KeyRow(*row) for row in await connection.execute(query)]

    async def set_active(self, key_id: KeyId, *, active: bool) -> None:
        """Enable or disable a key. Raises NoSuchThing."""
        await self._change(key_id, is_active=active)

    async def rotate(self, key_id: KeyId, entry: SealedEntry) -> None:
        """Put other credentials in the place of the stored ones. Raises NoSuchThing."""
        fields = ("api_key", "api_secret", "passphrase")
        await self._change(key_id, **{name: getattr(entry, name) for name in fields})

    async def delete_key(self, key_id: KeyId) -> None:
        """Raises NoSuchThing."""
        query = delete(exchange_api_keys).where(exchange_api_keys.c.id == key_id)
        async with transaction(self._engine) as connection:
            _expect((await connection.execute(query)).rowcount, key_id)

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


def _expect(count: int, key_id: UUID) -> None:
    if count == 0:
        raise NoSuchThing(f"no key {key_id}: see 'bridgetender keys list'")
