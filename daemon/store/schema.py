"""Brings a database's tables to this version, and tells which version it has."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar, cast

import anyio
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.adopting import PATIENCE, CannotMigrate, Statement, grants, plan
from daemon.store.engine import NOT_MIGRATED, first_line, sqlstate, transaction
from daemon.store.found import Found, find
from daemon.store.hooks import DROPS
from daemon.store.tables import SCHEMA
from reconciler.verdicts import StoreError

FOR_OWNER = "'bridgetender migrate --sql' prints what is missing, for the owner to run with psql"
TRIES = 10
_IN_USE = "55P03"
_BREATH = 0.3
"""Seconds between two tries, where others use their tables."""
_LOCK = f"SELECT pg_advisory_xact_lock({0x6272_6964_6765})"
"""Of migrations, so that two at once run one after the other; it ends with the transaction."""
_IS_MIGRATED = text(f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NOT NULL")
_READ = text(f"SELECT FROM {SCHEMA}.keys(), {SCHEMA}.clients() LIMIT 0")
_VERSION = text(f"SELECT version_num FROM {SCHEMA}.alembic_version")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Migration:
    """The versions *before* and *after*, what was *done*, and what this role may not do."""

    before: str | None
    after: str | None
    done: Sequence[Statement]
    missing: Sequence[Statement] = ()


async def migrate(engine: AsyncEngine) -> Migration:
    """Bring the database to this version, or change nothing. Raises StoreError, CannotMigrate."""
    return await _patiently(_migrate, engine)


async def script(engine: AsyncEngine) -> str:
    """Return what `migrate` would run, for its owner to run. Raises StoreError, CannotMigrate."""
    return await _patiently(_script, engine)


async def downgrade(engine: AsyncEngine, revision: str) -> Migration:
    """Take our own tables back to *revision*; people's tables stay as they are."""
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(_LOCK)
        before = await _version(connection)
        if revision == "base":
            for sql in DROPS:
                await connection.exec_driver_sql(sql)
        for sql in _revisions(command.downgrade, f"{before}:{revision}") if before else ():
            await connection.exec_driver_sql(sql)
        if revision == "base":
            await connection.exec_driver_sql(f"DROP TABLE IF EXISTS {SCHEMA}.alembic_version")
        return Migration(before, await _version(connection), ())


async def version(engine: AsyncEngine) -> str | None:
    """Return the schema's version; None before the first migration. Raises StoreError."""
    async with transaction(engine) as connection:
        return await _version(connection)


async def unreadable(engine: AsyncEngine) -> str | None:
    """Return why their tables cannot be read any more as they were found, None if they can.

    Raises StoreError.
    """
    try:
        async with transaction(engine) as connection:
            await connection.execute(_READ)
    except StoreError as error:
        if sqlstate(error) in NOT_MIGRATED:
            return f"the tables have changed ({error}): run 'bridgetender migrate'"
        raise
    return None


def newest() -> str:
    """Return the version that this program brings."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("no migrations are installed")
    return head


async def _patiently(work: Callable[[AsyncEngine], Awaitable[T]], engine: AsyncEngine) -> T:
    """Try again where others have locked what it needs, TRIES times in all."""
    for _ in range(TRIES - 1):
        try:
            return await work(engine)
        except StoreError as error:
            if sqlstate(error) != _IN_USE:
                raise
            await anyio.sleep(_BREATH)
    return await work(engine)


async def _script(engine: AsyncEngine) -> str:
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(_waiting_briefly())
        found, _, statements = await _prepare(connection)
    if not statements:
        return "-- Nothing is to be done."
    about = f"-- For database {found.database!r}, and the daemon as the role {found.role!r}.\nBEGIN"
    lines = [about, _waiting_briefly(), _LOCK, *(each.sql for each in statements)]
    if not (found.ours and found.ours.owned) and not all(each.right.held for each in statements):
        lines += grants(found)  # what another makes belongs to it
    return ";\n\n".join([*dict.fromkeys(lines), "COMMIT;"])


async def _migrate(engine: AsyncEngine) -> Migration:
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(_waiting_briefly())
        await connection.exec_driver_sql(_LOCK)
        _, before, statements = await _prepare(connection)
        work = [each for each in statements if each.without is not None]
        missing = [each for each in work if not each.right.held]
        if any(not each.without for each in missing):
            raise CannotMigrate("\n".join([*map(lacking, missing), FOR_OWNER]))
        for each in statements:
            if each.right.held:
                await _run(connection, each)
        done = [each for each in work if each.right.held]
        return Migration(before, await _version(connection), done, missing)


def _waiting_briefly() -> str:
    """Of every lock, from the first look on: a table may be locked against readers, too."""
    return f"SET LOCAL lock_timeout = '{PATIENCE}'"


def lacking(statement: Statement) -> str:
    """Say which right a statement lacks, and what to do."""
    right = statement.right
    without = f"; without it {statement.without}" if statement.without else ""
    return f"{statement.title}: needs {right.what}: {right.cure}{without}"


async def _prepare(connection: AsyncConnection) -> tuple[Found, str | None, list[Statement]]:
    found = await find(connection)
    if found.ours and not found.ours.reached:
        asked = "\n".join(f"{grant};" for grant in grants(found))
        raise CannotMigrate(
            f"this role may not use the schema {SCHEMA}: let {found.ours.owner!r} run\n{asked}"
        )
    before = await _version(connection)
    if before and before > newest():
        return found, before, []  # nor are its functions ours to change
    revisions: Sequence[str] = ()
    if before != newest():
        revisions = _revisions(command.upgrade, f"{before}:head" if before else "head")
    return found, before, plan(found, revisions)


async def _run(connection: AsyncConnection, statement: Statement) -> None:
    try:
        await connection.exec_driver_sql(statement.sql)
    except DBAPIError as error:
        why = first_line(error.orig or error)
        raise StoreError(f"{why}; the statement was: {statement.title}") from error


async def _version(connection: AsyncConnection) -> str | None:
    if not (await connection.execute(_IS_MIGRATED)).scalar_one():
        return None
    found: str | None = (await connection.execute(_VERSION)).scalar()
    return found


class _Sheet(list[str]):
    """Takes down the statements that alembic would run, one by one."""

    def write(self, said: str) -> None:
        sql = said.strip().removesuffix(";")
        if not sql.startswith("--"):
            self.append(sql)

    def flush(self) -> None: ...


def _revisions(act: Callable[..., None], span: str) -> list[str]:
    """Return the SQL of our own tables' revisions, which are made to need no look into them."""
    config, sheet = _config(), _Sheet()
    config.attributes["sheet"] = sheet
    act(config, span, sql=True)
    return cast("list[str]", sheet)


def _config() -> Config:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package 'migrations' is not installed")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
