"""Keys: add, list, rotate, relabel, disable, delete, reinitialize."""

from daemon.web.api.parts import DEFAULT_WAIT, Admin, Id, Keeping, Viewer, Wait, router
from daemon.web.models import (
    AddedKey,
    Done,
    KeyChange,
    Keys,
    KeyState,
    NewKey,
    NewKeyOf,
    Reinitialized,
)
from reconciler.model import ClientId, KeyId

routes = router("/api/admin", "keys")


@routes.post("/clients/{client_id}/api-keys")
async def add_key(
    client_id: Id, body: NewKey, keeper: Keeping, caller: Admin, wait: Wait = DEFAULT_WAIT
) -> AddedKey:
    """Store a key and wait for its first attempt. Saved it is, whatever comes of that."""
    return await keeper.add_key(ClientId(client_id), body.entry(), wait, caller.actor)


@routes.post("/api-keys")
async def add_key_of(
    body: NewKeyOf, keeper: Keeping, caller: Admin, wait: Wait = DEFAULT_WAIT
) -> AddedKey:
    """The same, with the client in the body."""
    return await keeper.add_key(ClientId(body.client_id), body.entry(), wait, caller.actor)


@routes.get("/clients/{client_id}/api-keys")
async def list_keys(client_id: Id, keeper: Keeping, _: Viewer) -> Keys:
    """List a client's keys, each with where it stands."""
    return Keys(keys=await keeper.keys(ClientId(client_id)))


@routes.get("/api-keys/{key_id}")
async def get_key(key_id: Id, keeper: Keeping, _: Viewer) -> KeyState:
    return await keeper.key(KeyId(key_id))


@routes.patch("/api-keys/{key_id}")
async def change_key(
    key_id: Id, body: KeyChange, keeper: Keeping, caller: Admin, wait: Wait = DEFAULT_WAIT
) -> KeyState:
    """Rotate, relabel, disable or enable a key."""
    return await keeper.change_key(KeyId(key_id), body, wait, caller.actor)


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
    return _reinitialized(*await keeper.reinitialize(0, caller.actor))


def _reinitialized(count: int, states: list[KeyState]) -> Reinitialized:
    message = f"{count} active key(s) are initialized again"
    return Reinitialized(message=message, keys=count, states=states)
