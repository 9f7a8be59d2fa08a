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
    filled: dict[str, Secret] = {}
    async with AsyncExitStack() as stack:
        if settings.database_url == EMBEDDED:
            if settings.keyring is None:
                filled["keyring"] = Secret(require_keyring(state).read_text())
            kept = await stack.enter_async_context(kept_postgres(postgres_directory(state)))
            filled["database_url"] = Secret(kept.url())
            log.info("database_embedded", state=str(state))
            await _migrate(kept.url())
        if any(bridge.url == OURS for bridge in settings.bridges):
            await stack.enter_async_context(own_bridge(_made(state)))
            filled["bridge"] = Secret(own_bridge_url(state))

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


def _filled(wanted: Settings, filled: dict[str, Secret]) -> Settings:
    missing = [
        f"bridge {bridge.name!r}: without a URL it is ours, which starts with the daemon: restart"
        for bridge in wanted.bridges
        if bridge.url == OURS and "bridge" not in filled
    ]
    if wanted.database_url == EMBEDDED and "database_url" not in filled:
        missing.append("DATABASE_URL is gone: an embedded database starts with the daemon: restart")
    if missing:
        raise BadSettings("\n".join(missing))
    address = filled["bridge"].reveal() if "bridge" in filled else OURS
    bridges = tuple(
        replace(bridge, url=address) if bridge.url == OURS else bridge for bridge in wanted.bridges
    )
    if wanted.database_url != EMBEDDED:
        return replace(wanted, bridges=bridges)
    ring = wanted.keyring or keyring(filled["keyring"].reveal())
    return replace(wanted, bridges=bridges, database_url=filled["database_url"], keyring=ring)
