"""Two locks on a directory: one says that someone wants the server, one that it still lives.

The second is inherited by the guard and every process of the server, so it is free only when the
last of them is gone, whatever ended their parent. Nobody has to trust a number in a file.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from daemon.embedded.errors import EmbeddedError

PATIENCE_S = 60  # for a server whose parent was killed, and which is on its way out
POLL_S = 0.02


class InUse(EmbeddedError):
    """Somebody else wants the server of this directory, and has it or waits for it."""


@contextmanager
def owned(directory: Path) -> Iterator[None]:
    """Be the only one who wants this directory's server. Raise InUse if somebody else does."""
    owner = _opened(directory / "owner.lock")
    try:
        if not _taken(owner):
            holder = os.pread(owner, 32, 0).decode().strip()
            raise InUse(
                f"{directory} is in use by process {holder}: stop that one first, or choose "
                "another state directory"
            )
        os.ftruncate(owner, 0)
        os.pwrite(owner, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(owner)


@contextmanager
def server_lock(directory: Path) -> Iterator[int]:
    """Yield the lock to be handed to the next server. The caller owns the directory.

    Blocks while a server without a parent is still stopping.
    """
    server = _opened(directory / "server.lock")
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _taken(server):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the last PostgreSQL of {directory} has not stopped for {PATIENCE_S} s: see "
                    "server.log there, and stop its processes by hand"
                )
            time.sleep(POLL_S)
        yield server
    finally:
        os.close(server)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
