"""Our own Trading Bridge on a unix socket, for a daemon that was given none; kept running."""

import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import structlog

from daemon.embedded.children import Child, clean_environment, keep_short
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.home import bridge_log
from daemon.embedded.locks import owned
from daemon.embedded.sockets import short_path
from reconciler.backoff import Backoff

log = structlog.get_logger()

BACKOFF = Backoff(first=timedelta(milliseconds=200), cap=timedelta(seconds=30))
STABLE = 60.0
"""Seconds that it has to last for its next end to count as a first one."""


@asynccontextmanager
async def own_bridge(directory: Path) -> AsyncIterator[None]:
    """Run the bridge below *directory*, at `own_bridge_url`; start it again if it ends.

    Raises EmbeddedError if it cannot be run, or another daemon runs it. It may not answer yet:
    whoever asks it must be ready for that at any time.
    """
    with owned(directory), short_path(directory / "bridge.sock") as socket:
        running = _start(socket, bridge_log(directory))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_keep, running, socket, bridge_log(directory))
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()


def _start(socket: Path, said: Path) -> Child:
    keep_short(said)
    command = [sys.executable, "-m", "bridge", "--uds", str(socket)]
    child = Child.start(command, env=clean_environment(), log=said)
    log.info("bridge_started", pid=child.pid, log=str(said))
    return child


async def _keep(child: Child, socket: Path, said: Path) -> None:
    failures, since = 0, anyio.current_time()
    while True:
        try:
            code = await child.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await child.stop()
        lasted = anyio.current_time() - since
        failures = 1 if lasted > STABLE else failures + 1
        log.error("bridge_ended", pid=child.pid, status=code, lasted_s=round(lasted), log=str(said))
        child = await _again(failures, socket, said)
        since = anyio.current_time()


async def _again(failures: int, socket: Path, said: Path) -> Child:
    while True:
        await anyio.sleep(BACKOFF.delay(failures, random.random).total_seconds())
        try:
            return _start(socket, said)
        except EmbeddedError as error:
            failures += 1
            log.error("bridge_not_started", reason=str(error))  # noqa: TRY400 - it says enough
