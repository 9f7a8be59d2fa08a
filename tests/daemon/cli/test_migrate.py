"""`migrate` as a person meets it: what it says, prints and refuses."""

import json
import subprocess
from collections.abc import AsyncIterator

import anyio
import pytest

from daemon.cli.exits import Code
from daemon.embedded.postgres import Server
from daemon.store import schema
from daemon.store.engine import make_engine
from tests.conftest import installed
from tests.daemon.cli.conftest import Cli
from tests.daemon.house import House

pytestmark = pytest.mark.anyio
NEWEST = schema.newest()
TABLES = (
    "CREATE TABLE clients (id uuid PRIMARY KEY, name text NOT NULL, status text NOT NULL)",
    """CREATE TABLE exchange_api_keys (id uuid PRIMARY KEY, client_id uuid REFERENCES clients,
    exchange text, api_key text, api_secret text, updated_at timestamp NOT NULL)""",
)


@pytest.fixture
async def house(postgres: Server, environment: dict[str, str | None]) -> AsyncIterator[House]:
    """A database of someone's, which the commands are pointed at."""
    await postgres.create_database("someones")
    environment["DATABASE_URL"] = postgres.url("someones")
    engine = make_engine(postgres.url("someones"))
    house = House(engine)
    await house.do(*TABLES)
    yield house
    await engine.dispose()
    await postgres.drop_database("someones")


async def test_the_sql_that_is_printed_changes_nothing_until_psql_runs_it(
    house: House, cli: Cli, postgres: Server
) -> None:
    psql = installed("psql", package="postgresql")
    await house.do("ALTER TABLE public.clients ADD COLUMN theirs text")
    printed = await cli("migrate", "--sql")
    assert printed.exit_code == Code.OK
    assert (await cli("status")).exit_code == Code.DATABASE
    await anyio.run_process(
        [psql, "-qX", "-v", "ON_ERROR_STOP=1", postgres.dsn("someones")],
        input=printed.stdout.encode(),
        stdout=subprocess.DEVNULL,
    )
    assert (await cli("status")).exit_code == Code.OK
    assert (await cli("migrate")).output == f"The schema is at {NEWEST} already.\n"
    assert (await cli("migrate", "--sql")).output == "-- Nothing is to be done.\n"


async def test_what_was_undone_since_is_mended_and_said(house: House, cli: Cli) -> None:
    await cli("migrate")
    await house.do("DROP TRIGGER bridgetender_fill ON public.clients")
    mended = await cli("migrate")
    assert mended.output == f"The schema is at {NEWEST} already; 1 statement(s) mended it.\n"


async def test_a_role_without_rights_is_told_each_and_changes_nothing(
    house: House, cli: Cli
) -> None:
    await become_guest(house)
    refused = await cli("migrate")
    assert refused.exit_code == Code.DATABASE
    assert "nothing was changed:\n" in refused.output
    assert 'GRANT CREATE ON DATABASE "someones" TO "visitor"' in refused.output
    assert "'bridgetender migrate --sql' prints what is missing" in refused.output
    printed = await cli("migrate", "--sql")
    assert printed.exit_code == Code.OK
    assert 'GRANT USAGE ON SCHEMA bridgetender TO "visitor";' in printed.output


async def test_a_role_that_may_not_make_triggers_is_warned_and_goes_on(
    house: House, cli: Cli
) -> None:
    await cli("migrate")
    await house.do(
        "DROP TRIGGER bridgetender_hint_insert ON public.exchange_api_keys",
        "ALTER SCHEMA bridgetender OWNER TO bridgetender",
    )
    await become_guest(house)
    await house.do(
        "GRANT USAGE ON SCHEMA bridgetender TO visitor",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA bridgetender TO visitor",
        "GRANT SELECT ON public.clients, public.exchange_api_keys TO visitor",
    )
    warned = await cli("migrate")
    assert warned.exit_code == Code.OK
    assert "Warning: CREATE TRIGGER bridgetender_hint_insert" in warned.stderr
    assert "without it the daemon looks at the tables every 5 s" in warned.stderr
    assert warned.stdout == f"The schema is at {NEWEST} already.\n"
    said = json.loads((await cli("migrate", "--json")).stdout)
    assert [each["needs"] for each in said["missing"]] == ["TRIGGER on public.exchange_api_keys"]


async def test_tables_of_these_names_that_are_others_are_said(house: House, cli: Cli) -> None:
    await house.do("ALTER TABLE public.clients DROP COLUMN name")
    for args in (["migrate"], ["migrate", "--sql"]):
        refused = await cli(*args)
        assert refused.exit_code == Code.DATABASE
        assert "public.clients has no column name: it is not the table we know" in refused.output


async def become_guest(house: House) -> None:
    """Whoever logs in from now on may do nothing yet; this house still may."""
    await house.do(
        "DO $$ BEGIN CREATE ROLE visitor; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "ALTER ROLE bridgetender IN DATABASE someones SET role = visitor",
    )
