"""Runs one app on one socket: says where it listens, stops cleanly when told to."""

import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import uvicorn


class _Server(uvicorn.Server):
    """Prints its address as one JSON line once it accepts connections."""

    address = ""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(json.dumps({"event": "listening", "address": self.address}) + "\n")
            sys.stdout.flush()


def bind(host: str, port: int) -> tuple[socket.socket, str]:
    """Return a bound TCP socket (port 0: any free one) and its URL."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    return bound, f"http://{shown}:{bound.getsockname()[1]}"


def bind_unix(path: Path) -> tuple[socket.socket, str]:
    """Return a socket at *path* that only this user can open, and its address."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
        path.unlink()
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # uvicorn's own unix sockets are open to everybody
    try:
        bound.bind(str(path))
    finally:
        os.umask(before)
    return bound, f"unix:{path}"


def run(app: Any, bound: socket.socket, address: str) -> None:
    """Serve *app* until SIGTERM or SIGINT; then return."""
    for name in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal anew after a clean stop, and the default would kill us.
        signal.signal(name, lambda *_: None)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
        lifespan="on",
    )
    server = _Server(config)
    server.address = address
    server.run(sockets=[bound])
    if bound.family == socket.AF_UNIX:
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)
