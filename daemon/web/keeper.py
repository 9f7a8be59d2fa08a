"""What people do to clients and keys by API and console, and what they are told of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import UUID

import anyio
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.entry import KeyEntry, account_name, client_name, filed_account, key_entry, key_label
from daemon.exchanges import lacks
from daemon.intake import Intake
from daemon.needs import Lacking
from daemon.sealing import sealed
from daemon.store.audit import Actor
from daemon.store.keyring import check_keyring
from daemon.store.pauses import Scope, Subject
from daemon.store.people import CREDENTIALS, Client, NoSuchThing, People, SealedEntry
from daemon.store.routes import routes_in_force
from daemon.store.status import KeyStatus, Status
from daemon.vault import Keyring, ends
from daemon.web.models import (
    AddedKey,
    ChangedKey,
    ClientChange,
    KeyChange,
    KeyState,
)
from daemon.web.news import News
from daemon.web.problems import Problem
from daemon.web.standing import Down, added, added_unseen, displaced, down_of, standing, unseen
from reconciler.model import BridgeName, ClientId, KeyId, Phase, Reason
from reconciler.ports import Clock
from reconciler.slots import account_name as account_of
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()
T = TypeVar("T")
_GLANCE = 0.25
"""Seconds between two looks at what is waited for, if nothing is heard of it before."""
_AFTERWARDS = 3.0
"""Seconds that a change may take to say what it led to."""


class Stored(NamedTuple):
    """A client, where each of its keys stands, and the ends of each API key that can be read."""

    client: Client
    keys: Sequence[KeyStatus]
    ends: Mapping[KeyId, str | None]


@dataclass(slots=True)
class Keeper:
    """*keyring* is asked for each time: it may be replaced. May raise StoreError and Problem."""

    engine: AsyncEngine
    keyring: Callable[[], Keyring]
    main: Callable[[], BridgeName]
    clock: Clock
    news: News
    """Told when outcomes were written."""

    @property
    def _status(self) -> Status:
        return Status(self.engine, self.main())

    # -- keys ----------------------------------------------------------------------------------

    async def add_key(
        self, client_id: ClientId, entry: KeyEntry, wait: float, by: Actor
    ) -> AddedKey:
        """Store a key, and wait for its first attempt for at most *wait* seconds."""
        await self._require_client(client_id)
        await self._require_keyring()
        key_id = await People(self.engine, by).add_key(client_id, sealed(entry, self.keyring()))
        await self._next_attempt(client_id, {key_id}, {}, wait)

        async def told() -> AddedKey:
            return added(await self.key(key_id), await self._status.of_client(client_id))

        return await _afterwards(told) or added_unseen(key_id, entry.exchange)

    async def keys(self, client_id: ClientId) -> list[KeyState]:
        return self.shown(await self.stored(client_id), await self.down())

    async def stored(self, client_id: ClientId) -> Stored:
        client = await self._require_client(client_id)
        rows = await People(self.engine).keys(client_id)
        ends = {row.id: self._ends(row.api_key) for row in rows}
        return Stored(client, await self._status.of_client(client_id), ends)

    def shown(self, stored: Stored, down: Down) -> list[KeyState]:
        """Return what people see of a client's keys while these bridges are away."""
        return [self._shown(key, stored.ends.get(key.key_id), down) for key in stored.keys]

    async def key(self, key_id: KeyId) -> KeyState:
        """Raises Problem not_found."""
        state = await self._status.key(key_id)
        if state is None:
            raise _no_key()
        ends = self._ends((await self._sealed(key_id)).api_key)
        return self._shown(state, ends, await self.down())

    async def change_key(
        self, key_id: KeyId, change: KeyChange, wait: float, by: Actor
    ) -> ChangedKey:
        """Rotate, relabel, enable or disable; what was sent is checked before anything changes."""
        stored, state = await self._sealed(key_id), await self.key(key_id)
        values, deeds = await self._changes(stored, change)
        client_id = ClientId(state.client_id)
        before = await self._status.tried(client_id)
        if values:
            await People(self.engine, by).change_key(key_id, values, deeds)
        if values.get("is_active", stored.is_active) and values.keys() - {"label"}:
            await self._next_attempt(client_id, {key_id}, before, wait)
        now = await _afterwards(partial(self.key, key_id)) if values else state
        told = _changed(now or unseen(state, values), values)
        if values.get("is_active"):
            kin = await _afterwards(partial(self._status.of_client, client_id))
            told.warnings = [*told.warnings, *displaced(told, kin or ())]
        return told

    async def _changes(
        self, stored: SealedEntry, change: KeyChange
    ) -> tuple[dict[str, object], dict[str, dict[str, object]]]:
        """Return the columns that are to be otherwise, and what the audit is told of it."""
        values: dict[str, object] = {}
        deeds: dict[str, dict[str, object]] = {}
        if not change.model_fields_set:
            words = "Say what is to be otherwise: new credentials, the label or is_active."
            raise Problem("invalid", words)
        if rotated := _rotated(stored, change):
            await self._require_keyring()
            new = sealed(rotated, self.keyring())
            values |= {name: getattr(new, name) for name in CREDENTIALS}
            deeds["key_rotated"] = {}
        label = key_label(change.label) if change.label is not None else None
        if "label" in change.model_fields_set and label != stored.label:
            values["label"] = label
            deeds["key_relabelled"] = {"label": values["label"]}
        if change.is_active not in (None, stored.is_active):
            values["is_active"] = change.is_active
            deeds["key_enabled" if change.is_active else "key_disabled"] = {}
        return values, deeds

    async def rotation(self, key_id: KeyId, change: KeyChange) -> KeyEntry | None:
        """Return the new credentials that *change* has, if any."""
        return _rotated(await self._sealed(key_id), change)

    async def intake(self, by: Actor, lacking: Lacking) -> Intake:
        """Return what stores many keys at once."""
        await self._require_keyring()
        return Intake(self.engine, self.keyring(), by, lacking)

    async def require_key_of(self, client_id: ClientId, key_id: KeyId) -> None:
        """Raises Problem not_found, also for another client's key."""
        if (await self.key(key_id)).client_id != client_id:
            raise _no_key()

    async def delete_key(self, key_id: KeyId, by: Actor) -> None:
        try:
            await People(self.engine, by).delete_key(key_id)
        except NoSuchThing:
            raise _no_key() from None

    async def reinitialize(
        self,
        wait: float,
        by: Actor,
        *,
        client_id: ClientId | None = None,
        key_id: KeyId | None = None,
    ) -> tuple[int, list[KeyState]]:
        """Ask for active keys to be initialized again: of a client, one key, or all.

        Return how many those are, and where a client's stand; none if that cannot be told.
        """
        if client_id is not None:
            await self._require_client(client_id)
        elif key_id is not None:
            client_id = ClientId((await self.key(key_id)).client_id)
        before = await self._status.tried(client_id) if client_id else {}
        states = await self._status.of_client(client_id) if client_id else []
        wished = {k.key_id for k in states if k.is_active and key_id in (None, k.key_id)}
        count = await People(self.engine, by).wish(client_id=client_id, key_id=key_id)
        if client_id is None:
            return count, []
        await self._next_attempt(client_id, wished, before, wait)
        now = await _afterwards(partial(self.keys, client_id)) or []
        return count, [k for k in now if key_id in (None, k.id)]

    # -- clients -------------------------------------------------------------------------------

    async def clients(self) -> Sequence[Client]:
        return await People(self.engine).clients()

    async def client(self, client_id: ClientId) -> Client:
        return await self._require_client(client_id)

    async def add_client(self, name: str, account: str | None, by: Actor) -> Client:
        name = client_name(name)
        if account is None:
            filed_account(account_of(name, None))
            settings = None
        else:
            settings = {"bridge_account": account_name(account)}
        made = await People(self.engine, by).add_client(name, settings)
        new = Client(made, name, "ACTIVE", 0, account_of(name, account))
        return await _afterwards(partial(self._require_client, made)) or new

    async def doubt_about(self, client: Client) -> str | None:
        """Say what keeps a client from being served, if anything is known to."""
        other = await _afterwards(partial(People(self.engine).met_by, client))
        if other is None:
            return None
        return (
            f"The account {client.account!r} is that of the client {other!r}, too: only the first"
            " to have a key is served under it. Give one of them an account of its own."
        )

    async def foretold(self, client_id: ClientId, change: ClientChange) -> Client:
        """Return a client as it would be under the name and account of *change*."""
        return _foretold(await self._require_client(client_id), change)

    async def change_client(self, client_id: ClientId, change: ClientChange, by: Actor) -> Client:
        before, filed = await self._require_client(client_id), None
        if not change.model_fields_set:
            raise Problem("invalid", "Say what is to be otherwise: name, account or status.")
        if change.name is not None or "account" in change.model_fields_set:
            name, account = _filed(before, change)
            filed = account, name
        status = change.status if change.status != before.status else None
        await People(self.engine, by).change_client(client_id, filed, status)
        foretold = _foretold(before, change)
        return await _afterwards(partial(self._require_client, client_id)) or foretold

    async def delete_client(self, client_id: ClientId, by: Actor) -> int:
        await self._require_client(client_id)
        return await People(self.engine, by).delete_client(client_id)

    async def subject(self, scope: Scope, said: str) -> Subject:
        """Return what a pause is to reach. Raises Problem not_found."""
        match scope:
            case "all":
                return Subject("all")
            case "bridge":
                return await self._bridge(said)
            case "client":
                client = await self._require_client(ClientId(_id(said)))
                return Subject("client", str(client.id), client.name)
            case "key":
                key = await self.key(KeyId(_id(said)))
                return Subject("key", str(key.id), f"{key.client}'s key for {key.exchange}")

    async def _bridge(self, name: str) -> Subject:
        named = {bridge for _, _, bridge in await routes_in_force(self.engine)} or {self.main()}
        if name not in named:
            raise Problem("not_found", f"There is no such bridge; there is {', '.join(named)}.")
        return Subject("bridge", name, name)

    # -- inside --------------------------------------------------------------------------------

    async def _require_client(self, client_id: ClientId) -> Client:
        try:
            return await People(self.engine).by_id(client_id)
        except NoSuchThing:
            raise Problem("not_found", "There is no client with this id.") from None

    async def _require_keyring(self) -> None:
        try:
            await check_keyring(self.engine, self.keyring().unseal)
        except Undecryptable:
            words = "This daemon's ENCRYPTION_KEY is outdated: tell an operator. Nothing changed."
            raise Problem("internal", words) from None

    async def _sealed(self, key_id: KeyId) -> SealedEntry:
        try:
            return await People(self.engine).sealed(key_id)
        except NoSuchThing:
            raise _no_key() from None

    async def _next_attempt(
        self,
        client_id: ClientId,
        keys: Collection[KeyId],
        before: Mapping[KeyId, datetime],
        wait: float,
    ) -> None:
        """Return once what came of each is not what was there *before*, at most *wait* seconds.

        None is to be expected of what is in conflict, paused or inactive. A database that goes
        away meanwhile undoes nothing: it is asked again.
        """
        with anyio.move_on_after(wait):
            while True:
                with suppress(StoreError):
                    if not await self._awaited(client_id, keys, before):
                        return
                await self.news.wait(_GLANCE)

    async def _awaited(
        self,
        client_id: ClientId,
        keys: Collection[KeyId],
        before: Mapping[KeyId, datetime],
    ) -> bool:
        tried = await self._status.tried(client_id)
        left = {key for key in keys if tried.get(key) in (None, before.get(key))}
        return bool(left) and any(
            key.key_id in left and _to_be_tried(key)
            for key in await self._status.of_client(client_id)
        )

    def _shown(self, state: KeyStatus, ends: str | None, down: Down) -> KeyState:
        return KeyState(**dict(standing(state, self.clock.now(), down)), api_key=ends)

    async def down(self) -> Down:
        return down_of(await self._status.bridges())

    def _ends(self, api_key: str) -> str | None:
        try:
            return ends(self.keyring().unseal(api_key))
        except Undecryptable:
            return None


async def _afterwards(read: Callable[[], Awaitable[T]]) -> T | None:
    """Return what is read after a change, or None: the change is made, whatever becomes of that."""
    with anyio.move_on_after(_AFTERWARDS):
        try:
            return await read()
        except StoreError as error:
            log.warning("store_away", reason=str(error))
    return None


def _rotated(stored: SealedEntry, change: KeyChange) -> KeyEntry | None:
    """Return the new credentials, if any were sent. Raises BadEntry, and Problem for a part."""
    sent = change.secrets()
    if not any(each is not None for each in sent.values()):
        return None
    stays = (name for name in CREDENTIALS if not lacks(stored.exchange, name))
    had = [name for name in stays if getattr(stored, name)]
    gone = sent["passphrase"] == ""  # which says that there is none any more
    if missing := [n for n in had if not sent[n] and not (n == "passphrase" and gone)]:
        words = "New credentials come all together, even where one of them stays as it was."
        errors = [{"field": name, "problem": "is missing"} for name in missing]
        raise Problem("invalid", f"{words} Missing: {', '.join(missing)}.", errors=errors)
    plain = {name: each or "" for name, each in sent.items()}
    return key_entry(stored.exchange, **plain, is_testnet=stored.is_testnet)


def _changed(key: KeyState, values: Collection[str]) -> ChangedKey:
    changed = sorted({"credentials" if name in CREDENTIALS else name for name in values})
    words = f"Changed: {', '.join(changed)}" if changed else "Nothing changed: it was so before"
    return ChangedKey(**dict(key), message=words, changed=changed)


def _to_be_tried(key: KeyStatus) -> bool:
    return key.phase not in (Phase.CONFLICT, "inactive") and key.reason != Reason.PAUSED


def _id(said: str) -> UUID:
    try:
        return UUID(said)
    except ValueError:
        raise Problem("not_found", "There is nothing with this id.") from None


def _foretold(client: Client, change: ClientChange) -> Client:
    name, account = _filed(client, change)
    status = change.status or client.status
    return replace(client, name=name, account=account_of(name, account), status=status)


def _filed(client: Client, change: ClientChange) -> tuple[str, str | None]:
    """Return the name and the account of its own that a client is to have. Raises BadEntry."""
    name = client_name(change.name) if change.name is not None else client.name
    if "account" not in change.model_fields_set:
        account = client.own_account
    else:
        account = account_name(change.account) if change.account is not None else None
    if account is None:
        filed_account(account_of(name, None))
    return name, account


def _no_key() -> Problem:
    return Problem("not_found", "There is no key with this id.")
