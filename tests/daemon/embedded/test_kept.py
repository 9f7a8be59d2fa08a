"""A server that is killed again and again comes back each time, until nobody wants it."""

# ruff: noqa: ASYNC110  (the servers are other processes, which have no events)

from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from anyio.lowlevel import checkpoint
from structlog.testing import capture_logs

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.kept import Kept, kept_postgres
from daemon.embedded.postgres import embedded_postgres
from tests.daemon.embedded.test_postgres import is_free, stopped_cleanly

pytestmark = pytest.mark.anyio
PATIENCE = 60


async def run(kept: Kept, statement: str) -> Any:
    connection = await asyncpg.connect(kept.dsn())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def started(state: Path) -> int:
    return (state / "server.log").read_text().count("starting PostgreSQL")


async def until_another_than(kept: Kept, pid: int) -> None:
    with anyio.fail_after(PATIENCE):
        while kept.server.pid == pid:
            await anyio.sleep(0.01)


async def test_a_killed_server_comes_back_with_its_rows_at_the_same_url(state: Path) -> None:
    with capture_logs() as logged:
        async with kept_postgres(state) as kept:
            url = kept.url()
            await run(kept, "CREATE TABLE t (x int)")
            for number in range(3):
                await run(kept, f"INSERT INTO t VALUES ({number})")
                pid = kept.server.pid
                kept.server.kill()
                await until_another_than(kept, pid)
                assert kept.trouble is None
                assert kept.url() == url
            assert await run(kept, "SELECT array_agg(x ORDER BY x) FROM t") == [0, 1, 2]
    events = [entry["event"] for entry in logged]
    assert events == ["postgres_started", *["postgres_ended", "postgres_started"] * 3]
    assert is_free(state)
    assert stopped_cleanly(state)


async def test_the_directory_stays_ours_between_two_runs(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept_postgres(state) as kept:
        monkeypatch.setattr(kept, "start", anyio.sleep_forever)
        kept.server.kill()
        with anyio.fail_after(PATIENCE):
            while not is_free(state):
                await anyio.sleep(0.01)
        assert "has ended (status 137)" in str(kept.trouble)
        with pytest.raises(EmbeddedError, match="is in use by process"):
            async with embedded_postgres(state):
                pass


async def test_a_server_that_cannot_start_again_is_tried_until_it_can(state: Path) -> None:
    settings = state / "data/postgresql.conf"
    good = settings.read_text()
    with capture_logs() as logged:
        async with kept_postgres(state) as kept:
            settings.write_text(good + "no_such_thing = 1\n")
            pid = kept.server.pid
            kept.server.kill()
            with anyio.fail_after(PATIENCE):
                while [entry["event"] for entry in logged].count("postgres_not_started") < 2:
                    await anyio.sleep(0.01)
            assert 'parameter "no_such_thing"' in str(kept.trouble)
            settings.write_text(good)
            await until_another_than(kept, pid)
            assert await run(kept, "SELECT 1") == 1
    waits = [entry["retry_in_s"] for entry in logged if "retry_in_s" in entry]
    assert waits[1] == 2 * waits[0]


async def test_a_first_start_that_fails_says_why(state: Path) -> None:
    with (state / "data/postgresql.conf").open("a") as settings:
        settings.write("no_such_thing = 1\n")
    with pytest.raises(EmbeddedError, match=r'did not start: .*parameter "no_such_thing"'):
        async with kept_postgres(state):
            pass
    assert is_free(state)


async def test_it_is_never_started_again_while_it_stops(state: Path) -> None:
    async with kept_postgres(state) as kept:
        starts = started(state)
        kept.server.kill()
        await kept.server.wait()
    assert started(state) == starts
    assert is_free(state)


async def test_a_stop_in_the_middle_of_a_restart_leaves_no_process(state: Path) -> None:
    async with kept_postgres(state) as kept:
        starts = started(state)
        kept.server.kill()
        with anyio.fail_after(PATIENCE):
            while started(state) == starts:
                await checkpoint()
    assert is_free(state)
