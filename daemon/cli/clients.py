"""`clients`: whose keys are kept."""

from typing import Annotated

import anyio
import typer

from daemon.cli.output import Json, document, say, table, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.entry import BadEntry, account_name, client_name, filed_account
from daemon.store.people import Client, People
from reconciler import slots
from reconciler.model import ClientId

app = command_app("Add and list clients.")


@app.command()
def add(
    name: str,
    *,
    account: Annotated[
        str | None, typer.Option(help="Its account on the bridge, if not client_NAME.")
    ] = None,
    json: Json = False,
) -> None:
    """Add a client."""
    name = client_name(name)
    own = None if account is None else account_name(account)
    filed = filed_account(slots.account_name(name, own))
    added, others = anyio.run(_add, settings(ForDatabase), name, own)
    if sharing := [other.name for other in others if other.account == filed]:
        warn(
            f"{', '.join(sharing)} has account {filed!r} too: only the first to have a key gets it"
        )
    if json:
        document({"id": added, "name": name, "account": filed})
    else:
        say(f"Added client {name} ({added}), account {filed}.")


@app.command("list")
def list_(*, json: Json = False) -> None:
    """List clients."""
    found = anyio.run(_list, settings(ForDatabase))
    if json:
        document({"clients": found})
        return
    rows = [(c.name, c.status.lower(), str(c.keys), c.account, str(c.id)) for c in found]
    table(("Client", "Status", "Keys", "Account", "Id"), rows)


async def _add(
    wanted: ForDatabase, name: str, account: str | None
) -> tuple[ClientId, list[Client]]:
    async with database(wanted.database_url) as engine:
        people = People(engine)
        others = list(await people.clients())
        if same := [str(client.id) for client in others if client.name == name]:
            raise BadEntry(f"name: there is a client {name!r} already, {' and '.join(same)}")
        own = {"bridge_account": account} if account else None
        return await people.add_client(name, own), others


async def _list(wanted: ForDatabase) -> list[Client]:
    async with database(wanted.database_url) as engine:
        return list(await People(engine).clients())
