"""One engine for the process, and the one place where a database's error becomes ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import asyncpg
from sqlalchemy import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from reconciler.verdicts import StoreError

DRIVER = "postgresql+asyncpg"
THEIRS = "public"
"""The schema of people's tables, always said: the search path may lead elsewhere, to ours for one
where the role is called like it."""

NOT_MIGRATED = ("42P01", "42703", "42883", "3F000")
"""SQLSTATEs: undefined table, column, function, schema."""


def make_engine(url: str, *, pool_size: int = 10, patience: float | None = None) -> AsyncEngine:
    """Return an engine for *url*; any `postgresql://` spelling of the field will do.

    *patience* is how many seconds a statement may take. Parameters never show in an error: they
    may be ciphertexts. Raises StoreError if *url* is not one of PostgreSQL; the message does not
    repeat it, since it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StoreError(_NOT_A_URL) from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise StoreError(_NOT_A_URL)
    return create_async_engine(
        _for_asyncpg(parsed),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
        execution_options={"schema_translate_map": {None: THEIRS}},
        connect_args={
            "timeout": 5,
            "command_timeout": patience,
            "server_settings": {"application_name": "bridgetender"},
        },
    )


def _for_asyncpg(url: URL) -> URL:
    """Say libpq's parameters in asyncpg's words."""
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    unknown = query.keys() - _PARAMETERS
    if unknown:
        raise StoreError(
            f"DATABASE_URL has the parameter {min(unknown)!r}, which is not understood;"
            f" these are: sslmode, {', '.join(sorted(_PARAMETERS))}"
        )
    return url.set(drivername=DRIVER, query=query)


_AWAY = (
    *(SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError),
    *(OSError, TimeoutError),
)
_PARAMETERS = {"host", "port", "ssl", "target_session_attrs"}
_NOT_A_URL = "DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host:5432/database"


async def dispose(engine: AsyncEngine) -> None:
    """Close its connections, also where the caller is being cancelled; a hung one is left."""
    with anyio.move_on_after(5, shield=True):
        await engine.dispose()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction. Raises StoreError for whatever the database does."""
    with storing():
        async with engine.begin() as connection:
            yield connection


@contextmanager
def storing() -> Iterator[None]:
    """Turn what SQLAlchemy, asyncpg and the network raise into StoreError, in one line."""
    try:
        yield
    except DBAPIError as error:
        raise StoreError(first_line(error.orig or error)) from error
    except _AWAY as error:
        raise StoreError(first_line(error)) from error


def first_line(error: BaseException) -> str:
    """Return what an error says, without the driver's adornments."""
    if isinstance(error, TimeoutError):
        return "the database did not answer in time"
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].split(">: ", 1)[-1][:300]


def sqlstate(error: BaseException | None) -> str | None:
    """Return PostgreSQL's code for what went wrong, if it was PostgreSQL that said so."""
    while error is not None:
        cause = getattr(error, "orig", None) or error
        if state := getattr(cause, "sqlstate", None):
            return str(state)
        error = error.__cause__
    return None
