"""Sockets that are closed in time, and once, whatever their event loop does to them.

When a call is cancelled just as its connection is made, uvloop closes the file and does not tell
Python's socket (`create_connection` attaches it a step too late). Forgotten, the socket would close
the same number again, which by then may be somebody else's connection.
"""

import asyncio
import os
import socket
from typing import Any
from weakref import WeakSet

import anyio

_GOODBYE_S = 1.0
_GLANCE_S = 0.01


class Socket(socket.socket):
    """Forgets its number when another file has it."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._file = _file(self.fileno())

    @property
    def is_open(self) -> bool:
        return self.fileno() >= 0 and _file(self.fileno()) == self._file

    def __del__(self) -> None:
        if not self.is_open:
            self.detach()
        parent: Any = super()
        parent.__del__()


class Sockets:
    """All sockets of one aiohttp session."""

    def __init__(self) -> None:
        self._made = WeakSet[Socket]()

    def make(self, address: tuple[Any, ...]) -> Socket:
        """Return a socket for one of getaddrinfo's answers: what aiohttp calls `socket_factory`."""
        made = Socket(*address[:3])
        self._made.add(made)
        return made

    async def closed(self) -> None:
        """Wait until all are closed: TLS that was cancelled says goodbye, and nobody waits for it.

        A second at most; where the other side does not answer, the socket is left to Python.
        """
        with anyio.move_on_after(_GOODBYE_S):
            while any(each.is_open for each in list(self._made)):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_GLANCE_S)


def _file(number: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
