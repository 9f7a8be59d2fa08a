"""Clients: whose keys they are, and under which account a bridge files them."""

from daemon.store.people import Client
from daemon.web.api.parts import Admin, Id, Keeping, Viewer, router
from daemon.web.keeper import Keeper
from daemon.web.models import ChangedClient, ClientChange, Clients, ClientState, Done, NewClient
from reconciler.model import ClientId

routes = router("/api/admin", "clients")


@routes.get("/clients")
async def list_clients(keeper: Keeping, _: Viewer) -> Clients:
    return Clients(clients=[client_state(each) for each in await keeper.clients()])


@routes.post("/clients", status_code=201)
async def add_client(body: NewClient, keeper: Keeping, caller: Admin) -> ChangedClient:
    client = await keeper.add_client(body.name, body.account, caller.actor)
    return await _changed(keeper, client)


@routes.get("/clients/{client_id}")
async def get_client(client_id: Id, keeper: Keeping, _: Viewer) -> ClientState:
    return client_state(await keeper.client(ClientId(client_id)))


@routes.patch("/clients/{client_id}")
async def change_client(
    client_id: Id, body: ClientChange, keeper: Keeping, caller: Admin
) -> ChangedClient:
    """Rename, file under another account, pause or suspend: a suspended one's connectors go."""
    client = await keeper.change_client(ClientId(client_id), body, caller.actor)
    return await _changed(keeper, client)


@routes.delete("/clients/{client_id}")
async def delete_client(client_id: Id, keeper: Keeping, caller: Admin) -> Done:
    """Delete a client and its keys for good."""
    keys = await keeper.delete_client(ClientId(client_id), caller.actor)
    return Done(message=f"Client deleted, with {keys} key(s)")


async def _changed(keeper: Keeper, client: Client) -> ChangedClient:
    warning = await keeper.doubt_about(client)
    return ChangedClient(**client_state(client).model_dump(), warning=warning)


def client_state(client: Client) -> ClientState:
    return ClientState(
        id=client.id,
        name=client.name,
        status=client.status,
        account=client.account,
        keys=client.keys,
    )
