"""What a daemon brings along where nothing was set: database, keyring and Trading Bridge."""

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.home import postgres_directory, require_keyring
from daemon.embedded.kept import kept_postgres
from daemon.embedded.own_bridge import own_bridge
from daemon.embedded.reached import own_bridge_url, state_of
from daemon.settings import EMBEDDED, OURS, BadSettings, Settings
from daemon.store import schema
from daemon.store.engine import dispose, make_engine
from daemon.values import keyring
from daemon.vault import Keyring
from reconciler.model import Secret

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Supplied:
    """Settings in which nothing is left open, and how to fill in others like them."""

    settings: Settings
    fill: Callable[[Settings], Settings]
    """Raises BadSettings for what is not there to be filled in."""


@asynccontextmanager
async def supplied(settings: Settings) -> AsyncIterator[Supplied]:
    """Start what *settings* leave open, for as long as the block lasts.

    Raises EmbeddedError, with words for people, and StoreError.
    """
    state = state_of(os.environ)
    filled = _Filled()
    async with AsyncExitStack() as stack:
        if settings.database_url == EMBEDDED:
            if settings.keyring is None:
                filled.keyring_file = require_keyring(state)
            kept = await stack.enter_async_context(kept_postgres(postgres_directory(state)))
            filled.database_url = Secret(kept.url())
            log.info("database_embedded", state=str(state))
            await _migrate(kept.url())
        if any(bridge.url == OURS for bridge in settings.bridges):
            await stack.enter_async_context(own_bridge(_made(state)))
            filled.bridge_url = own_bridge_url(state)

        def fill(wanted: Settings) -> Settings:
            return _filled(wanted, filled)

        yield Supplied(fill(settings), fill)


def _made(state: Path) -> Path:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o711)
    except OSError as error:
        why = error.strerror
        raise EmbeddedError(f"the state directory {state} cannot be made: {why}") from None
    return state


async def _migrate(url: str) -> None:
    """Nobody else migrates a database that only we know of."""
    engine = make_engine(url)
    try:
        await schema.migrate(engine)
    finally:
        await dispose(engine)


@dataclass(slots=True)
class _Filled:
    """What was started, or made; None where the settings had it."""

    database_url: Secret | None = None
    keyring_file: Path | None = None
    bridge_url: str | None = None


def _filled(wanted: Settings, filled: _Filled) -> Settings:
    missing = [
        f"bridge {bridge.name!r}: without a URL it is ours, which starts with the daemon: restart"
        for bridge in wanted.bridges
        if bridge.url == OURS and filled.bridge_url is None
    ]
    if wanted.database_url == EMBEDDED and filled.database_url is None:
        missing.append("DATABASE_URL is gone: an embedded database starts with the daemon: restart")
    if missing:
        raise BadSettings("\n".join(missing))
    bridges = tuple(
        replace(bridge, url=filled.bridge_url or OURS) if bridge.url == OURS else bridge
        for bridge in wanted.bridges
    )
    wanted = replace(wanted, bridges=bridges, keyring=wanted.keyring or _kept_keyring(filled))
    if wanted.database_url == EMBEDDED and filled.database_url is not None:
        return replace(wanted, database_url=filled.database_url)
    return wanted


def _kept_keyring(filled: _Filled) -> Keyring | None:
    """Read the file as it is now: a key may have been put before the one that was made."""
    if filled.keyring_file is None:
        return None
    try:
        return keyring(filled.keyring_file.read_text())
    except (OSError, ValueError) as error:
        raise BadSettings(f"{filled.keyring_file}: {error}") from None
