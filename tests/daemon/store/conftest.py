"""Databases that nobody has migrated, and roles that may not do everything."""

from collections.abc import AsyncIterator
from itertools import count
from typing import Any, Protocol

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store.engine import make_engine, transaction

ROLES = ("shop", "guest")
"""Who owns the tables of the story, and whom the daemon runs as."""
_numbers = count(1)


class Opened(Protocol):
    async def __call__(self, like: AsyncEngine | None = None, role: str = "") -> AsyncEngine:
        """Return an engine of a new, empty database, or of another's; as *role*, if one is said."""
        ...


@pytest.fixture
async def opened(postgres: Server) -> AsyncIterator[Opened]:
    engines: list[AsyncEngine] = []

    async def open_(like: AsyncEngine | None = None, role: str = "") -> AsyncEngine:
        name = str(like.url.database) if like else f"found_{next(_numbers)}"
        if like is None:
            await postgres.create_database(name)
        engine = make_engine(postgres.url(name))
        if role:
            event.listen(engine.sync_engine, "connect", _become(role))
        engines.append(engine)
        return engine

    yield open_
    for engine in engines:
        await engine.dispose()
    for name in {str(engine.url.database) for engine in engines}:
        await postgres.drop_database(name)


def _become(role: str) -> Any:
    def become(connection: Any, _: object) -> None:
        connection.run_async(lambda driver: driver.execute(f"SET SESSION AUTHORIZATION {role}"))

    return become


@pytest.fixture
async def roles(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        for role in ROLES:
            await connection.execute(
                text(
                    f"DO $$ BEGIN CREATE ROLE {role};"
                    " EXCEPTION WHEN duplicate_object THEN NULL; END $$"
                )
            )
