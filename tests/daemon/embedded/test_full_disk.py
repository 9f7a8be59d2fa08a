"""A disk that is full is said so; nothing committed is lost, and room is all that is needed."""

# ruff: noqa: ASYNC221  (other processes have no events; a test may block)

import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import asyncpg
import pytest

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.kept import Kept, kept_postgres
from daemon.embedded.postgres import embedded_postgres
from tests.disks import fill, small_disk

pytestmark = pytest.mark.anyio
PATIENCE = 60
FULL = "the disk that holds .* is full: make room on it and start again"


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    with small_disk(home / "disk") as disk:
        yield disk


async def connected(kept: Kept) -> asyncpg.Connection:
    with anyio.fail_after(PATIENCE):
        while True:
            with suppress(OSError, asyncpg.PostgresError):
                return await asyncpg.connect(kept.dsn())
            await anyio.sleep(0.01)


@asynccontextmanager
async def filled(state: Path, disk: Path) -> AsyncIterator[tuple[Kept, int]]:
    """Yield a server on a disk that is full now, and how many rows were committed until then."""
    subprocess.run(["cp", "-a", state, disk / "state"], check=True)
    async with kept_postgres(disk / "state") as kept:
        connection = await connected(kept)
        await connection.execute("CREATE TABLE t (x int, filling bytea)")
        await connection.close()
        fill(disk, leave=1_000_000)
        yield kept, await write_until_it_fails(kept)


async def write_until_it_fails(kept: Kept) -> int:
    """Return how many rows of 8 kB were committed."""
    connection = await connected(kept)
    committed = 0
    with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        while True:
            await connection.execute("INSERT INTO t VALUES ($1, $2)", committed, os.urandom(8000))
            committed += 1
    connection.terminate()
    return committed


async def test_a_first_start_without_room_is_said_and_works_once_there_is(disk: Path) -> None:
    fill(disk)
    with pytest.raises(EmbeddedError, match=FULL):
        async with embedded_postgres(disk / "state"):
            pass
    ballast = fill(disk, leave=10_000_000)
    with pytest.raises(EmbeddedError, match=FULL):  # by initdb
        async with embedded_postgres(disk / "state"):
            pass
    ballast.unlink()
    async with embedded_postgres(disk / "state") as server:
        assert server.ready()


async def test_a_start_without_room_is_said_and_loses_nothing(state: Path, disk: Path) -> None:
    subprocess.run(["cp", "-a", state, disk / "state"], check=True)
    async with kept_postgres(disk / "state") as kept:
        connection = await connected(kept)
        await connection.execute("CREATE TABLE t AS SELECT 7 AS x")
        await connection.close()
    ballast = fill(disk)
    with pytest.raises(EmbeddedError, match=FULL):
        async with embedded_postgres(disk / "state"):
            pass
    ballast.unlink()
    async with kept_postgres(disk / "state") as kept:
        connection = await connected(kept)
        assert await connection.fetchval("SELECT x FROM t") == 7
        await connection.close()


async def test_a_disk_that_fills_up_under_a_server_loses_no_committed_row(
    state: Path, disk: Path
) -> None:
    async with filled(state, disk) as (kept, committed):
        await end_and_find_no_room(kept, disk)
        (disk / "ballast").unlink()
        connection = await connected(kept)
        assert await connection.fetchval("SELECT count(*) FROM t") >= committed > 0
        await connection.execute("INSERT INTO t VALUES (-1)")
        await connection.close()


async def end_and_find_no_room(kept: Kept, disk: Path) -> None:
    """Return once the server has ended and could not start again; what its end frees is taken."""
    with anyio.fail_after(PATIENCE):
        while not re.search(FULL, str(kept.trouble)):
            if kept.trouble is None:
                with suppress(ProcessLookupError):
                    os.kill(kept.server.pid, signal.SIGINT)
            fill(disk)
            await anyio.sleep(0.01)


async def test_a_server_killed_on_a_full_disk_still_has_every_committed_row(
    state: Path, disk: Path
) -> None:
    async with filled(state, disk) as (kept, committed):
        kept.server.kill()
        await kept.server.wait()
        (disk / "ballast").unlink()
        connection = await connected(kept)
        assert await connection.fetchval("SELECT count(*) FROM t") >= committed > 0
        await connection.close()
