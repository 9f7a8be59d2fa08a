"""Clients and keys, written on people's behalf. The loop never comes here."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.scrub import shown
from daemon.store.audit import NOBODY, Actor, note
from daemon.store.desired import ACCOUNT
from daemon.store.engine import changing, transaction
from daemon.store.tables import clients, exchange_api_keys
from daemon.store.writing import insert_row, update_row
from reconciler.model import ClientId, KeyId
from reconciler.slots import account_name

_PREFIX = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")


ClientStatus = Literal["ACTIVE", "PAUSED", "SUSPENDED"]


CREDENTIALS = ("api_key", "api_secret", "passphrase")


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

    @property
    def own_account(self) -> str | None:
        """The account that it was given, not the one made from its name."""
        return None if self.account == account_name(self.name) else self.account


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
    created_at: datetime | None


class People:
    """What the CLI and the admin API do to the tables of people. May raise StoreError."""

    def __init__(self, engine: AsyncEngine, by: Actor = NOBODY) -> None:
        """What is changed is audited as done *by* this one."""
        self._engine = engine
        self._by = by

    async def add_client(self, name: str, settings: Mapping[str, Any] | None = None) -> ClientId:
        values = {"name": name, "settings": dict(settings) if settings else None}
        async with changing(self._engine) as connection:
            made = ClientId(await insert_row(connection, "clients", values))
            await note(connection, self._by, "client_added", {"name": name}, client_id=made)
        return made

    async def clients(self) -> Sequence[Client]:
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(_CLIENTS)).all()
        return [_client(*row) for row in rows]

    async def by_id(self, client_id: ClientId) -> Client:
        """Raises NoSuchThing."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_CLIENT, {"client": client_id})).first()
        if row is None:
            raise NoSuchThing(f"no client {client_id}: see 'bridgetender clients list'")
        return _client(*row)

    async def met_by(self, client: Client) -> str | None:
        """Return the name of another client that has the same account, of an older one first."""
        async with transaction(self._engine) as connection:
            values = {"client": client.id, "account": client.account}
            found: str | None = (await connection.execute(_MET_BY, values)).scalar()
        return found

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
        async with changing(self._engine) as connection:
            values |= {"client_id": client_id}
            made = KeyId(await insert_row(connection, "exchange_api_keys", values))
            told = {"exchange": entry.exchange, "label": entry.label, "testnet": entry.is_testnet}
            whose = {"client_id": client_id, "key_id": made}
            await note(connection, self._by, "key_added", told, **whose)
        return made

    async def keys(self, client_id: ClientId | None = None, prefix: str = "") -> Sequence[KeyRow]:
        async with transaction(self._engine) as connection:
            rows = await connection.execute(_KEYS, {"client": client_id, "prefix": prefix})
            return [KeyRow(*row) for row in rows]

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
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_SEALED, {"key": key_id})).first()
        if row is None:
            raise NoSuchThing(f"no key {key_id}: see 'bridgetender keys list'")
        return SealedEntry(*row)

    async def sealed_of(
        self, clients: Collection[ClientId]
    ) -> Sequence[tuple[ClientId, SealedEntry]]:
        """Return the keys of *clients* as they are stored."""
        async with transaction(self._engine) as connection:
            rows = await connection.execute(_SEALED_OF, {"clients": list(clients)})
            return [(ClientId(client), SealedEntry(*row)) for client, *row in rows]

    async def set_active(self, key_id: KeyId, *, active: bool) -> None:
        """Enable or disable a key. Raises NoSuchThing."""
        action = "key_enabled" if active else "key_disabled"
        await self.change_key(key_id, {"is_active": active}, {action: {}})

    async def relabel(self, key_id: KeyId, label: str | None) -> None:
        """Raises NoSuchThing."""
        told = {"label": label}
        await self.change_key(key_id, told, {"key_relabelled": told})

    async def replace(self, key_id: KeyId, entry: SealedEntry) -> None:
        """Put other credentials in the place of the stored ones. Raises NoSuchThing."""
        values = {name: getattr(entry, name) for name in CREDENTIALS}
        await self.change_key(key_id, values, {"key_rotated": {}})

    async def change_key(
        self,
        key_id: KeyId,
        values: Mapping[str, object],
        deeds: Mapping[str, Mapping[str, object]],
    ) -> None:
        """Change columns all at once; *deeds* are what the audit calls it. Raises NoSuchThing."""
        async with changing(self._engine) as connection:
            changed = await update_row(connection, "exchange_api_keys", key_id, values)
            _expect(changed, key_id)
            whose = (await connection.execute(_WHOSE, {"key": key_id})).scalar()
            for action, told in deeds.items():
                await note(connection, self._by, action, told, client_id=whose, key_id=key_id)

    async def delete_key(self, key_id: KeyId) -> None:
        """Raises NoSuchThing."""
        table = exchange_api_keys.c
        query = delete(exchange_api_keys).where(table.id == key_id)
        async with changing(self._engine) as connection:
            gone = query.returning(table.client_id, table.exchange)
            rows = (await connection.execute(gone)).all()
            _expect(len(rows), key_id)
            whose = {"client_id": rows[0][0], "key_id": key_id}
            await note(connection, self._by, "key_deleted", {"exchange": rows[0][1]}, **whose)

    async def set_status(self, client_id: ClientId, status: ClientStatus) -> None:
        """Raises NoSuchThing."""
        await self.change_client(client_id, None, status)

    async def refile(
        self, client_id: ClientId, account: str | None, name: str | None = None
    ) -> None:
        """File a client under *account*, and *name* it; None: under one made from its name.

        Raises NoSuchThing.
        """
        await self.change_client(client_id, (account, name), None)

    async def change_client(
        self,
        client_id: ClientId,
        filed: tuple[str | None, str | None] | None,
        status: ClientStatus | None,
    ) -> None:
        """Do both at once, or one; *filed* is account and name. Raises NoSuchThing."""
        async with changing(self._engine) as connection:
            if filed:
                await self._refile(connection, client_id, *filed)
            if status:
                await self._set_status(connection, client_id, status)

    async def _set_status(
        self, connection: AsyncConnection, client_id: ClientId, status: ClientStatus
    ) -> None:
        told = {"status": status}
        _expect_client(await update_row(connection, "clients", client_id, told), client_id)
        await note(connection, self._by, "client_status_set", told, client_id=client_id)

    async def _refile(
        self,
        connection: AsyncConnection,
        client_id: ClientId,
        account: str | None,
        name: str | None,
    ) -> None:
        before = (await connection.execute(_SETTINGS, {"client": client_id})).scalar()
        kept = dict(before) if isinstance(before, dict) else {}
        kept.pop("bridge_account", None)
        own = {"bridge_account": account} if account else {}
        values = {"settings": kept | own, **({"name": name} if name else {})}
        _expect_client(await update_row(connection, "clients", client_id, values), client_id)
        told = {"account": account, "name": name}
        await note(connection, self._by, "client_refiled", told, client_id=client_id)

    async def delete_client(self, client_id: ClientId) -> int:
        """Delete a client and its keys; return how many those were. Raises NoSuchThing."""
        keys = delete(exchange_api_keys).where(exchange_api_keys.c.client_id == client_id)
        query = delete(clients).where(clients.c.id == client_id)
        async with changing(self._engine) as connection:
            count = (await connection.execute(keys)).rowcount
            _expect_client((await connection.execute(query)).rowcount, client_id)
            told = {"keys": count}
            await note(connection, self._by, "client_deleted", told, client_id=client_id)
        return count

    async def wish(self, *, key_id: KeyId | None = None, client_id: ClientId | None = None) -> int:
        """Ask for active keys to be initialized again, of a client or all; return how many."""
        async with changing(self._engine) as connection:
            values = {"key": key_id, "client": client_id}
            wished = (await connection.execute(_WISH, values)).scalars().all()
            hint = ",".join({str(client) for client in wished}) if len(wished) <= 100 else "*"
            await connection.execute(_HINT, {"hint": hint})
            whose, told = {"client_id": client_id, "key_id": key_id}, {"keys": len(wished)}
            await note(connection, self._by, "reinitialize_asked", told, **whose)
        return len(wished)


def _client(id_: UUID, name: str, status: str, keys: int, own: str | None) -> Client:
    return Client(ClientId(id_), name, status, keys, account_name(name, own))


_CLIENTS = text("""
SELECT c.id, c.name, c.status, count(k.id), c.bridge_account
FROM bridgetender.clients() c LEFT JOIN bridgetender.keys() k ON k.client_id = c.id
GROUP BY c.id, c.name, c.status, c.bridge_account ORDER BY c.name, c.id
""")
_CLIENT = text("""
SELECT c.id, c.name, c.status,
  (SELECT count(*) FROM bridgetender.keys() k WHERE k.client_id = c.id), c.bridge_account
FROM bridgetender.clients() c WHERE c.id = :client
""")
_MET_BY = text(f"""
SELECT c.name FROM bridgetender.clients() c WHERE {ACCOUNT} = :account AND c.id <> :client
ORDER BY c.created_at, c.id LIMIT 1
""")
_WHOSE = text("SELECT client_id FROM public.exchange_api_keys WHERE id = :key")
_SETTINGS = text("SELECT settings FROM public.clients WHERE id = :client FOR UPDATE")
_KEYS = text("""
SELECT k.id, k.client_id, c.name, k.exchange, k.label, k.is_testnet, k.is_active, k.api_key,
  nullif(k.created_at, '-infinity')
FROM bridgetender.keys() k JOIN bridgetender.clients() c ON c.id = k.client_id
WHERE (CAST(:client AS uuid) IS NULL OR k.client_id = :client) AND starts_with(k.id::text, :prefix)
ORDER BY c.name, k.exchange, k.created_at, k.id
""")
_SEALED = text(f"""
SELECT {", ".join(SealedEntry.__slots__)} FROM bridgetender.keys() WHERE id = :key
""")
_SEALED_OF = text(f"""
SELECT client_id, {", ".join(SealedEntry.__slots__)} FROM bridgetender.keys()
WHERE client_id = ANY(:clients)
""")
_WISH = text("""
WITH wished AS (
  INSERT INTO bridgetender.wishes (key_id)
  SELECT id FROM bridgetender.keys()
  WHERE is_active AND (CAST(:key AS uuid) IS NULL OR id = :key)
    AND (CAST(:client AS uuid) IS NULL OR client_id = :client)
  ON CONFLICT (key_id) DO UPDATE SET asked_at = now()
  RETURNING key_id
)
SELECT k.client_id FROM wished JOIN bridgetender.keys() k ON k.id = wished.key_id
""")
_HINT = text("SELECT pg_notify('bridgetender', :hint)")


def _expect(count: int, key_id: UUID) -> None:
    if count == 0:
        raise NoSuchThing(f"no key {key_id}: see 'bridgetender keys list'")


def _expect_client(count: int, client_id: UUID) -> None:
    if count == 0:
        raise NoSuchThing(f"no client {client_id}: see 'bridgetender clients list'")
