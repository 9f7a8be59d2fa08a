"""`clients`: whose keys are kept."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

import anyio
import typer

from daemon.cli import asking
from daemon.cli.output import Json, document, say, table, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.cli.status import away, in_words, print_keys
from daemon.cli.who import operator
from daemon.clock import SystemClock
from daemon.entry import BadEntry, account_name, client_name, filed_account
from daemon.store.pauses import Pause, Pauses
from daemon.store.people import Client, ClientStatus, People
from daemon.store.status import KeyStatus
from daemon.store.status import Status as StatusOf
from reconciler import slots
from reconciler.model import BridgeName, ClientId

app = command_app("Add, list, change and delete clients.")
Whose = Annotated[str, typer.Argument(help="A client's name or id.")]


class Status(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"


_STATUS: Mapping[Status, ClientStatus] = MappingProxyType(
    {Status.ACTIVE: "ACTIVE", Status.PAUSED: "PAUSED", Status.SUSPENDED: "SUSPENDED"}
)
_MEANS = {
    Status.ACTIVE: "its active keys are to be live",
    Status.PAUSED: "its connectors stay, and no other is started",
    Status.SUSPENDED: "its connectors are removed",
}
_STATUSES = "; ".join(f"{status}: {means}" for status, means in _MEANS.items())


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="How people call it.")],
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
    _warn_of_sharing(filed, others)
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


@app.command()
def show(client: Whose, *, json: Json = False) -> None:
    """Show a client and where each of its keys stands."""
    found, keys, pauses, down = anyio.run(_show, settings(ForDatabase), client)
    if json:
        document({"client": found, "keys": [in_words(key) for key in keys]})
        return
    say(f"{found.name} ({found.id}): {found.status.lower()}, account {found.account}.")
    print_keys(keys, pauses, SystemClock().now(), down)


@app.command()
def set_status(
    client: Whose,
    status: Annotated[Status, typer.Argument(help=_STATUSES)],
    *,
    json: Json = False,
) -> None:
    """Say how a client stands with the firm. For maintenance rather use `bridgetender pause`."""
    found = anyio.run(_set_status, settings(ForDatabase), client, _STATUS[status])
    if json:
        document({"id": found.id, "status": _STATUS[status]})
    else:
        say(f"Client {found.name} is {status.value}: {_MEANS[status]}.")


@app.command()
def rename(
    client: Whose,
    name: Annotated[str, typer.Argument(help="The new name.")],
    *,
    move: Annotated[
        bool, typer.Option("--move", help="To the account of the new name: connectors move too.")
    ] = False,
    json: Json = False,
) -> None:
    """Rename a client. Its account on the bridge stays, and so its connectors, unless --move."""
    name = client_name(name)
    found, account = anyio.run(_rename, settings(ForDatabase), client, name, move)
    if json:
        document({"id": found.id, "name": name, "account": account})
    else:
        say(f"Client {found.name} is now {name}, account {account}.")


@app.command()
def set_account(
    client: Whose,
    account: Annotated[
        str | None, typer.Argument(help="Its account on the bridge; without it: client_NAME.")
    ] = None,
    *,
    json: Json = False,
) -> None:
    """File a client under another account of the bridge; its connectors move there."""
    own = None if account is None else account_name(account)
    found, filed = anyio.run(_set_account, settings(ForDatabase), client, own)
    if json:
        document({"id": found.id, "account": filed})
    else:
        say(f"Client {found.name} has account {filed}. The daemon moves its connectors.")


@app.command()
def delete(
    client: Whose,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a client and all its keys, and with them their connectors. There is no way back."""
    wanted = settings(ForDatabase)
    found = anyio.run(_find, wanted, client)
    if not yes:
        asking.confirm(f"Delete client {found.name} and its {found.keys} key(s) for good?")
    count = anyio.run(_delete, wanted, found.id)
    if json:
        document({"id": found.id, "deleted": True, "keys": count})
    else:
        say(f"Deleted client {found.name} and {count} key(s). The daemon removes the connectors.")


async def _add(
    wanted: ForDatabase, name: str, account: str | None
) -> tuple[ClientId, list[Client]]:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        others = list(await people.clients())
        _refuse_second(name, others)
        own = {"bridge_account": account} if account else None
        return await people.add_client(name, own), others


async def _list(wanted: ForDatabase) -> list[Client]:
    async with database(wanted.database_url) as engine:
        return list(await People(engine).clients())


async def _find(wanted: ForDatabase, client: str) -> Client:
    async with database(wanted.database_url) as engine:
        return await People(engine).client(client)


async def _show(
    wanted: ForDatabase, client: str
) -> tuple[Client, Sequence[KeyStatus], Sequence[Pause], Collection[BridgeName]]:
    async with database(wanted.database_url) as engine:
        found, status = await People(engine).client(client), StatusOf(engine)
        keys = [key for key in await status.keys() if key.client_id == found.id]
        return found, keys, await Pauses(engine).all(), away(await status.bridges())


async def _set_status(wanted: ForDatabase, client: str, status: ClientStatus) -> Client:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found = await people.client(client)
        await people.set_status(found.id, status)
        return found


async def _rename(
    wanted: ForDatabase,
    client: str,
    name: str,
    move: bool,  # noqa: FBT001
) -> tuple[Client, str]:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found, others = await people.client(client), await people.clients()
        _refuse_second(name, [other for other in others if other.id != found.id])
        made = slots.account_name(name)
        account = filed_account(made) if move else found.account
        await people.refile(found.id, None if account == made else account, name)
        return found, account


async def _set_account(wanted: ForDatabase, client: str, own: str | None) -> tuple[Client, str]:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found = await people.client(client)
        filed = filed_account(slots.account_name(found.name, own))
        _warn_of_sharing(filed, [c for c in await people.clients() if c.id != found.id])
        await people.refile(found.id, own)
        return found, filed


async def _delete(wanted: ForDatabase, client_id: ClientId) -> int:
    async with database(wanted.database_url) as engine:
        return await People(engine, operator()).delete_client(client_id)


def _refuse_second(name: str, others: Sequence[Client]) -> None:
    if same := [str(client.id) for client in others if client.name == name]:
        raise BadEntry(f"name: there is a client {name!r} already, {' and '.join(same)}")


def _warn_of_sharing(filed: str, others: Sequence[Client]) -> None:
    if sharing := [other.name for other in others if other.account == filed]:
        warn(
            f"{', '.join(sharing)} has account {filed!r} too: only the first to have a key gets it"
        )
