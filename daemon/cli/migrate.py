"""`migrate`: the database's tables."""

from typing import Annotated

import anyio
import typer

from daemon.cli.exits import Code, Trouble
from daemon.cli.output import Json, document, say, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.store import schema
from daemon.store.adopting import CannotMigrate

app = command_app()


@app.command()
def migrate(
    *,
    sql: Annotated[
        bool, typer.Option("--sql", help="Change nothing; print the SQL that would be run.")
    ] = False,
    json: Json = False,
) -> None:
    """Bring the database's tables to this version, and adopt those that are there.

    It may be run again and again, and nothing of others' is ever dropped.
    """
    wanted = settings(ForDatabase)
    if sql:
        typer.echo(anyio.run(_script, wanted))
        return
    done = anyio.run(_migrate, wanted)
    if json:
        document(_document(done))
    else:
        _print(done)


def _document(migration: schema.Migration) -> dict[str, object]:
    return {
        "from": migration.before,
        "to": migration.after,
        "changed": bool(migration.done),
        "missing": [
            {"statement": each.sql, "needs": each.right.what, "cure": each.right.cure}
            for each in migration.missing
        ],
    }


def _print(migration: schema.Migration) -> None:
    before, after = migration.before, migration.after
    for each in migration.missing:
        warn(schema.lacking(each))
    if migration.missing:
        warn(schema.FOR_OWNER)
    if before != after:
        say(f"Migrated the schema: {before or 'nothing'} -> {after}")
    elif migration.done:
        say(f"The schema is at {after} already; {len(migration.done)} statement(s) mended it.")
    else:
        say(f"The schema is at {after} already.")


async def _migrate(wanted: ForDatabase) -> schema.Migration:
    async with database(wanted.database_url) as engine:
        try:
            return await schema.migrate(engine)
        except CannotMigrate as error:
            raise Trouble(f"nothing was changed:\n{error}", Code.DATABASE) from None


async def _script(wanted: ForDatabase) -> str:
    async with database(wanted.database_url) as engine:
        try:
            return await schema.script(engine)
        except CannotMigrate as error:
            raise Trouble(str(error), Code.DATABASE) from None
