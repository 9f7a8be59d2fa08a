"""One statement alone, straight to the driver.

SQLAlchemy's share of a statement's time is longer than PostgreSQL's; a new key waits for two.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import asyncpg
from sqlalchemy import Dialect, TextClause
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import PREPARED, connected, driver_of, new_name

Row = tuple[Any, ...]
_DIALECT: Dialect = dialect()  # type: ignore[no-untyped-call]


async def ask(engine: AsyncEngine, query: TextClause, values: Mapping[str, Any]) -> Sequence[Row]:
    """Run *query*, a transaction of its own; return its rows. Raises StoreError."""
    sql, names = _for_driver(query)
    arguments = [values[name] for name in names]
    async with connected(engine) as connection:
        try:
            return await _fetch(connection, sql, arguments)
        except asyncpg.InvalidCachedStatementError:  # what it was planned for has changed
            connection.info[PREPARED].clear()
            return await _fetch(connection, sql, arguments)


@lru_cache
def _for_driver(query: TextClause) -> tuple[str, Sequence[str]]:
    """Return *query* with numbered parameters, and their names in that order."""
    compiled = query.compile(dialect=_DIALECT)
    return str(compiled), compiled.positiontup or ()


async def _fetch(connection: AsyncConnection, sql: str, arguments: Sequence[Any]) -> Sequence[Row]:
    driver = await driver_of(connection)
    prepared = connection.info.get(PREPARED)
    if prepared is None:
        return cast("Sequence[Row]", await driver.fetch(sql, *arguments))
    if sql not in prepared:
        prepared[sql] = await driver.prepare(sql, name=new_name())
    return cast("Sequence[Row]", await prepared[sql].fetch(*arguments))
