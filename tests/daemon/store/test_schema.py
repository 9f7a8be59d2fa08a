import re

import anyio
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store import schema
from daemon.store.engine import make_engine
from daemon.store.tables import SCHEMA, clients, ours, theirs
from reconciler.model import Phase
from tests.daemon.house import House, until

pytestmark = pytest.mark.anyio


def _differences(connection: Connection) -> list[object]:
    """Compare as a role would whose default schema is public, as PostgreSQL's usually is."""
    connection.execute(text("SET search_path TO public"))
    connection.dialect.default_schema_name = "public"
    both = MetaData()
    for table in (*theirs.tables.values(), *ours.tables.values()):
        table.to_metadata(both)
    options = {
        "include_schemas": True,
        "compare_server_default": True,
        "version_table_schema": SCHEMA,
        "include_name": lambda name, kind, _: kind != "schema" or name in (None, SCHEMA),
    }
    context = MigrationContext.configure(connection, opts=options)
    differences: list[object] = compare_metadata(context, both)
    return differences


async def test_the_migrated_schema_and_the_model_are_equal(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_a_difference_between_model_and_schema_would_be_seen(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE public.clients DROP COLUMN tier"))
        await connection.execute(text("DROP INDEX bridgetender.ix_connectors_lane"))
        assert len(await connection.run_sync(_differences)) == 2


async def test_upgrade_downgrade_and_upgrade_again_lose_no_key(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO public.clients (name) VALUES ('Acme')"))
        await connection.execute(
            text(
                "INSERT INTO public.exchange_api_keys (client_id, exchange, api_key, api_secret)"
                " SELECT id, 'binance', 'k', 's' FROM public.clients"
            )
        )
    down = await schema.downgrade(engine, "base")
    assert (down.before, down.after) == (schema.newest(), None)
    up = await schema.migrate(engine)
    assert (up.before, up.after) == (None, schema.newest())
    async with engine.connect() as connection:
        kept = await connection.execute(
            text("SELECT count(*), count(updated_at) FROM public.exchange_api_keys")
        )
        assert kept.one() == (1, 1)
        assert await connection.run_sync(_differences) == []


async def test_a_step_back_and_up_again_loses_no_record_and_what_moves_then_is_told(
    engine: AsyncEngine,
) -> None:
    house = House(engine)
    key = await house.world.add_key(await house.world.add_client("Acme"), "binance")
    async with house.running():
        await house.until_live(key)

    await schema.downgrade(engine, "0001")
    up = await schema.migrate(engine)

    assert (up.before, up.after) == ("0001", schema.newest())
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []
    assert [attempt.key_id for attempt in await house.store.attempts()] == [key]
    assert await house.standing() == {key: ("live", "applied")}
    assert not await house.store.transitions()
    async with house.running():
        await house.world.set_key_active(key, active=False)
        await until_told(house, Phase.REMOVED)


async def test_what_an_older_daemon_writes_is_as_it_was_in_a_newer_schema() -> None:
    """A revision after the first adds tables, and columns that may be left out."""
    config, optional = schema._config(), r"\w+( DEFAULT '\w+' NOT NULL)?$"
    added = rf"ALTER TABLE bridgetender\.\w+ ADD COLUMN \w+ {optional}"
    harmless = re.compile(rf"CREATE|DROP INDEX|UPDATE bridgetender.alembic_version|{added}")
    for revision in ScriptDirectory.from_config(config).walk_revisions():
        if revision.down_revision:
            span = f"{revision.down_revision}:{revision.revision}"
            for sql in schema._revisions(command.upgrade, span):
                assert harmless.match(sql)


async def test_two_migrations_at_once_are_harmless(postgres: Server) -> None:
    await postgres.create_database("two_at_once")
    engine = make_engine(postgres.url("two_at_once"))
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(schema.migrate, engine)
    assert await schema.version(engine) == schema.newest()
    await engine.dispose()
    await postgres.drop_database("two_at_once")


async def test_updated_at_fills_itself_and_moves_with_the_row(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO public.clients (name) VALUES ('Acme')"))
        await connection.execute(text("UPDATE public.clients SET updated_at = '2020-01-01'"))
        await connection.execute(clients.update().values(name="Acme Ltd"))
        changed = await connection.execute(
            text("SELECT updated_at > '2020-01-02' FROM public.clients")
        )
        assert changed.scalar_one()


async def until_told(house: House, phase: Phase) -> None:
    async def told() -> bool:
        return phase in {each.phase for each in await house.store.transitions()}

    await until(told)
