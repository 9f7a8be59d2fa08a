"""Keys: add, list, rotate, relabel, disable, delete, reinitialize."""

from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Query, Request

from daemon.entry import KeyEntry
from daemon.store.audit import Actor
from daemon.web.api.parts import DEFAULT_WAIT, Admin, Id, Keeping, Viewer, Wait, router
from daemon.web.checker import Checker
from daemon.web.models import (
    AddedKey,
    ChangedKey,
    Checked,
    Done,
    KeyChange,
    Keys,
    KeyState,
    NewCheck,
    NewKey,
    NewKeyOf,
    Reinitialized,
)
from daemon.web.standing import UNSEEN
from reconciler.model import ClientId, KeyId

routes = router("/api/admin", "keys")
Verify = Annotated[
    bool,
    Query(
        description="Prove the credentials first, and save nothing if the exchange refuses them or"
        " cannot be asked. Where the bridge cannot prove them, the answer says so."
    ),
]


async def _checker(request: Request) -> Checker:
    return cast("Checker", request.app.state.checker)


Checking = Annotated[Checker, Depends(_checker)]


@dataclass(slots=True)
class _Adding:
    """Adds keys that lack nothing, proven before where that was asked for."""

    keeper: Keeping
    checker: Checking

    async def __call__(
        self, client_id: ClientId, entry: KeyEntry, wait: float, by: Actor, *, verify: bool
    ) -> AddedKey:
        client = await self.keeper.client(client_id)
        if not verify:
            await self.checker.require_whole(entry, client)
            return await self.keeper.add_key(client_id, entry, wait, by)
        found = await self.checker.check(entry, client)
        added = await self.keeper.add_key(client_id, entry, wait, by)
        told = {"verified": found.verified, "verified_words": found.words}
        more = {"rights": found.rights, "warnings": [*found.warnings, *added.warnings]}
        return added.model_copy(update={**told, **more})


@dataclass(slots=True)
class _Changing:
    """Changes keys; new credentials lack nothing and, where asked for, are proven before."""

    keeper: Keeping
    checker: Checking

    async def __call__(
        self, key_id: KeyId, change: KeyChange, wait: float, by: Actor, *, verify: bool
    ) -> ChangedKey:
        entry = await self.keeper.rotation(key_id, change)
        if entry is None:
            return await self.keeper.change_key(key_id, change, wait, by)
        client = await self.keeper.client(ClientId((await self.keeper.key(key_id)).client_id))
        if not verify:
            await self.checker.require_whole(entry, client)
            return await self.keeper.change_key(key_id, change, wait, by)
        found = await self.checker.check(entry, client)
        changed = await self.keeper.change_key(key_id, change, wait, by)
        return changed.model_copy(update={"check": found})


Adding = Annotated[_Adding, Depends(_Adding)]
Changing = Annotated[_Changing, Depends(_Changing)]


@routes.post("/clients/{client_id}/api-keys")
async def add_key(
    client_id: Id,
    body: NewKey,
    adding: Adding,
    caller: Admin,
    wait: Wait = DEFAULT_WAIT,
    *,
    verify: Verify = False,
) -> AddedKey:
    """Store a key and wait for its first attempt. Saved it is, whatever comes of that."""
    return await adding(ClientId(client_id), body.entry(), wait, caller.actor, verify=verify)


@routes.post("/api-keys")
async def add_key_of(
    body: NewKeyOf,
    adding: Adding,
    caller: Admin,
    wait: Wait = DEFAULT_WAIT,
    *,
    verify: Verify = False,
) -> AddedKey:
    """The same, with the client in the body."""
    return await adding(ClientId(body.client_id), body.entry(), wait, caller.actor, verify=verify)


@routes.post("/credentials/check")
async def check_credentials(
    body: NewCheck, keeper: Keeping, checker: Checking, _: Admin
) -> Checked:
    """Prove credentials by a call to their exchange, and store nothing."""
    client = await keeper.client(ClientId(body.client_id)) if body.client_id else None
    return await checker.check(body.entry(), client)


@routes.get("/clients/{client_id}/api-keys")
async def list_keys(client_id: Id, keeper: Keeping, _: Viewer) -> Keys:
    """List a client's keys, each with where it stands."""
    return Keys(keys=await keeper.keys(ClientId(client_id)))


@routes.get("/api-keys/{key_id}")
async def get_key(key_id: Id, keeper: Keeping, _: Viewer) -> KeyState:
    return await keeper.key(KeyId(key_id))


@routes.patch("/api-keys/{key_id}")
async def change_key(
    key_id: Id,
    body: KeyChange,
    changing: Changing,
    caller: Admin,
    wait: Wait = DEFAULT_WAIT,
    *,
    verify: Verify = False,
) -> ChangedKey:
    """Rotate, relabel, disable or enable a key; `changed` says what of it is otherwise."""
    return await changing(KeyId(key_id), body, wait, caller.actor, verify=verify)


@routes.delete("/api-keys/{key_id}")
async def delete_key(key_id: Id, keeper: Keeping, caller: Admin) -> Done:
    """Delete a key for good; its connector goes, too."""
    await keeper.delete_key(KeyId(key_id), caller.actor)
    return Done(message="API key deleted")


@routes.post("/clients/{client_id}/reinitialize")
async def reinitialize_client(
    client_id: Id, keeper: Keeping, caller: Admin, wait: Wait = DEFAULT_WAIT
) -> Reinitialized:
    """Initialize all of a client's active keys again: what is live is replaced."""
    found = await keeper.reinitialize(wait, caller.actor, client_id=ClientId(client_id))
    return _reinitialized(*found)


@routes.post("/clients/{client_id}/api-keys/{key_id}/reinitialize")
async def reinitialize_key(
    client_id: Id, key_id: Id, keeper: Keeping, caller: Admin, wait: Wait = DEFAULT_WAIT
) -> Reinitialized:
    """Initialize one key again: what is live is replaced."""
    await keeper.require_key_of(ClientId(client_id), KeyId(key_id))
    return _reinitialized(*await keeper.reinitialize(wait, caller.actor, key_id=KeyId(key_id)))


@routes.post("/reinitialize")
async def reinitialize_all(keeper: Keeping, caller: Admin) -> Reinitialized:
    """Initialize every active key again: what is live is replaced."""
    count, _ = await keeper.reinitialize(0, caller.actor)
    return Reinitialized(message=_again(count), keys=count)


def _reinitialized(count: int, states: list[KeyState]) -> Reinitialized:
    message = _again(count) if states or not count else f"{_again(count)}; {UNSEEN}"
    return Reinitialized(message=message, keys=count, states=states)


def _again(count: int) -> str:
    return f"{count} active key(s) are initialized again"
