"""`pause`: what it reaches is left as it is, until `resume`."""

from typing import Annotated

import anyio
import typer

from daemon.cli.output import Json, document, say
from daemon.cli.parts import command_app
from daemon.cli.pauses import (
    Everything,
    OfBridge,
    OfClient,
    OfKey,
    Said,
    described,
    one_of,
    subject_of,
    thing,
)
from daemon.cli.reach import ForDatabase, database, settings
from daemon.cli.who import operator, user
from daemon.clock import SystemClock
from daemon.entry import remark
from daemon.store.pauses import Pause, Pauses

app = command_app()


@app.command()
def pause(
    *,
    everything: Everything = False,
    bridge: OfBridge = None,
    client: OfClient = None,
    key: OfKey = None,
    reason: Annotated[str, typer.Option(help="Why, for those who wonder.")] = "",
    by: Annotated[str | None, typer.Option(help="Who says so, if not the present user.")] = None,
    json: Json = False,
) -> None:
    """Leave connectors as they are: nothing is started, verified or removed until `resume`.

    What is under way ends. A bridge is still asked what it lists. What is paused already stays so,
    as it was.
    """
    said = one_of(everything=everything, bridge=bridge, client=client, key=key)
    who = remark("by", by or user())
    why = remark("reason", reason) if reason else ""
    begun, found = anyio.run(_begin, settings(ForDatabase), said, who, why)
    if json:
        document({"changed": begun, "pause": found})
    elif begun:
        say(f"{thing(found)} is paused.")
    else:
        say(f"Already so. {described(found, SystemClock().now())}")


async def _begin(wanted: ForDatabase, said: Said, by: str, reason: str) -> tuple[bool, Pause]:
    async with database(wanted.database_url) as engine:
        subject, pauses = await subject_of(engine, said), Pauses(engine, operator())
        begun = await pauses.begin(subject, by, reason)
        (found,) = [p for p in await pauses.all() if (p.scope, p.id) == (subject.scope, subject.id)]
        return begun, found
