"""`keys`: the stored credentials. Secrets come from a prompt, stdin or a file, never from argv."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import anyio
import typer

from daemon.cli import asking
from daemon.cli.exits import Trouble
from daemon.cli.imports import import_
from daemon.cli.output import Json, document, say, short, table, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, ForKeys, database, refuse_another_keyring, settings
from daemon.cli.who import operator
from daemon.entry import BadEntry, KeyEntry, exchange_name, key_entry, key_label
from daemon.exchanges import KNOWN, doubts_of
from daemon.sealing import sealed
from daemon.store.people import Client, KeyRow, People
from daemon.vault import Keyring, ends
from reconciler.model import ClientId, KeyId
from reconciler.verdicts import Undecryptable

app = command_app("Add, list, change and delete keys.")
Key = Annotated[str, typer.Argument(help="A key's id, or at least its first 8 characters.")]
Whose = Annotated[str, typer.Argument(help="A client's name or id.")]

SecretsFrom = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|-",
        help='A file, or - for stdin, with {"api_key", "api_secret", "passphrase"?} as JSON,'
        " or on a line each. Without it they are asked for.",
    ),
]


@dataclass(frozen=True, slots=True)
class Shown:
    """A key as people see it; *api_key* shows its ends, or is None if nothing here reads it."""

    id: KeyId
    client: str
    client_id: ClientId
    exchange: str
    label: str | None
    is_testnet: bool
    is_active: bool
    api_key: str | None
    created_at: datetime | None


@app.command(context_settings={"allow_extra_args": True})
def add(
    context: typer.Context,
    client: Whose,
    exchange: Annotated[
        str,
        typer.Argument(
            help="The exchange's id, such as binance or okx.", autocompletion=lambda: sorted(KNOWN)
        ),
    ],
    *,
    secrets_from: SecretsFrom = None,
    label: Annotated[str | None, typer.Option(help="Words to know it by.")] = None,
    testnet: Annotated[bool, typer.Option("--testnet", help="It is for the testnet.")] = False,
    json: Json = False,
) -> None:
    """Store a key for CLIENT. Its secrets are asked for, or read from --secrets-from."""
    _refuse_secrets_in_argv(context.args, "keys add takes CLIENT and EXCHANGE only")
    wanted, exchange = settings(ForKeys), exchange_name(exchange)
    label = None if label is None else key_label(label)
    client_id = anyio.run(_find_client, wanted, client)
    for doubt in (doubts := doubts_of(exchange)):
        warn(doubt)
    secrets = asking.secrets(secrets_from, exchange)
    entry = key_entry(exchange, **secrets, label=label, is_testnet=testnet)
    stored = anyio.run(_add, wanted, client_id, entry)
    if json:
        document({**_as_dict(stored), "warnings": doubts})
    else:
        say(f"Stored key {stored.id} of {stored.client} for {stored.exchange} ({stored.api_key}).")
        say(f"The daemon takes it from here; see: bridgetender explain {str(stored.id)[:8]}")


@app.command("list")
def list_(
    *,
    client: Annotated[str | None, typer.Option(help="Only this client's: name or id.")] = None,
    json: Json = False,
) -> None:
    """List keys; of each api_key only the ends are shown."""
    found = anyio.run(_list, settings(ForKeys), client)
    if json:
        document({"keys": found})
        return
    headings = ("Key", "Client", "Exchange", "Api key", "Active", "Label", "Added")
    table(headings, [_cells(key) for key in found])


app.command("import")(import_)


@app.command()
def disable(key: Key, *, json: Json = False) -> None:
    """Disable a key: its connector is removed from the bridge."""
    _switch(key, active=False, json=json)


@app.command()
def enable(key: Key, *, json: Json = False) -> None:
    """Enable a key again."""
    _switch(key, active=True, json=json)


@app.command(context_settings={"allow_extra_args": True})
def replace(
    context: typer.Context,
    key: Key,
    *,
    secrets_from: SecretsFrom = None,
    json: Json = False,
) -> None:
    """Put new credentials in the place of a key's; its connector then gets them.

    The rest of the key stays. Secrets are asked for, or read from --secrets-from.
    """
    _refuse_secrets_in_argv(context.args, "keys replace takes KEY only")
    wanted = settings(ForKeys)
    found = anyio.run(_find, wanted, key)
    secrets = asking.secrets(secrets_from, found.exchange)
    entry = key_entry(found.exchange, **secrets, is_testnet=False)
    stored = anyio.run(_replace, wanted, found.id, entry)
    if json:
        document(_as_dict(stored))
    else:
        say(f"Gave new credentials ({stored.api_key}) to {_named(found)}.")


@app.command()
def relabel(
    key: Key,
    label: Annotated[str | None, typer.Argument(help="Words to know it by; none: none.")] = None,
    *,
    json: Json = False,
) -> None:
    """Give a key another label, or none. Its connector is not touched."""
    checked = None if label is None else key_label(label)
    found = anyio.run(_relabel, settings(ForDatabase), key, checked)
    if json:
        document({"id": found.id, "label": checked})
    else:
        say(f"Labelled {_named(found)}: {checked or '(none)'}.")


@app.command()
def delete(
    key: Key,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Delete a key: its row, and with it its connector. There is no way back."""
    wanted = settings(ForDatabase)
    found = anyio.run(_find, wanted, key)
    if not yes:
        asking.confirm(f"Delete {_named(found)} for good?")
    anyio.run(_delete, wanted, found.id)
    if json:
        document({"id": found.id, "deleted": True})
    else:
        say(f"Deleted {_named(found)}. The daemon removes its connector.")


def _switch(key: str, *, active: bool, json: bool) -> None:
    found = anyio.run(_set_active, settings(ForDatabase), key, active)
    if json:
        document({"id": found.id, "is_active": active})
    else:
        say(f"{'Enabled' if active else 'Disabled'} {_named(found)}.")


def _refuse_secrets_in_argv(extra: Sequence[str], usage: str) -> None:
    if extra:  # not repeated: it may be a secret
        raise Trouble(
            f"{usage}. If that was a secret, others can see it in the list of processes and in the"
            " shell's history: make a new key at the exchange."
        )


async def _find_client(wanted: ForKeys, client: str) -> ClientId:
    async with database(wanted.database_url) as engine:
        return await People(engine).find_client(client)


async def _add(wanted: ForKeys, client_id: ClientId, entry: KeyEntry) -> Shown:
    async with database(wanted.database_url) as engine:
        await refuse_another_keyring(engine, wanted.keyring)
        people = People(engine, operator())
        await _require_whole(await people.by_id(client_id), entry)
        key_id = await people.add_key(client_id, sealed(entry, wanted.keyring))
        return _shown(await people.find_key(str(key_id)), wanted.keyring)


async def _require_whole(client: Client, entry: KeyEntry) -> None:
    from daemon.cli.needs import needs  # noqa: PLC0415 - costs a second, and few commands need it

    async with needs() as lacking:
        if words := await lacking(client, entry):
            raise BadEntry(words)


async def _list(wanted: ForKeys, client: str | None) -> list[Shown]:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        whose = None if client is None else await people.find_client(client)
        return [_shown(row, wanted.keyring) for row in await people.keys(whose)]


async def _find(wanted: ForDatabase | ForKeys, key: str) -> KeyRow:
    async with database(wanted.database_url) as engine:
        return await People(engine).find_key(key)


async def _set_active(wanted: ForDatabase, key: str, active: bool) -> KeyRow:  # noqa: FBT001
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found = await people.find_key(key)
        await people.set_active(found.id, active=active)
        return found


async def _replace(wanted: ForKeys, key_id: KeyId, entry: KeyEntry) -> Shown:
    async with database(wanted.database_url) as engine:
        await refuse_another_keyring(engine, wanted.keyring)
        people = People(engine, operator())
        whose = (await people.find_key(str(key_id))).client_id
        await _require_whole(await people.by_id(whose), entry)
        await people.replace(key_id, sealed(entry, wanted.keyring))
        return _shown(await people.find_key(str(key_id)), wanted.keyring)


async def _relabel(wanted: ForDatabase, key: str, label: str | None) -> KeyRow:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found = await people.find_key(key)
        await people.relabel(found.id, label)
        return found


async def _delete(wanted: ForDatabase, key_id: KeyId) -> None:
    async with database(wanted.database_url) as engine:
        await People(engine, operator()).delete_key(key_id)


def _shown(row: KeyRow, keyring: Keyring) -> Shown:
    try:
        api_key = ends(keyring.unseal(row.api_key))
    except Undecryptable:
        api_key = None
    return Shown(
        *(row.id, row.client, row.client_id, row.exchange, row.label),
        *(row.is_testnet, row.is_active, api_key, row.created_at),
    )


def _as_dict(key: Shown) -> dict[str, object]:
    return {name: getattr(key, name) for name in Shown.__slots__}


def _cells(key: Shown) -> tuple[str, ...]:
    return (
        short(key.id),
        key.client,
        key.exchange + (" (testnet)" if key.is_testnet else ""),
        key.api_key or "not readable with this ENCRYPTION_KEY",
        "yes" if key.is_active else "no",
        key.label or "",
        key.created_at.isoformat(" ", "seconds") if key.created_at else "unknown",
    )


def _named(key: KeyRow) -> str:
    return f"key {key.id} of {key.client} for {key.exchange}"
