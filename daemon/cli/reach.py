"""Opens what a command needs and no more, and puts into words why it cannot."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code, Trouble
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.reached import with_embedded
from daemon.settings import BadSettings, BridgeSettings, read
from daemon.store.away import away
from daemon.store.engine import dispose, make_engine
from daemon.store.keyring import check_keyring
from daemon.store.people import NoSuchThing
from daemon.vault import Keyring
from reconciler.model import Secret
from reconciler.verdicts import StoreError, Undecryptable

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ForDatabase:
    """Settings of a command that asks the database alone."""

    database_url: Secret


@dataclass(frozen=True, slots=True)
class ForKeys:
    """Settings of a command that reads or writes credentials."""

    database_url: Secret
    keyring: Keyring = field(repr=False)


@dataclass(frozen=True, slots=True)
class ForBridge:
    """Settings of a command that asks the bridges too."""

    database_url: Secret
    bridges: tuple[BridgeSettings, ...]
    state_dir: Path | None = None


@dataclass(frozen=True, slots=True)
class ForAll:
    """Settings of a command that looks at everything."""

    database_url: Secret
    keyring: Keyring = field(repr=False)
    bridges: tuple[BridgeSettings, ...]
    state_dir: Path | None = None


def settings(kind: type[T]) -> T:
    """Return the settings that *kind* has fields for. Raises Trouble that names every mistake."""
    try:
        return read(with_embedded(os.environ), kind)
    except BadSettings as error:
        raise Trouble(f"settings are missing or wrong:\n{error}") from None
    except EmbeddedError as error:
        raise Trouble(str(error), Code.DATABASE) from None


@asynccontextmanager
async def opened(url: Secret) -> AsyncIterator[AsyncEngine]:
    """Yield an engine; the caller hears of StoreError. Raises Trouble for a URL that is none."""
    try:
        engine = make_engine(url.reveal(), pool_size=2)
    except StoreError as error:
        raise Trouble(str(error)) from None
    try:
        yield engine
    finally:
        await dispose(engine)


@asynccontextmanager
async def database(url: Secret) -> AsyncIterator[AsyncEngine]:
    """Yield an engine. What the database does, and what is not in it, ends the command."""
    async with opened(url) as engine:
        try:
            yield engine
        except StoreError as error:
            raise Trouble(away(engine, error), Code.DATABASE) from error
        except NoSuchThing as error:
            raise Trouble(str(error), Code.NOT_FOUND) from None


async def refuse_another_keyring(engine: AsyncEngine, keyring: Keyring) -> None:
    """Raise Trouble if the daemon could not read what *keyring* seals."""
    try:
        await check_keyring(engine, keyring.unseal)
    except Undecryptable:
        raise Trouble(
            "this ENCRYPTION_KEY is not the one this database was set up with; nothing was changed"
        ) from None
