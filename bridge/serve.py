"""Runs one app on one socket: says where it listens, stops cleanly when told to."""

import json
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn

from bridge.gate import Gate
from bridge.identity import Identity
from bridge.notify import Watchdog, notify

GRACE_S = 7.0  # with what uvicorn and the lifespan take, within the 10 s that a supervisor gives
_LAST_BYTES_S = 1  # for sending what is ready to those who read slowly


class _Server(uvicorn.Server):
    """Prints its address as one JSON line once it accepts connections; stops by way of its gate."""

    def __init__(
        self, config: uvicorn.Config, gate: Gate, address: str, tls: Identity | None
    ) -> None:
        super().__init__(config)
        self._gate, self._address, self._tls = gate, address, tls
        self._watchdog = Watchdog()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            told = {"event": "listening", "address": self._address}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            notify("READY=1")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's
        """Go on serving those inside: uvicorn alone would stop to listen, health included."""
        notify("STOPPING=1")
        self._gate.close()

    async def on_tick(self, counter: int) -> bool:
        self._watchdog.feed()
        if self._tls is not None:
            self._tls.look()
        self.should_exit |= self._gate.sweep()
        return await super().on_tick(counter)


def bind(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a bound TCP socket (port 0: any free one) and its URL. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with _closed_on_failure(bound):
        bound.bind((host, port))
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    return bound, f"http://{shown}:{bound.getsockname()[1]}"


def bind_unix(path: Path) -> tuple[socket.socket, str]:
    """Return a socket at *path* that only this user can open, and its address. Raises OSError."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # uvicorn's own unix sockets are open to everybody
    try:
        with _closed_on_failure(bound):
            bound.bind(str(path))
    finally:
        os.umask(before)
    return bound, f"unix:{path}"


@contextmanager
def _closed_on_failure(bound: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        bound.close()
        raise


def run(
    app: Any,
    bound: socket.socket,
    address: str,
    grace_s: float = GRACE_S,
    tls: Identity | None = None,
) -> None:
    """Serve *app* until SIGTERM or SIGINT, and *grace_s* longer if need be; then return.

    On SIGHUP a certificate is read anew, changed or not.
    """
    if tls is not None:
        address = address.replace("http://", "https://")
        signal.signal(signal.SIGHUP, lambda *_: tls.hurry())
    gate = Gate(app, grace_s)
    for name in (signal.SIGTERM, signal.SIGINT):
        # For the moments before and after uvicorn's own; the default would kill us.
        signal.signal(name, lambda *_: gate.close())
    config = uvicorn.Config(
        gate,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_LAST_BYTES_S,
        lifespan="on",
        ssl_context_factory=None if tls is None else lambda *_: tls.context,
    )
    try:
        _Server(config, gate, address, tls).run(sockets=[bound])
    finally:
        if bound.family == socket.AF_UNIX:
            Path(address.removeprefix("unix:")).unlink(missing_ok=True)
