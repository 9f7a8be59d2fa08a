"""`reinit`: a person's wish that the daemon grants."""

from typing import Annotated

import anyio
import typer

from daemon.cli.exits import Trouble
from daemon.cli.output import Json, document, say, warn
from daemon.cli.parts import command_app
from daemon.cli.pauses import described
from daemon.cli.reach import ForDatabase, database, settings
from daemon.cli.who import operator
from daemon.clock import SystemClock
from daemon.store.pauses import Pause, Pauses
from daemon.store.people import People
from daemon.store.status import Status
from reconciler.model import BridgeName
from reconciler.routes import MAIN

app = command_app()


@app.command()
def reinit(
    *,
    key: Annotated[str | None, typer.Option(help="A key's id, or its first 8 letters.")] = None,
    client: Annotated[str | None, typer.Option(help="A client's name or id.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every active key.")] = False,
    json: Json = False,
) -> None:
    """Ask for keys to be initialized again: those parked as refused too. The daemon does it."""
    if (key is not None) + (client is not None) + everything != 1:
        raise Trouble("say one of --key, --client and --all")
    count, unheld, pauses = anyio.run(_wish, settings(ForDatabase), key, client)
    for bridge in unheld:
        warn(f"no daemon holds the bridge {bridge!r} now; it is done once one does")
    for pause in pauses:
        warn(f"it is done once this ends: {described(pause, SystemClock().now())}")
    if json:
        document({"asked_for": count, "without_holder": unheld})
    elif count:
        say(f"{count} active key(s) will be initialized again, by the daemon.")
    else:
        say("There is no active key to initialize.")


async def _wish(
    wanted: ForDatabase, key: str | None, client: str | None
) -> tuple[int, list[BridgeName], list[Pause]]:
    async with database(wanted.database_url) as engine:
        people = People(engine, operator())
        found = None if key is None else await people.find_key(key)
        if found and not found.is_active:
            raise Trouble(f"key {found.id} is disabled: bridgetender keys enable {found.id}")
        whose = None if client is None else await people.find_client(client)
        count = await people.wish(key_id=found.id if found else None, client_id=whose)
        bridges = await Status(engine).bridges()
        owner, key_id = (found.client_id, found.id) if found else (whose, None)
        pauses = [
            pause
            for pause in await Pauses(engine).all()
            if pause.scope == "bridge" or pause.reaches(bridge="", client_id=owner, key_id=key_id)
        ]
    unheld = [each.bridge for each in bridges if each.holder is None] if bridges else [MAIN]
    return count, unheld, pauses
