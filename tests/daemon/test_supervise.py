"""A whole daemon in this process: what it waits for, and what it does not start with."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from anyio import to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from daemon import rounds, supervise
from daemon.embedded.children import clean_environment
from daemon.embedded.postgres import Server
from daemon.settings import BridgeSettings, Settings
from daemon.store import schema
from daemon.store.audit import NOBODY as NOBODY_ACTS
from daemon.store.engine import make_engine, transaction
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of
from daemon.vault import Keyring, new_key
from daemon.web.server import AddressInUse, bind
from daemon.wiring import open_vault
from reconciler.model import Secret
from reconciler.routes import MAIN
from tests.daemon.house import until
from tests.systemd import ALIVE, Systemd

pytestmark = pytest.mark.anyio
NOBODY = "unix:/nonexistent/bridge.sock"
NO_DATABASE = "postgresql://nobody@/nothing?host=/nonexistent"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "LOOK_AT_DATABASE", 0.02)


def settings_for(url: str, keyring: Keyring | None = None) -> Settings:
    return Settings(
        Secret(url),
        keyring=keyring or Keyring([new_key()]),
        bridges=(BridgeSettings(MAIN, NOBODY),),
        health_port=0,
        api_port=0,
    )


@asynccontextmanager
async def daemon(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Run it, yield a client of its health, and stop it as a supervisor would."""
    with capture_logs() as logs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(supervise.run, settings)

            async def listening() -> bool:
                return any(each["event"] == "listening" for each in logs)

            await until(listening)
            url = next(each["health"] for each in logs if each["event"] == "listening")
            async with httpx.AsyncClient(base_url=url, verify=False) as health:
                yield health
            os.kill(os.getpid(), signal.SIGTERM)
    assert [each["event"] for each in logs if each["event"].startswith("stop")] == [
        "stopping",
        "stopped",
    ]


async def answers(health: httpx.AsyncClient, **expected: int) -> None:
    """Wait until each path answers with its status."""

    async def so() -> bool:
        found = {path: (await health.get(path)).status_code for path in expected}
        return found == expected

    await until(so)


async def test_it_starts_without_a_bridge_and_says_so(database_url: str) -> None:
    async with daemon(settings_for(database_url)) as health:
        await answers(health, livez=200, readyz=200, startupz=200, **{"healthz/bridges": 503})


async def test_the_first_token_is_made_where_there_is_none_and_never_again(
    database_url: str, engine: AsyncEngine
) -> None:
    first, other = Secret("f" * 40), Secret("o" * 40)
    settings, tokens = settings_for(database_url), Tokens(engine)
    async with daemon(settings) as health:
        await answers(health, startupz=200)
    assert await tokens.all() == []  # none is there by default
    async with daemon(replace(settings, first_token=first)) as health:
        await answers(health, startupz=200)
    (made,) = await tokens.all()
    assert (made.name, made.role) == ("first", "admin")
    assert await tokens.find(digest_of(first)) == made
    await tokens.revoke("first", NOBODY_ACTS)
    async with daemon(replace(settings, first_token=other)) as health:
        await answers(health, startupz=200)
    assert await tokens.find(digest_of(other)) is None  # what was revoked does not come back so


async def test_it_waits_for_a_schema_and_goes_on_when_it_is_there(postgres: Server) -> None:
    await postgres.create_database("unmigrated")
    url = postgres.url("unmigrated")
    async with daemon(settings_for(url)) as health:
        await answers(health, livez=200, readyz=503, startupz=503, **{"readyz/schema": 503})
        engine = make_engine(url)
        await schema.migrate(engine)
        await engine.dispose()
        await answers(health, livez=200, readyz=200, startupz=200)
    await postgres.drop_database("unmigrated")


async def test_tables_that_others_have_changed_since_are_said_until_they_are_migrated(
    engine: AsyncEngine, database_url: str
) -> None:
    async with daemon(settings_for(database_url)) as health:
        await answers(health, readyz=200)
        async with transaction(engine) as connection:
            await connection.execute(text("ALTER TABLE public.exchange_api_keys DROP label"))
        await answers(health, livez=200, readyz=503, **{"readyz/schema": 503})
        await schema.migrate(engine)
        await answers(health, readyz=200)


async def test_a_schema_newer_than_itself_is_fine(engine: AsyncEngine, database_url: str) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE bridgetender.alembic_version SET version_num='9999'"))
    async with daemon(settings_for(database_url)) as health:
        await answers(health, readyz=200)


async def test_a_schema_older_than_needed_is_waited_for_and_nothing_is_done(
    engine: AsyncEngine, database_url: str
) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE bridgetender.alembic_version SET version_num='0000'"))
    async with daemon(settings_for(database_url)) as health:
        await answers(health, livez=200, readyz=503, startupz=503, **{"readyz/schema": 503})
    assert await count(engine, "leases") == 0
    assert await count(engine, "keyring") == 0


async def count(engine: AsyncEngine, table: str) -> int:
    async with transaction(engine) as connection:
        rows = await connection.execute(text(f"SELECT count(*) FROM bridgetender.{table}"))
        return int(rows.scalar_one())


async def test_with_another_encryption_key_it_acts_on_nothing_and_parks_nobody(
    engine: AsyncEngine, database_url: str
) -> None:
    await open_vault(engine, Keyring([new_key()]))  # another daemon was here before
    async with daemon(settings_for(database_url)) as health:
        await answers(health, livez=200, readyz=503, startupz=503, **{"readyz/keyring": 503})
    assert await count(engine, "leases") == 0


async def test_a_database_that_is_not_there_is_waited_for() -> None:
    async with daemon(settings_for(NO_DATABASE)) as health:
        await answers(health, livez=200, readyz=503, startupz=503, **{"readyz/database": 503})


async def test_systemd_has_no_reason_to_restart_who_waits_for_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Systemd(tmp_path / "notify", watchdog=0.1)) as systemd:
        for name, value in systemd.environment.items():
            monkeypatch.setenv(name, value)
        async with daemon(settings_for(NO_DATABASE)):
            for words in ("READY=1", "STATUS=Waiting: ", ALIVE, "STATUS=Waiting: ", ALIVE):
                await to_thread.run_sync(systemd.hear, words)


async def test_an_address_that_is_taken_is_named_with_its_setting(database_url: str) -> None:
    taken = bind("127.0.0.1", 0, "test")
    settings = replace(settings_for(database_url), health_port=taken.getsockname()[1])
    with pytest.raises(AddressInUse, match="BRIDGETENDER_HEALTH_PORT"):
        await supervise.run(settings)
    with pytest.raises(AddressInUse, match="BRIDGETENDER_HEALTH_HOST"):
        await supervise.run(replace(settings, health_host="192.0.2.1"))
    taken.close()


def test_a_process_with_wrong_settings_names_them_all_and_no_secret() -> None:
    wrong = {
        "ENCRYPTION_KEY": "hunter2-hunter2",
        "BRIDGETENDER_HEALTH_PORT": "ninety",
        "DATABASE_URL": "mysql://root:hunter2@localhost/x",
        "TRADING_BRIDGE_URL": "http://bridge.example",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "daemon"],
        env=clean_environment() | wrong,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    for name in wrong:
        assert name in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr
