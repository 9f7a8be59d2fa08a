"""Each port's suite runs on its fake and on the real thing."""

from collections.abc import AsyncIterator

import pytest

from daemon.embedded.postgres import Server
from daemon.store.engine import make_engine
from tests.conftest import own_database
from tests.contracts.postgres import PostgresStore
from tests.contracts.stores import Store
from tests.fakes import FakeStore, HandClock


@pytest.fixture(params=["fake", "postgres"])
async def store(request: pytest.FixtureRequest, postgres: Server) -> AsyncIterator[Store]:
    if request.param == "fake":
        yield FakeStore(HandClock())
        return
    async with own_database(postgres) as url:
        engine = make_engine(url)
        yield PostgresStore(engine)
        await engine.dispose()
