"""`resume`: ends a pause."""

from collections.abc import Sequence

import anyio

from daemon.cli.output import Json, document, say, warn
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
from daemon.cli.who import operator
from daemon.clock import SystemClock
from daemon.store.pauses import Pause, Pauses, Subject

app = command_app()


@app.command()
def resume(
    *,
    everything: Everything = False,
    bridge: OfBridge = None,
    client: OfClient = None,
    key: OfKey = None,
    json: Json = False,
) -> None:
    """End a pause: what it held goes on at once. Each pause is ended by itself."""
    said = one_of(everything=everything, bridge=bridge, client=client, key=key)
    ended, subject, left = anyio.run(_end, settings(ForDatabase), said)
    if json:
        document({"changed": ended, "subject": subject, "pauses": left})
        return
    say(f"{thing(subject)} {'goes on' if ended else 'was not paused'}.")
    for pause in left:
        warn(described(pause, SystemClock().now()))


async def _end(wanted: ForDatabase, said: Said) -> tuple[bool, Subject, Sequence[Pause]]:
    async with database(wanted.database_url) as engine:
        subject, pauses = await subject_of(engine, said), Pauses(engine, operator())
        return await pauses.end(subject), subject, await pauses.all()
