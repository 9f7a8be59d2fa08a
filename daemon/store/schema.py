"""Brings a database's tables to this version, and tells which version it has."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import transaction
from daemon.store.tables import SCHEMA

_LOCK = 0x6272_6964_6765
"""Of migrations, so that two at once run one after the other; it ends with the transaction."""
_IS_MIGRATED = text(f"SELECT to_regclass('{SCHEMA}.alembic_version') IS NOT NULL")
_VERSION = text(f"SELECT version_num FROM {SCHEMA}.alembic_version")


async def migrate(engine: AsyncEngine, revision: str = "head") -> tuple[str | None, str | None]:
    """Upgrade to *revision*; return the versions before and after. Raises StoreError."""
    return await _run(engine, command.upgrade, revision)


async def downgrade(engine: AsyncEngine, revision: str) -> tuple[str | None, str | None]:
    """Take our own tables back to *revision*; people's tables stay as they are."""
    return await _run(engine, command.downgrade, revision)


async def version(engine: AsyncEngine) -> str | None:
    """Return the schema's version; None before the first migration. Raises StoreError."""
    async with transaction(engine) as connection:
        return await _version(connection)


def newest() -> str:
    """Return the version that this program brings."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise RuntimeError("no migrations are installed")
    return head


async def _run(
    engine: AsyncEngine, act: Callable[[Config, str], None], revision: str
) -> tuple[str | None, str | None]:
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        before = await _version(connection)
        await connection.run_sync(_act, act, revision)
        return before, await _version(connection)


def _act(connection: Connection, act: Callable[[Config, str], None], revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    act(config, revision)


async def _version(connection: AsyncConnection) -> str | None:
    if not (await connection.execute(_IS_MIGRATED)).scalar_one():
        return None
    found: str | None = (await connection.execute(_VERSION)).scalar()
    return found


def _config() -> Config:
    spec = find_spec("migrations")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package 'migrations' is not installed")
    config = Config()
    config.set_main_option("script_location", str(Path(spec.origin).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
