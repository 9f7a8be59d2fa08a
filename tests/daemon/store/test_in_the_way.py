"""What can be in the way of a migration: other tables of these names, and people at work."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store import schema
from daemon.store.adopting import CannotMigrate
from daemon.store.away import away
from daemon.store.engine import sqlstate, transaction
from reconciler.verdicts import StoreError
from tests.daemon.house import PATIENCE, House, until
from tests.daemon.store.conftest import Opened
from tests.daemon.store.states import KEY, STATES, make
from tests.daemon.store.test_adoption import rows

pytestmark = pytest.mark.anyio
Asked = Callable[[AsyncEngine], Awaitable[object]]
STORY = next(state for state in STATES if state.name == "updated_at NOT NULL without default")
_CLIENTS = "CREATE TABLE clients (id uuid PRIMARY KEY, name text)"
MISFITS = {
    "CREATE VIEW clients AS SELECT 1 AS id": "public.clients is no table",
    "CREATE TABLE clients (id int PRIMARY KEY, name text)": "public.clients.id is integer",
    "CREATE TABLE clients (id uuid PRIMARY KEY)": "public.clients has no column name",
    f"{_CLIENTS}; CREATE TABLE exchange_api_keys (id uuid, client_id uuid, exchange text,"
    " api_key text)": "public.exchange_api_keys has no column api_secret",
    f"{_CLIENTS}; CREATE TABLE exchange_api_keys (id uuid, client_id uuid, exchange text,"
    " api_key text, api_secret text, is_active int)": "is_active is integer; expected boolean",
}


@pytest.mark.parametrize("made", MISFITS)
async def test_other_tables_of_these_names_are_left_alone_and_said(
    opened: Opened, made: str
) -> None:
    engine = await opened()
    await House(engine).do(*made.split(";"))
    for ask in (schema.migrate, schema.script):
        with pytest.raises(CannotMigrate, match=MISFITS[made]):
            await ask(engine)
    assert await schema.version(engine) is None


OF_CLIENT = "UPDATE public.clients SET tier = 'gold'"


@pytest.mark.parametrize("of_client_first", [True, False])
async def test_who_writes_to_both_tables_meanwhile_is_never_the_victim(
    opened: Opened, *, of_client_first: bool
) -> None:
    engine, other = await opened(), await opened()
    await make(engine, STORY)
    work = [OF_CLIENT, STORY.rotate(KEY, "rotated")]
    first, second = work if of_client_first else reversed(work)
    async with anyio.create_task_group() as tasks, transaction(engine) as backend:
        await backend.execute(text(first))
        tasks.start_soon(schema.migrate, engine)
        await until(lambda: migration_is_stuck(other, engine))
        await backend.execute(text(second))
    assert await schema.version(engine) == schema.newest()
    assert (await rows(engine))[KEY]["api_key"] == "rotated"


async def migration_is_stuck(look: AsyncEngine, engine: AsyncEngine) -> bool:
    async with transaction(look) as connection:
        return bool(await _waiting(connection, str(engine.url.database)))


async def _waiting(connection: AsyncConnection, database: str) -> int:
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = :database"
        " AND wait_event_type = 'Lock' AND query LIKE 'LOCK TABLE public.%'"
    )
    return int((await connection.execute(query, {"database": database})).scalar_one())


async def test_tables_that_are_never_free_are_given_up_with_nothing_changed(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "TRIES", 2)
    engine = await opened()
    await make(engine, STORY)
    async with transaction(engine) as backend:
        await backend.execute(text("SELECT * FROM public.clients"))
        with pytest.raises(StoreError) as caught:
            await schema.migrate(engine)
    assert sqlstate(caught.value) == "55P03"
    assert await schema.version(engine) is None


@pytest.mark.parametrize("ask", [schema.migrate, schema.script])
@pytest.mark.parametrize("locked", ["exchange_api_keys", "clients"])
async def test_tables_that_nobody_may_even_read_are_given_up_and_said_to_be_in_use(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, ask: Asked, locked: str
) -> None:
    monkeypatch.setattr(schema, "TRIES", 2)
    monkeypatch.setattr(schema, "PATIENCE", "50ms")
    engine = await opened()
    await make(engine, STORY)
    with anyio.fail_after(PATIENCE):
        async with transaction(engine) as backend:
            await backend.execute(text(f"LOCK TABLE public.{locked} IN ACCESS EXCLUSIVE MODE"))
            with pytest.raises(StoreError) as caught:
                await ask(engine)
    assert away(engine, caught.value).startswith("others use the tables")
    assert await schema.version(engine) is None


async def test_a_database_of_a_newer_version_keeps_it(engine: AsyncEngine) -> None:
    await House(engine).do(
        "UPDATE bridgetender.alembic_version SET version_num = '9999'",
        "DROP FUNCTION bridgetender.keys()",
    )
    done = await schema.migrate(engine)
    assert (done.before, done.after, done.done) == ("9999", "9999", [])
