"""Sockets to a bridge that are closed once, whatever their event loop does to them.

When a call is given up just as its connection is made, uvloop closes the file and does not tell
Python's socket. Forgotten, that would close the same number again, which by then may be the
database's connection.
"""

import os
import socket
from typing import Any


def make_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket for one of getaddrinfo's answers: what aiohttp calls `socket_factory`."""
    return _Socket(*address[:3])


class _Socket(socket.socket):
    """Forgets its number when another file has it."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._made = _file(self.fileno())

    def __del__(self) -> None:
        if self.fileno() < 0 or _file(self.fileno()) != self._made:
            self.detach()
        parent: Any = super()
        parent.__del__()


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
