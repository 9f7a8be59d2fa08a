"""`keys import`: many keys from a file, each row with what became of it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import anyio
import typer

from daemon.cli.exits import Code
from daemon.cli.output import Json, document, say, table
from daemon.cli.reach import ForKeys, database, refuse_another_keyring, settings
from daemon.cli.who import operator
from daemon.entry import BadEntry
from daemon.importing import Row, rows_of
from daemon.intake import Intake, Outcome, counts
from daemon.store.people import People

_LARGEST = 16 * 1024 * 1024
_WORDS = {
    "added": "added",
    "would_be_added": "to be added",
    "duplicate": "there already",
    "invalid": "not usable",
    "failed": "not stored",
}


def import_(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|-", help="CSV or JSON; - is stdin.", show_default=False),
    ],
    *,
    client: Annotated[
        str | None, typer.Option(help="Whose all of them are; else each row names its client.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of each row; store nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Store many keys: good rows are stored, of the others is said what is wrong with them.

    A CSV's first row names its columns, a JSON is a list of objects with the same names: client,
    exchange, api_key, api_secret, passphrase, label, is_testnet. What is there already is skipped,
    so the same file can be imported again. Exit code: 1 if a row was not usable or not stored.
    """
    rows = rows_of(_text(source))
    outcomes = anyio.run(_take, settings(ForKeys), rows, client, dry_run)
    if json:
        document({"dry_run": dry_run, "counts": counts(outcomes), "rows": outcomes})
    else:
        _print(outcomes)
    bad = any(each.state in ("invalid", "failed") for each in outcomes)
    raise typer.Exit(Code.UNSETTLED if bad else Code.OK)


def _print(outcomes: Sequence[Outcome]) -> None:
    """Print what is not as it was meant to be, and a sum."""
    told = [each for each in outcomes if each.state != "added"]
    if told:
        headings = ("Row", "Client", "Exchange", "State", "Why")
        cells = ((each.client or "", each.exchange or "") for each in told)
        table(
            headings,
            [
                (str(each.row), *named, _WORDS[each.state], each.words)
                for each, named in zip(told, cells, strict=True)
            ],
        )
    found = counts(outcomes)
    say(", ".join(f"{count} {_WORDS[state]}" for state, count in found.items()) or "no rows")


def _text(source: Path) -> str:
    try:
        if str(source) == "-":
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with source.open("rb") as file:
                data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name cannot be a file's"
        raise BadEntry(f"import: {str(source)!r} cannot be read: {why}") from None
    if len(data) > _LARGEST:
        raise BadEntry(f"import: more than {_LARGEST:,} bytes are too much at once")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadEntry("import: is not UTF-8 text") from None


async def _take(
    wanted: ForKeys,
    rows: Sequence[Row],
    client: str | None,
    dry_run: bool,  # noqa: FBT001
) -> list[Outcome]:
    from daemon.cli.needs import needs  # noqa: PLC0415 - costs a second, and few commands need it

    async with database(wanted.database_url) as engine:
        await refuse_another_keyring(engine, wanted.keyring)
        only = None if client is None else await People(engine).find_client(client)
        async with needs() as lacking:
            intake = Intake(engine, wanted.keyring, operator(), lacking)
            return await intake.take(rows, only, dry_run=dry_run)
