"""Our functions and triggers: they help writers, hinder nobody, and may be taken away."""

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store import schema
from daemon.store.engine import transaction
from daemon.store.hooks import FILLS, HINTS
from tests.daemon.house import House, heard_by, once
from tests.daemon.store.conftest import Opened
from tests.daemon.store.states import ACME, KEY, STATES, make
from tests.daemon.store.test_adoption import KEY_ID, NEW, NEW_ID, OTHER_ID, rows, structure

pytestmark = pytest.mark.anyio
STATE = {state.name: state for state in STATES}
SOON = 0.05


@pytest.fixture
async def found(opened: Opened) -> AsyncEngine:
    """The story's tables with rows, migrated."""
    engine = await opened()
    await make(engine, STATE["right"])
    await schema.migrate(engine)
    return engine


AWAY = {
    "disabled": [f"ALTER TABLE public.{t.table} DISABLE TRIGGER {t.name}" for t in HINTS],
    "one disabled": ["ALTER TABLE public.clients DISABLE TRIGGER bridgetender_hint_update"],
    "only for replicas": [
        "ALTER TABLE public.exchange_api_keys ENABLE REPLICA TRIGGER bridgetender_hint_insert"
    ],
    "dropped": [t.drop for t in (*FILLS, *HINTS)],
}


@pytest.mark.parametrize("away", AWAY)
async def test_triggers_that_go_away_are_replaced_by_polling_until_migrate_mends_them(
    found: AsyncEngine, away: str
) -> None:
    house, hinted = House(found), list[bool]()
    async with house.running(), anyio.create_task_group() as tasks:

        async def hear() -> None:
            await heard_by(found, house.loop.look, hinted.append, poll=SOON)

        tasks.start_soon(hear)
        await house.until_live(KEY_ID)
        await once(lambda: hinted == [True])
        await house.do(*AWAY[away])
        await once(lambda: hinted == [True, False])
        await house.do(STATE["right"].insert(NEW, "okx"))
        await house.until_live(NEW_ID)
        await schema.migrate(found)
        await once(lambda: hinted == [True, False, True])
        tasks.cancel_scope.cancel()


LOST = {
    "updated_at": "ALTER TABLE public.exchange_api_keys DROP COLUMN updated_at",
    "created_at": "ALTER TABLE public.exchange_api_keys DROP COLUMN created_at",
    "client_id": "ALTER TABLE public.exchange_api_keys RENAME client_id TO owner",
    "flags": "ALTER TABLE public.exchange_api_keys DROP is_active, DROP is_testnet",
    "retyped": "ALTER TABLE public.exchange_api_keys ALTER updated_at TYPE date",
}


@pytest.mark.parametrize("lost", LOST)
async def test_whatever_becomes_of_their_tables_no_trigger_fails_a_write_of_theirs(
    found: AsyncEngine, lost: str
) -> None:
    owner = "owner" if lost == "client_id" else "client_id"
    await House(found).do(
        LOST[lost],
        f"INSERT INTO public.exchange_api_keys ({owner}, exchange, api_key, api_secret)"
        f" VALUES ('{ACME}', 'okx', 'k', 's')",
        "UPDATE public.exchange_api_keys SET exchange = 'gate'",
        "DELETE FROM public.exchange_api_keys",
        "TRUNCATE public.clients CASCADE",
    )


async def test_nothing_of_ours_forbids_them_to_alter_their_tables(found: AsyncEngine) -> None:
    await House(found).do(
        "ALTER TABLE public.exchange_api_keys ALTER api_key TYPE varchar(4000)",
        "ALTER TABLE public.exchange_api_keys DROP COLUMN label",
        "ALTER TABLE public.exchange_api_keys RENAME api_secret TO secret",
        "DROP TABLE public.exchange_api_keys",
        "DROP TABLE public.clients",
    )


async def test_explicit_nulls_are_filled_in_where_a_default_would_not_help(
    found: AsyncEngine,
) -> None:
    names = ("created_at", "updated_at", "is_active", "is_testnet")
    await House(found).do(STATE["right"].insert(NEW, "okx", **dict.fromkeys(names, "NULL")))
    written = (await rows(found))[NEW]
    assert (written["is_active"], written["is_testnet"]) == (True, False)
    assert written["created_at"] == written["updated_at"] is not None
    await House(found).do(f"UPDATE public.exchange_api_keys SET updated_at = NULL WHERE id='{NEW}'")
    assert (await rows(found))[NEW]["updated_at"] is not None


async def test_a_writer_that_says_everything_is_not_corrected(found: AsyncEngine) -> None:
    said = {
        "created_at": "'2001-01-01'",
        "updated_at": "'2002-02-02'",
        "is_active": "false",
        "is_testnet": "true",
        "label": "'l'",
    }
    await House(found).do(STATE["right"].insert(NEW, "okx", **said))
    written = (await rows(found))[NEW]
    assert (
        written
        | {
            "created_at": "2001-01-01T00:00:00",
            "updated_at": "2002-02-02T00:00:00",
            "is_active": False,
            "is_testnet": True,
            "label": "l",
        }
        == written
    )


@pytest.mark.parametrize("name", ["api_key", "api_key_encrypted"])
async def test_credentials_that_a_row_has_twice_stay_alike_whoever_changes_them(
    opened: Opened, name: str
) -> None:
    engine = await opened()
    await make(engine, STATE["encrypted beside, alike"])
    await schema.migrate(engine)
    await House(engine).do(
        f"UPDATE public.exchange_api_keys SET {name} = 'new' WHERE id = '{KEY}'",
        f"UPDATE public.exchange_api_keys SET passphrase_encrypted = NULL WHERE id = '{KEY}'",
    )
    row = (await rows(engine))[KEY]
    assert row["api_key"] == row["api_key_encrypted"] == "new"
    assert row["passphrase"] == ""
    assert row["api_secret"] == "binance-api_secret"


async def test_what_a_row_has_under_two_names_not_alike_is_left_alone(opened: Opened) -> None:
    engine = await opened()
    await make(engine, STATE["encrypted beside, alike"])
    await schema.migrate(engine)
    await House(engine).do(
        "ALTER TABLE public.exchange_api_keys DISABLE TRIGGER bridgetender_fill",
        "UPDATE public.exchange_api_keys SET api_key = 'masked'",
        "ALTER TABLE public.exchange_api_keys ENABLE TRIGGER bridgetender_fill",
        "UPDATE public.exchange_api_keys SET api_key_encrypted = 'new'",
    )
    assert (await rows(engine))[KEY]["api_key"] == "masked"


async def test_a_null_flag_means_the_default_and_no_date_the_oldest(opened: Opened) -> None:
    engine = await opened()
    await make(engine, STATE["flags and times NULL"])
    await schema.migrate(engine)
    house = House(engine)
    await house.do(STATE["right"].insert(NEW, "binance", created_at="'1999-01-01'"))
    async with house.running():
        await house.until_standing(
            {
                KEY_ID: ("conflict", "slot_taken"),
                NEW_ID: ("live", "applied"),
                OTHER_ID: ("live", "applied"),
            }
        )


async def test_the_planner_sees_through_the_functions_that_read(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        lines = await connection.execute(
            text(
                "EXPLAIN SELECT * FROM bridgetender.keys() k JOIN bridgetender.clients() c"
                f" ON c.id = k.client_id WHERE k.client_id = '{ACME}'"
            )
        )
        plan = "\n".join(lines.scalars())
    assert "Function Scan" not in plan
    assert "ix_exchange_api_keys_client_id" in plan


async def test_downgrade_and_migrate_again_leave_their_tables_as_they_were(
    found: AsyncEngine,
) -> None:
    before, built = await rows(found), await structure(found)
    await schema.downgrade(found, "base")
    assert await rows(found) == before
    async with transaction(found) as connection:
        left = await connection.execute(
            text(
                "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal UNION ALL"
                " SELECT relname FROM pg_class WHERE relnamespace = 'bridgetender'::regnamespace"
                " UNION ALL SELECT proname FROM pg_proc"
                " WHERE pronamespace = 'bridgetender'::regnamespace"
            )
        )
        assert left.scalars().all() == []
    await schema.migrate(found)
    assert await structure(found) == built
    assert await rows(found) == before
