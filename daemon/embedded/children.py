"""Start other programs so that none of them outlives us, whatever ends us.

Each runs below a `guard`, which holds the other end of a pipe of ours. Waiting is reading that
guard's output to its end: no child watcher, no thread, the same on every event loop.
"""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Self

import anyio

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.users import User

GUARD = Path(__file__).with_name("guard.py")
LOG_LIMIT = 10_000_000
"""Bytes."""
HARMLESS = (
    *("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "LD_LIBRARY_PATH"),
)


def clean_environment(source: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what any program may know. Proxies are left out: their URLs carry passwords."""
    return {name: source[name] for name in HARMLESS if name in source}


def keep_short(log: Path) -> None:
    """Let a long log begin anew, beside one old one; it is for our eyes only."""
    if log.exists() and log.stat().st_size > LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
    log.touch(mode=0o600)


class Child:
    """A command that runs below its guard. `pid` is the command's own."""

    def __init__(self, guard: subprocess.Popen[bytes], pid: int) -> None:
        self.pid = pid
        self._guard = guard
        self._one_waiter = anyio.Lock()  # a descriptor can be watched by one task at a time

    @classmethod
    def start(  # noqa: PLR0913  (what a process has)
        cls,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str],
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: timedelta = timedelta(seconds=10),
        user: User | None = None,
        directory: Path | None = None,
        keep_open: Sequence[int] = (),
    ) -> Self:
        """Return once the command runs (some 20 ms). Raise EmbeddedError if it cannot be run.

        `env` is complete (Python itself adds LC_CTYPE if it names no locale). Output is appended to
        `log`. The descriptors in `keep_open` stay open in the guard and the command.
        """
        guard = _guard(
            *(str(int(stop_signal)), str(grace.total_seconds())),
            *(f"{user.uid}:{user.gid}" if user else "-", str(directory or "/")),
            *map(str, command),
            env=env,
            log=log,
            keep_open=keep_open,
        )
        answer = _pipes(guard)[1].readline().decode().strip()
        if answer.isdecimal():
            return cls(guard, int(answer))
        _pipes(guard)[0].close()
        _reap(guard)
        raise EmbeddedError(f"{command[0]} cannot be run: {answer.lstrip('!') or f'see {log}'}")

    @property
    def returncode(self) -> int | None:
        """None while it runs; 128 and the number of the signal if one ended it."""
        return self._guard.poll()

    def kill(self) -> None:
        """Send SIGKILL to the command itself."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def end(self) -> int:
        """Stop the command and block until it is gone."""
        self._let_go()
        return _reap(self._guard)

    async def stop(self) -> int:
        """Stop the command; return its exit code. Takes the grace time at most."""
        self._let_go()
        return await self.wait()

    async def wait(self) -> int:
        """Return the exit code when the command has ended; any number of tasks may wait."""
        async with self._one_waiter:
            if not _pipes(self._guard)[1].closed:
                await anyio.wait_readable(_pipes(self._guard)[1])
        self._let_go()
        return _reap(self._guard)

    def _let_go(self) -> None:
        _pipes(self._guard)[0].close()


def _guard(
    *arguments: str, env: Mapping[str, str], log: Path, keep_open: Sequence[int]
) -> subprocess.Popen[bytes]:
    with log.open("ab") as sink:
        return subprocess.Popen(  # noqa: S603  (a program of ours, no shell)
            [sys.executable, "-I", "-S", GUARD, *arguments],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sink,
            env=env,
            start_new_session=True,
            pass_fds=keep_open,
        )


def _pipes(guard: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    assert guard.stdin is not None  # noqa: S101  (for the type checker: both were asked for)
    assert guard.stdout is not None  # noqa: S101
    return guard.stdin, guard.stdout


def _reap(guard: subprocess.Popen[bytes]) -> int:
    code = guard.wait()
    _pipes(guard)[1].close()
    return code


@asynccontextmanager
async def child(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    log: Path,
    stop_signal: signal.Signals = signal.SIGTERM,
    grace: timedelta = timedelta(seconds=10),
    user: User | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Child]:
    """Run a command for as long as the block lasts; see `Child.start`."""
    running = Child.start(
        command,
        env=env,
        log=log,
        stop_signal=stop_signal,
        grace=grace,
        user=user,
        directory=directory,
    )
    try:
        yield running
    finally:
        with anyio.CancelScope(shield=True):
            await running.stop()
