"""Roles that may not do everything: what is named, what is done, and how the daemon lives."""

from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store import schema
from daemon.store.adopting import CannotMigrate
from daemon.store.engine import transaction
from reconciler.model import ClientId
from tests.daemon.house import House, heard_by, once
from tests.daemon.store.conftest import Opened
from tests.daemon.store.states import ACME, STATES, make
from tests.daemon.store.test_adoption import KEY_ID, NEW, NEW_ID, OTHER_ID, rows

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("roles")]
STORY = next(state for state in STATES if state.name == "updated_at NOT NULL without default")
TABLES = ("public.clients", "public.exchange_api_keys")
UP_TO_DATE = schema.Migration(schema.newest(), schema.newest(), [], [])
READ = tuple(f"GRANT SELECT ON {table} TO guest" for table in TABLES)


async def do(engine: AsyncEngine, *statements: str) -> None:
    async with transaction(engine) as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


@pytest.fixture
async def shop(opened: Opened) -> AsyncEngine:
    """The story's database, seen by who may do everything; the role shop owns the tables."""
    engine = await opened()
    await make(engine, STORY)
    await do(engine, *(f"ALTER TABLE {table} OWNER TO shop" for table in TABLES))
    await do(engine, "GRANT CREATE ON SCHEMA public TO shop")
    return engine


@pytest.fixture
async def guest(shop: AsyncEngine, opened: Opened) -> AsyncEngine:
    """The same database, as the role guest."""
    return await opened(shop, "guest")


async def let_create(shop: AsyncEngine) -> None:
    await do(shop, f"GRANT CREATE ON DATABASE {shop.url.database} TO guest")


async def test_what_is_missing_is_named_one_by_one_and_nothing_is_half_done(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    before = await rows(shop)
    with pytest.raises(CannotMigrate) as caught:
        await schema.migrate(guest)
    said = str(caught.value).splitlines()
    database = shop.url.database
    assert f'CREATE SCHEMA bridgetender: needs CREATE on database "{database}":' in said[0]
    assert f'GRANT CREATE ON DATABASE "{database}" TO "guest"' in said[0]
    for table in TABLES:
        assert any(f'GRANT SELECT ON {table} TO "guest"' in line for line in said)
        assert any(
            line.startswith("CREATE TRIGGER bridgetender_fill") and f"TRIGGER ON {table}" in line
            for line in said
        )
        assert any(
            line.startswith(f"ALTER TABLE {table} ALTER COLUMN updated_at SET DEFAULT")
            and 'the role "shop" has to run it' in line
            for line in said
        )
    async with transaction(shop) as connection:
        made = await connection.execute(text("SELECT to_regnamespace('bridgetender')"))
        assert made.scalar_one() is None
    assert await rows(shop) == before


async def test_a_role_that_may_only_read_makes_our_schema_and_says_what_it_goes_without(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await let_create(shop)
    await do(shop, *READ)
    before = await rows(shop)
    done = await schema.migrate(guest)
    assert done.after == schema.newest()
    assert all(each.without for each in done.missing)
    assert {each.right.cure for each in done.missing} == {
        'the role "shop" has to run it',
        *(f'GRANT TRIGGER ON {table} TO "guest"' for table in TABLES),
    }
    assert await rows(shop) == before
    again = await schema.migrate(guest)
    assert again.done == []
    assert len(again.missing) == len(done.missing)


async def test_without_triggers_the_daemon_lives_by_polling(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await let_create(shop)
    await do(shop, *READ)
    await schema.migrate(guest)
    house, hinted = House(guest), list[bool]()
    async with house.running(), anyio.create_task_group() as tasks:

        async def hear() -> None:
            await heard_by(guest, house.loop.look, hinted.append, poll=0.05)

        tasks.start_soon(hear)
        await house.until_live(KEY_ID)
        await do(shop, STORY.insert(NEW, "okx"))
        await house.until_live(NEW_ID)
        tasks.cancel_scope.cancel()
    assert hinted == [False]


async def test_the_owner_runs_what_is_missing_and_then_hints_come(
    shop: AsyncEngine, guest: AsyncEngine, opened: Opened
) -> None:
    await let_create(shop)
    await do(shop, *READ)
    await schema.migrate(guest)
    await run_script(await schema.script(guest), await opened(shop, "shop"))
    assert await schema.migrate(guest) == UP_TO_DATE
    await heard(guest, shop)


async def test_the_owner_of_everything_runs_all_of_it_for_the_daemon(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await run_script(await schema.script(guest), shop)
    assert await schema.migrate(guest) == UP_TO_DATE
    house = House(guest)
    async with house.running():
        await house.until_live(KEY_ID)
        await house.until_live(OTHER_ID)
    await heard(guest, shop)


async def test_what_a_later_version_adds_is_granted_by_the_owner_who_adds_it(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await run_script(await schema.script(guest), shop)
    await schema.downgrade(shop, "0001")

    await run_script(await schema.script(guest), shop)

    assert await schema.migrate(guest) == UP_TO_DATE
    house = House(guest)
    async with house.running():
        await house.until_live(KEY_ID)
    assert KEY_ID in {each.key_id for each in await house.store.transitions()}


async def test_a_role_that_may_make_triggers_makes_them_itself(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await let_create(shop)
    await do(shop, *READ, *(f"GRANT TRIGGER ON {table} TO guest" for table in TABLES))
    done = await schema.migrate(guest)
    assert {each.right.cure for each in done.missing} == {'the role "shop" has to run it'}
    await do(shop, STORY.insert(NEW, "okx", updated_at="NULL"))
    await heard(guest, shop)


async def test_a_schema_that_another_made_is_said_with_what_its_owner_grants(
    shop: AsyncEngine, guest: AsyncEngine
) -> None:
    await schema.migrate(shop)
    for ask in (schema.migrate, schema.script):
        with pytest.raises(CannotMigrate, match="let 'bridgetender' run") as caught:
            await ask(guest)
    grants = [line.rstrip(";") for line in str(caught.value).splitlines()[1:]]
    await do(shop, *grants)
    assert (await schema.migrate(guest)).missing == []


async def test_a_foreign_writer_needs_no_right_on_our_schema(
    shop: AsyncEngine, opened: Opened
) -> None:
    await schema.migrate(shop)
    await do(shop, *(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {t} TO guest" for t in TABLES))
    writer = await opened(shop, "guest")
    await heard(shop, writer)
    await do(
        writer,
        STORY.insert(NEW, "okx", updated_at="NULL"),
        STORY.rotate(NEW, "k"),
        f"UPDATE public.clients SET name = 'A' WHERE id = '{ACME}'",
        f"DELETE FROM public.exchange_api_keys WHERE id = '{NEW}'",
    )


async def run_script(script: str, owner: AsyncEngine) -> None:
    """Run it as psql would, on one connection."""
    async with owner.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await raw.execute(script)


async def heard(guest: AsyncEngine, writer: AsyncEngine) -> None:
    """Assert that *guest* hears of what *writer* changes, without polling."""
    looked: list[object] = []
    hinted: list[bool] = []
    async with anyio.create_task_group() as tasks:

        async def hear() -> None:
            await heard_by(guest, looked.append, hinted.append, poll=3600)

        tasks.start_soon(hear)
        await once(lambda: hinted == [True])
        await do(writer, f"UPDATE public.exchange_api_keys SET label = 'x' WHERE id = '{KEY_ID}'")
        await once(lambda: looked == [None, frozenset({ClientId(UUID(ACME))})])
        tasks.cancel_scope.cancel()
