"""Stores many keys at once: what is good is stored, and each row is told what became of it."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.entry import KeyEntry
from daemon.importing import Row
from daemon.needs import Lacking
from daemon.sealing import sealed
from daemon.store.audit import Actor
from daemon.store.people import Client, People, SealedEntry
from daemon.vault import Keyring
from reconciler.model import ClientId, KeyId
from reconciler.slots import connector_name
from reconciler.verdicts import StoreError, Undecryptable

State = Literal["added", "would_be_added", "duplicate", "invalid", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row; the words repeat no credentials."""

    row: int
    state: State
    words: str
    client: str | None = None
    exchange: str | None = None
    label: str | None = None
    id: KeyId | None = None


_Known = Mapping[str, Sequence[Client]]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A key that can be stored, and whose it is."""

    client: Client
    entry: KeyEntry


@dataclass(frozen=True, slots=True)
class _There:
    """What is stored, or was taken in before: *marks* of keys, with the row of each if it has one.

    *slots* have the words for the active key in each; the next one there takes its place.
    """

    marks: dict[str, int | None]
    slots: dict[tuple[ClientId, str], str]


@dataclass(slots=True)
class Intake:
    """Takes rows in for *by*. May raise StoreError, as long as nothing is stored."""

    engine: AsyncEngine
    keyring: Keyring
    by: Actor
    lacking: Lacking

    async def take(
        self, rows: Sequence[Row], only: ClientId | None, *, dry_run: bool
    ) -> list[Outcome]:
        """Store what is good. With *only*, every row is that client's, and may name no other."""
        people = People(self.engine, self.by)
        known = _known(await people.clients())
        placed = [(row.number, _placed(row, known, only)) for row in rows]
        whose = {found.client.id for _, found in placed if isinstance(found, _Placed)}
        stored = await people.sealed_of(whose)
        slots = {_slot(c, each): "the one that is stored" for c, each in stored if each.is_active}
        there = _There(self._marks(stored), slots)
        return [
            Outcome(number, "invalid", found)
            if isinstance(found, str)
            else await self._one(people, number, found, there, dry_run=dry_run)
            for number, found in placed
        ]

    async def _one(
        self,
        people: People,
        number: int,
        key: _Placed,
        there: _There,
        *,
        dry_run: bool,
    ) -> Outcome:
        client, entry, mark = key.client, key.entry, _mark(key.client.id, key.entry)

        def came_to(state: State, words: str, made: KeyId | None = None) -> Outcome:
            named = (client.name, entry.exchange, entry.label)
            return Outcome(number, state, words, *named, made)

        if words := await self.lacking(client, entry):
            return came_to("invalid", words)
        if mark in there.marks:
            before = there.marks[mark]
            return came_to("duplicate", f"the same as row {before}" if before else "stored already")
        slot = _slot(client.id, entry)
        rival, there.slots[slot], there.marks[mark] = there.slots.get(slot), f"row {number}", number
        takes = f"it takes the place of {rival}, which is not used any more" if rival else ""
        if dry_run:
            return came_to("would_be_added", takes or "nothing speaks against it")
        try:
            made = await people.add_key(client.id, sealed(entry, self.keyring))
            return came_to("added", f"stored; {takes}" if takes else "stored", made)
        except StoreError as error:
            again = "import it again, what is there is skipped"
            return came_to("failed", f"not known to be stored: {error}; {again}")

    def _marks(self, stored: Collection[tuple[ClientId, SealedEntry]]) -> dict[str, int | None]:
        """Return the marks of what is stored, and of which row each is: none."""
        found: dict[str, int | None] = {}
        for client_id, each in stored:
            try:
                found[_mark(client_id, self._opened(each))] = None
            except Undecryptable:
                continue  # nobody can tell what it is
        return found

    def _opened(self, stored: SealedEntry) -> KeyEntry:
        unseal = self.keyring.unseal
        return KeyEntry(
            stored.exchange,
            unseal(stored.api_key),
            unseal(stored.api_secret),
            unseal(stored.passphrase) if stored.passphrase else None,
            stored.label,
            stored.is_testnet,
        )


def _known(clients: Sequence[Client]) -> _Known:
    """Return *clients* by whatever a row may call them."""
    found: dict[str, list[Client]] = {}
    for client in clients:
        for name in {client.name, str(client.id)}:
            found.setdefault(name, []).append(client)
    return found


def _placed(row: Row, known: _Known, only: ClientId | None) -> _Placed | str:
    """Return whose key it is, or what is wrong with the row; a client's name is not repeated."""
    if row.entry is None:
        return row.wrong
    if only is None and row.client is None:
        return "client: is missing"
    said = str(only) if row.client is None else row.client
    found = [each for each in known.get(said, ()) if only in (None, each.id)]
    if len(found) == 1:
        return _Placed(found[0], row.entry)
    if found:
        return f"client: {len(found)} clients have this name, so say the id"
    return "client: is another one than this import is for" if only else "client: there is none so"


def _slot(client_id: ClientId, entry: KeyEntry | SealedEntry) -> tuple[ClientId, str]:
    return client_id, connector_name(entry.exchange, testnet=entry.is_testnet)


def _mark(client_id: ClientId, entry: KeyEntry) -> str:
    """Return what two keys have in common that are the same, without being a secret."""
    connector = connector_name(entry.exchange, testnet=entry.is_testnet)
    secrets = (entry.api_key, entry.api_secret, entry.passphrase)
    texts = [str(client_id), connector, *(each.reveal() if each else "" for each in secrets)]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def counts(outcomes: Sequence[Outcome]) -> Mapping[str, int]:
    """Return how many rows came to each end that there was."""
    found: dict[str, int] = {}
    for each in outcomes:
        found[each.state] = found.get(each.state, 0) + 1
    return found
