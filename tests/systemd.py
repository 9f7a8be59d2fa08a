"""systemd's side of its protocol: what services tell it, each message read with a deadline."""

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

from tests.acceptance.processes import is_stopped

PATIENCE = 60.0
"""Seconds after which a test gives up on a message, on however busy a machine."""
ALIVE = "WATCHDOG=1"


class Systemd:
    """Listens at a socket's *path* and wants a sign of life in every *watchdog* seconds."""

    def __init__(self, path: Path, watchdog: float) -> None:
        self._watchdog = watchdog
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self.environment = {
            "NOTIFY_SOCKET": str(path),
            "WATCHDOG_USEC": str(round(watchdog * 1_000_000)),
        }

    def close(self) -> None:
        self._socket.close()

    def hear(self, words: str) -> str:
        """Wait for a message that has *words* in it; drop those before it."""
        for message in self._within(PATIENCE):
            if words in message:
                return message
        raise AssertionError(f"systemd never heard {words}")

    def drop(self) -> None:
        """Forget what was sent until now."""
        self._socket.settimeout(0)
        while self._received():
            pass

    def would_kill(self) -> bool:
        """Say whether no sign of life comes for as long as the watchdog waits for one."""
        return ALIVE not in "\n".join(self._within(self._watchdog))

    def _within(self, seconds: float) -> Iterator[str]:
        end = monotonic() + seconds
        while (left := end - monotonic()) > 0:
            self._socket.settimeout(left)
            if message := self._received():
                yield message

    def _received(self) -> str:
        try:
            return self._socket.recv(4096).decode()
        except (BlockingIOError, TimeoutError):
            return ""


def freeze(pid: int) -> None:
    """Stop a process by SIGSTOP; return once it runs no more."""
    os.kill(pid, signal.SIGSTOP)
    while not is_stopped(pid):
        pass  # the signal is on its way


def thaw(pid: int) -> None:
    os.kill(pid, signal.SIGCONT)
