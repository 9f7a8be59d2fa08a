"""`migrate`: the database's tables."""

import anyio

from daemon.cli.output import Json, document, say
from daemon.cli.parts import command_app
from daemon.cli.reach import ForDatabase, database, settings
from daemon.store import schema

app = command_app()


@app.command()
def migrate(*, json: Json = False) -> None:
    """Bring the database's tables to this version. It may be run again and again."""
    before, after = anyio.run(_migrate, settings(ForDatabase))
    if json:
        document({"from": before, "to": after, "changed": before != after})
    elif before == after:
        say(f"The schema is at {after} already.")
    else:
        say(f"Migrated the schema: {before or 'nothing'} -> {after}")


async def _migrate(wanted: ForDatabase) -> tuple[str | None, str | None]:
    async with database(wanted.database_url) as engine:
        return await schema.migrate(engine)
