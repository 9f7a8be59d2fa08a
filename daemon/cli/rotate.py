"""`rotate`: everything stored under the first key of ENCRYPTION_KEY, so that others can go."""

from collections.abc import Iterable
from uuid import UUID

import anyio
import typer

from daemon.cli.exits import Code
from daemon.cli.output import Json, document, say, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForKeys, database, refuse_another_keyring, settings
from daemon.cli.who import operator
from daemon.store.rotation import Tally, rotate_fingerprint_key, rotate_keys

app = command_app()


@app.command()
def rotate(*, json: Json = False) -> None:
    """Re-encrypt all that is stored with the first key of ENCRYPTION_KEY.

    Every daemon and backend has to know that key before, be it behind another. It may be
    interrupted and run again, and anybody may go on meanwhile. Credentials stay what they are, so
    no connector is touched; labels and flags stay too.

    Exit code: 0 all is under the first key, 1 some rows are not.
    """
    tally = anyio.run(_rotate, settings(ForKeys))
    if json:
        document({name: getattr(tally, name) for name in Tally.__slots__})
    else:
        _print(tally)
    raise typer.Exit(Code.UNSETTLED if tally.unreadable or tally.changing else Code.OK)


async def _rotate(wanted: ForKeys) -> Tally:
    async with database(wanted.database_url) as engine:
        await refuse_another_keyring(engine, wanted.keyring)
        await rotate_fingerprint_key(engine, wanted.keyring.renew, operator())
        tally = Tally()
        async for tally in rotate_keys(engine, wanted.keyring.renew, operator()):
            typer.echo(f"{tally.looked_at:,} keys looked at", err=True)
        return tally


def _print(tally: Tally) -> None:
    say(f"{tally.rewritten} key(s) re-encrypted, {tally.current} were under the first key already.")
    _warn(tally.unreadable, "not readable with this ENCRYPTION_KEY, so left as it is")
    _warn(tally.changing, "changed while it was re-encrypted; run this again")


def _warn(keys: Iterable[UUID], what: str) -> None:
    for key in keys:
        warn(f"key {key}: {what}")
