"""What every test may ask for."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server, running_postgres
from daemon.store import schema
from daemon.store.engine import make_engine

TEMPLATE = "migrated"
_numbers = count(1)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A real PostgreSQL for the whole session, with a migrated template database."""
    directory = Path(tempfile.mkdtemp(prefix="bridgetender-tests-"))
    directory.chmod(0o711)  # pytest's own are closed to the user that serves root
    try:
        with running_postgres(directory / "postgres") as server:
            asyncio.run(_make_template(server))
            yield server
    finally:
        shutil.rmtree(directory)


async def _make_template(server: Server) -> None:
    await server.create_database(TEMPLATE)
    engine = make_engine(server.url(TEMPLATE))
    await schema.migrate(engine)
    await engine.dispose()


@pytest.fixture
async def database_url(postgres: Server) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    name = f"test_{next(_numbers)}"
    await postgres.create_database(name, TEMPLATE)
    yield postgres.url(name)
    await postgres.drop_database(name)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(database_url)
    yield engine
    await engine.dispose()
