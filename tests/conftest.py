"""What every test may ask for."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server, running_postgres
from daemon.store import schema
from daemon.store.engine import make_engine

TEMPLATE = "migrated"
_numbers = count(1)


def installed(program: str, *, package: str) -> str:
    """Return where *program* is; skip without its Debian package, fail where that is forbidden."""
    return shutil.which(program) or do_without(package)


def do_without(package: str) -> NoReturn:
    """Skip what needs a Debian package that is not here; fail where that is forbidden."""
    if os.environ.get("BRIDGETENDER_SKIPS_FORBIDDEN"):
        pytest.fail(f"the Debian package {package!r} should be here")
    pytest.skip(f"needs the Debian package {package!r}")


def debians_postgres() -> Path:
    """Return the programs of the system's PostgreSQL, which is of another version than ours."""
    installed("pg_createcluster", package="postgresql")
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda found: int(found.parent.name))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(autouse=True)
def no_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed on this machine is none of a test's business."""
    monkeypatch.setenv("BRIDGETENDER_CONFIG", "")
    monkeypatch.setenv("BRIDGETENDER_STATE_DIR", "/nonexistent/bridgetender")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL for the whole session, with a migrated template database."""
    directory = Path(tempfile.mkdtemp(prefix="bridgetender-tests-", dir=fast_place()))
    directory.chmod(0o711)  # pytest's own are closed to the user that serves root
    try:
        with running_postgres(directory / "postgres") as server:
            asyncio.run(_make_template(server))
            yield server
    finally:
        shutil.rmtree(directory)


def fast_place() -> Path | None:
    """Prefer memory: a cluster is a thousand files, and each test has a database of its own."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else None


async def _make_template(server: Server) -> None:
    await server.create_database(TEMPLATE)
    engine = make_engine(server.url(TEMPLATE))
    await schema.migrate(engine)
    await engine.dispose()


@asynccontextmanager
async def own_database(postgres: Server) -> AsyncIterator[str]:
    """Yield the URL of a migrated database that nobody else uses."""
    name = f"test_{next(_numbers)}"
    await postgres.create_database(name, TEMPLATE)
    yield postgres.url(name)
    await postgres.drop_database(name)


@pytest.fixture
async def database_url(postgres: Server) -> AsyncIterator[str]:
    async with own_database(postgres) as url:
        yield url


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()
