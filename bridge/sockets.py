"""Sockets that are closed once, whatever uvloop does beneath them.

When a call is cancelled just as its connection is made, uvloop closes the file and does not tell
Python's socket (`create_connection` attaches it a step too late). Forgotten, the socket would close
the same number again, which by then may be somebody else's connection.
"""

import os
import socket
from typing import Any


class Socket(socket.socket):
    """Forgets its number when another file has it."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._file = _file(self.fileno())

    def __del__(self) -> None:
        if self.fileno() >= 0 and _file(self.fileno()) != self._file:
            self.detach()
        parent: Any = super()
        parent.__del__()


def made(address: tuple[Any, ...]) -> Socket:
    """Return a socket for one of getaddrinfo's answers, as aiohttp's `socket_factory` must."""
    return Socket(*address[:3])


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
