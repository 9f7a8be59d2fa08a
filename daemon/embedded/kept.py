"""A PostgreSQL server of our own that is started again whenever it ends."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import structlog

from daemon.embedded.cluster import DATABASE
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.postgres import Server, claimed, served
from reconciler.backoff import Backoff

log = structlog.get_logger()

BACKOFF = Backoff(first=timedelta(milliseconds=200), cap=timedelta(seconds=30))
STABLE = 60.0
"""Seconds that a server has to last for its next end to count as a first one."""


class Kept:
    """The server that runs now, or the last one that did. Its URLs never change."""

    def __init__(self, start: Callable[[], AbstractAsyncContextManager[Server]]) -> None:
        self._start = start
        self._run = AsyncExitStack()
        self._since = 0.0
        self.server: Server
        self.trouble: str | None = None
        """Why no server runs just now, for people; None while one does."""

    def url(self, database: str = DATABASE) -> str:
        """Return what SQLAlchemy connects to."""
        return self.server.url(database)

    def dsn(self, database: str = DATABASE) -> str:
        """Return what asyncpg, psql and libpq connect to."""
        return self.server.dsn(database)

    async def start(self) -> None:
        """Raises EmbeddedError."""
        self.server = await self._run.enter_async_context(self._start())
        self.trouble, self._since = None, anyio.current_time()
        log.info("postgres_started", pid=self.server.pid)

    async def keep(self) -> None:
        """Start the server again, for ever, whenever it has ended."""
        failures = 0
        while True:
            code = await self.server.wait()
            failures = 0 if anyio.current_time() - self._since > STABLE else failures
            self.trouble = str(self.server.failure(f"PostgreSQL has ended (status {code})"))
            log.error("postgres_ended", pid=self.server.pid, reason=self.trouble)
            await self.stop()
            failures = await self._start_again(failures + 1)

    async def stop(self) -> None:
        await self._run.aclose()

    async def _start_again(self, failures: int) -> int:
        """Try until it runs; return how many failures in a row that makes."""
        while True:
            await anyio.sleep(BACKOFF.delay(failures, random.random).total_seconds())
            try:
                await self.start()
            except EmbeddedError as error:
                failures, self.trouble = failures + 1, str(error)
                wait = BACKOFF.plain(failures).total_seconds()
                log.warning("postgres_not_started", reason=str(error), retry_in_s=wait)
            else:
                return failures


@asynccontextmanager
async def kept_postgres(
    directory: Path, *, socket_directory: Path | None = None, binaries: Path | None = None
) -> AsyncIterator[Kept]:
    """Run the server of *directory* for as long as the block lasts, and again whenever it ends.

    The directory stays ours between two runs. Raises EmbeddedError, with words for people, if the
    first start is impossible; later ones are tried again for ever, and logged. What the block
    raises comes out in an exception group.
    """
    with claimed(directory) as home:
        kept = Kept(lambda: served(home, socket_directory, binaries))
        try:
            await kept.start()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(kept.keep)
                yield kept
                tasks.cancel_scope.cancel()
        finally:
            await kept.stop()
