"""The two tables as they are found in the field: adopted with every row, read, and written."""

import subprocess
from typing import Any
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store import schema
from daemon.store.census import KeyCount, count_keys
from daemon.store.engine import transaction
from daemon.store.people import People, SealedEntry
from reconciler.model import KeyId
from tests.conftest import installed
from tests.daemon.house import House
from tests.daemon.store.conftest import Opened
from tests.daemon.store.states import ACME, KEY, OTHER, STATES, State, make

pytestmark = pytest.mark.anyio
NEW = "00000000-0000-4000-8000-00000000000a"
KEY_ID, OTHER_ID, NEW_ID = (KeyId(UUID(each)) for each in (KEY, OTHER, NEW))


@pytest.fixture(params=STATES, ids=lambda state: state.name)
def state(request: pytest.FixtureRequest) -> State:
    found: State = request.param
    return found


@pytest.fixture
async def found(opened: Opened, state: State) -> AsyncEngine:
    """A database in this state."""
    engine = await opened()
    await make(engine, state)
    return engine


async def rows(engine: AsyncEngine) -> dict[str, dict[str, Any]]:
    """Return every row of theirs, by its id."""
    async with transaction(engine) as connection:
        found = await connection.execute(
            text(
                "SELECT id::text, to_jsonb(c) FROM public.clients c"
                " UNION ALL SELECT id::text, to_jsonb(k) FROM public.exchange_api_keys k"
            )
        )
        return {str(id_): row for id_, row in found}


async def ask(engine: AsyncEngine, query: str) -> Any:
    async with transaction(engine) as connection:
        return (await connection.execute(text(query))).all()


async def test_every_row_is_kept_as_it_was_but_for_a_date_that_was_not_there(
    found: AsyncEngine,
) -> None:
    before = await rows(found)
    await schema.migrate(found)
    after = await rows(found)
    assert after.keys() == before.keys()
    for id_, row in before.items():
        undated = row.get("updated_at") is None
        assert {n: v for n, v in after[id_].items() if n in row and n != "updated_at"} == {
            n: v for n, v in row.items() if n != "updated_at"
        }
        assert after[id_]["updated_at"] is not None
        assert undated or after[id_]["updated_at"] == row["updated_at"]


async def test_a_second_migration_has_nothing_to_do(found: AsyncEngine) -> None:
    first = await schema.migrate(found)
    assert first.done
    assert (await schema.migrate(found)).done == []
    assert await schema.script(found) == "-- Nothing is to be done."


async def test_its_keys_become_live_with_the_credentials_that_are_stored(
    found: AsyncEngine,
) -> None:
    await schema.migrate(found)
    house = House(found)
    async with house.running():
        for key in (KEY_ID, OTHER_ID):
            await house.until_live(key)
    assert applied(house) == {"binance": "binance-api_key", "kraken": "kraken-api_key"}
    assert await count_keys(found) == KeyCount(2, 0, null_updated_at=0, dropped=0)
    assert [key.client for key in await house.status.keys()] == ["Acme", "Acme"]


async def test_its_own_backend_goes_on_and_is_understood(found: AsyncEngine, state: State) -> None:
    await schema.migrate(found)
    house = House(found)
    await house.do(
        state.insert(NEW, "okx", updated_at="NULL"),
        state.rotate(KEY, "rotated"),
    )
    async with house.running():
        for key in (KEY_ID, OTHER_ID, NEW_ID):
            await house.until_live(key)
    assert applied(house) == {
        "binance": "rotated",
        "kraken": "kraken-api_key",
        "okx": "okx-api_key",
    }
    written = (await rows(found))[NEW]
    assert written["updated_at"] is not None
    assert written["created_at"] is not None


async def test_what_we_write_is_read_by_us_and_by_its_own_backend(
    found: AsyncEngine, state: State
) -> None:
    await schema.migrate(found)
    people = People(found)
    client = await people.add_client("Birch", {"bridge_account": "birch"})
    added = await people.add_key(client, SealedEntry("okx", "k", "s", "p", is_testnet=True))
    await people.replace(KEY_ID, SealedEntry("binance", "k2", "s2"))
    await people.set_active(OTHER_ID, active=False)
    assert await people.sealed(added) == SealedEntry("okx", "k", "s", "p", is_testnet=True)
    changed = await people.sealed(KEY_ID)
    assert (changed.api_key, changed.api_secret, changed.passphrase or None) == ("k2", "s2", None)
    assert not (await people.sealed(OTHER_ID)).is_active
    theirs = await rows(found)
    assert theirs[str(added)][state.named("api_key")] == "k"
    assert theirs[KEY][state.named("api_key")] == "k2"
    assert {c.name: c.keys for c in await people.clients()} == {"Acme": 2, "Birch": 1}


async def test_updated_at_moves_with_a_row_unless_the_writer_moved_it(found: AsyncEngine) -> None:
    await schema.migrate(found)
    house = House(found)
    old = "SET updated_at = '2001-02-03'"
    await house.do(
        f"UPDATE public.exchange_api_keys {old}",
        f"UPDATE public.clients {old}",
        f"UPDATE public.exchange_api_keys SET exchange = 'okx' WHERE id = '{KEY}'",
        "UPDATE public.clients SET name = 'Acme Ltd'",
    )
    dates = {id_: row["updated_at"][:10] for id_, row in (await rows(found)).items()}
    assert dates[OTHER] == "2001-02-03"
    assert dates[KEY] > "2001-02-03"
    assert dates[ACME] > "2001-02-03"


async def test_the_script_run_by_psql_leads_to_the_same_schema(
    found: AsyncEngine, opened: Opened, state: State, postgres: Server
) -> None:
    copy = await opened()
    await make(copy, state)
    await psql(postgres, copy, await schema.script(found))
    kept = (await rows(found)).keys()
    await schema.migrate(found)
    assert await structure(copy) == await structure(found)
    assert (await rows(copy)).keys() == kept
    assert (await schema.migrate(copy)).done == []


async def test_where_nothing_was_found_the_script_makes_what_migrate_makes(
    engine: AsyncEngine, opened: Opened, postgres: Server
) -> None:
    empty = await opened()
    await psql(postgres, empty, await schema.script(empty))
    assert await structure(empty) == await structure(engine)


async def psql(postgres: Server, engine: AsyncEngine, script: str) -> None:
    program = installed("psql", package="postgresql")
    ran = await anyio.run_process(
        [program, "-qX", "-v", "ON_ERROR_STOP=1", postgres.dsn(str(engine.url.database))],
        input=script.encode(),
        stdout=subprocess.DEVNULL,
    )
    assert not ran.stderr


async def test_two_migrations_at_once_adopt_it_once(found: AsyncEngine) -> None:
    before, done = await rows(found), list[schema.Migration]()

    async def migrate() -> None:
        done.append(await schema.migrate(found))

    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(migrate)
    first, second = done
    assert (first.before, second.before) == (None, schema.newest())
    assert second.done == []
    assert (await rows(found)).keys() == before.keys()


async def structure(engine: AsyncEngine) -> Any:
    """Return what PostgreSQL knows of the tables, functions and triggers."""
    return await ask(
        engine,
        """
SELECT 'column', attrelid::regclass::text, attname::text,
  format_type(atttypid, atttypmod), attnotnull::text || coalesce(pg_get_expr(adbin, adrelid), '')
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
JOIN pg_class c ON c.oid = attrelid
WHERE attnum > 0 AND relnamespace IN ('public'::regnamespace, 'bridgetender'::regnamespace)
UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), ''
FROM pg_constraint WHERE conrelid > 0
  AND connamespace IN ('public'::regnamespace, 'bridgetender'::regnamespace)
UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), tgenabled::text
FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'function', '', proname, pg_get_functiondef(oid), ''
FROM pg_proc WHERE pronamespace = 'bridgetender'::regnamespace
UNION ALL SELECT 'version', '', version_num, '', '' FROM bridgetender.alembic_version
ORDER BY 1, 2, 3, 4""",
    )


def applied(house: House) -> dict[str, str]:
    return {slot.connector: each.api_key for slot, each in house.bridge.connectors.items()}
