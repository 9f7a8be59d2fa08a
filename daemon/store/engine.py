"""One engine for the process, and the one place where a database's error becomes ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import Any

import anyio
import asyncpg
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from reconciler.verdicts import StoreError

DRIVER = "postgresql+asyncpg"
_numbers = count()
_READ_ONLY = "25006"
_MAY_ONLY_READ = text("SELECT current_setting('transaction_read_only') = 'on'")
THEIRS = "public"
"""The schema of people's tables, always said: the search path may lead elsewhere, to ours for one
where the role is called like it."""

PREPARED = "prepared"
"""In a connection's `info`: the statements that `direct` prepared, if any may be kept."""

NOT_MIGRATED = ("42P01", "42703", "42883", "3F000")
"""SQLSTATEs: undefined table, column, function, schema."""


def make_engine(
    url: str,
    *,
    pool_size: int = 10,
    patience: float | None = None,
    name: str = "DATABASE_URL",
) -> AsyncEngine:
    """Return an engine for *url*; any `postgresql://` spelling of the field will do.

    *patience* is how many seconds a statement may take, *name* the URL's setting. Parameters never
    show in an error: they may be ciphertexts. Raises StoreError if *url* is not one of PostgreSQL;
    the message does not repeat it, since it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise StoreError(f"{name} {_NOT_A_URL}") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise StoreError(f"{name} {_NOT_A_URL}")
    engine = create_async_engine(
        _for_asyncpg(parsed, name),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=10,
        pool_use_lifo=True,  # the one that ran last has its plans and caches at hand
        hide_parameters=True,
        execution_options={"schema_translate_map": {None: THEIRS}},
        connect_args={
            "timeout": 5,
            "command_timeout": patience,
            "statement_cache_size": 0,  # SQLAlchemy has its own; see _beware_of_poolers
            "prepared_statement_name_func": new_name,
            "server_settings": {"application_name": "bridgetender"},
        },
    )
    event.listen(engine.sync_engine, "connect", _beware_of_poolers, insert=True)
    event.listen(engine.sync_engine, "checkout", _require_open)
    return engine


def new_name() -> str:
    """Return a name for a prepared statement that no other has."""
    return f"bridgetender_{next(_numbers)}"


def _beware_of_poolers(connection: Any, record: Any) -> None:
    """Keep no prepared statements where another server process may run the next transaction.

    A pooler such as PgBouncer makes up the process id that a client is told at login. asyncpg,
    without a cache, prepares a nameless statement in the very message that runs it.
    """
    kept = [getattr(connection, name) for name in _OF_STATEMENTS]
    _set(connection, None, str)  # no cache; prepared without a name
    cursor = connection.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (pid,) = cursor.fetchone()
    cursor.close()
    connection.rollback()
    if pid == connection.driver_connection.get_server_pid():
        _set(connection, *kept)
        record.info[PREPARED] = {}
        _plan_once(connection)


def _plan_once(connection: Any) -> None:
    """Let statements be planned once: anew for each array takes longer than running them."""
    cursor = connection.cursor()
    cursor.execute("SET plan_cache_mode = force_generic_plan")
    cursor.close()
    connection.commit()


def _set(connection: Any, *values: object) -> None:
    for name, value in zip(_OF_STATEMENTS, values, strict=True):
        setattr(connection, name, value)


_OF_STATEMENTS = ("_prepared_statement_cache", "_prepared_statement_name_func")
"""SQLAlchemy takes both for all connections of an engine only; a test holds them in place."""


def _require_open(connection: Any, _record: object, _proxy: object) -> None:
    """Let the pool replace what the server has closed, as at a restart, before it is used."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError("the server closed the connection")


def _for_asyncpg(url: URL, name: str) -> URL:
    """Say libpq's parameters in asyncpg's words."""
    query = dict(url.query)
    if "sslmode" in query:
        query["ssl"] = query.pop("sslmode")
    if query.get("ssl", "prefer") not in _SSL_MODES:
        raise StoreError(f"{name} has an sslmode that is none of {', '.join(_SSL_MODES)}")
    unknown = query.keys() - _PARAMETERS
    if unknown:
        raise StoreError(
            f"{name} has the parameter {min(unknown)!r}, which is not understood;"
            f" these are: sslmode, {', '.join(sorted(_PARAMETERS))}"
        )
    return url.set(drivername=DRIVER, query=query)


_AWAY = (
    *(SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError),
    *(asyncpg.InternalClientError, OSError, TimeoutError),
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_PARAMETERS = {"host", "port", "ssl", "target_session_attrs"}
_NOT_A_URL = "is not a PostgreSQL URL: postgresql://user:password@host:5432/database"


async def dispose(engine: AsyncEngine) -> None:
    """Close its connections, also where the caller is being cancelled; a hung one is left."""
    with anyio.move_on_after(5, shield=True):
        await engine.dispose()


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection in a transaction. Raises StoreError for whatever the database does."""
    async with connected(engine) as connection, connection.begin():
        yield connection


class Unsure(StoreError):
    """The database went away while it was asked to commit: it may have done so, or not."""


@asynccontextmanager
async def changing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield one for a change. Raises Unsure, and any other StoreError if nothing was changed."""
    committing = False
    try:
        async with transaction(engine) as connection:
            yield connection
            committing = True
    except StoreError as error:
        if committing:
            raise Unsure(str(error)) from error
        raise


async def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """Return asyncpg's connection below SQLAlchemy's."""
    raw = (await connection.get_raw_connection()).driver_connection
    if not isinstance(raw, asyncpg.Connection):
        raise StoreError("the database is reached through another driver than asyncpg")
    return raw


@asynccontextmanager
async def connected(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Yield a connection. Raises StoreError for whatever the database does.

    One that may only read is not used again: where it leads to, or what it was told when it began,
    may have changed. Nor is one whose server has said its last word while nobody asked: to asyncpg
    it is open until it is closed, and in disorder.
    """
    with storing():
        async with engine.connect() as connection:
            try:
                yield connection
            except asyncpg.InternalClientError as error:
                await connection.invalidate(error)
                raise
            except (DBAPIError, asyncpg.PostgresError) as error:
                if sqlstate(error) == _READ_ONLY:
                    await connection.invalidate(error)
                raise


async def require_writable(engine: AsyncEngine) -> None:
    """Raise StoreError if the database is away, or takes no writes."""
    async with transaction(engine) as connection:
        if (await connection.execute(_MAY_ONLY_READ)).scalar_one():
            await connection.invalidate()
            raise StoreError("the database is read-only")


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
    if isinstance(error.__cause__ or error, asyncpg.InternalClientError):
        # whose own words are of asyncpg's states
        return "the database was ending the connection"
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
