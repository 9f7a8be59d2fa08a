"""Serves an app on a socket until it is cancelled, and leaves signals to the process."""

import errno
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from fastapi import FastAPI


class AddressInUse(OSError):
    """The address cannot be bound. The message says what to change."""


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # whoever supervises the process decides the order of its end


def bind(host: str, port: int, setting: str) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises AddressInUse, naming *setting* with _HOST or _PORT behind it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        which = "PORT" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "HOST"
        why = f"{host}:{port} cannot be used ({error.strerror}); choose another"
        raise AddressInUse(f"{setting}_{which}: {why}") from None
    sock.listen(128)
    return sock


def url_of(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(app: FastAPI, sock: socket.socket, proxies: Collection[str] = ()) -> None:
    """Serve until cancelled; requests under way then have a second to end.

    *proxies* are believed what they say in X-Forwarded-For and X-Forwarded-Proto; others are not,
    on this machine neither.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=1,
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
    )
    server = _Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_shielded, server, sock)
        try:
            await anyio.sleep_forever()
        finally:
            server.should_exit = True


async def _shielded(server: uvicorn.Server, sock: socket.socket) -> None:
    """A cancelled uvicorn leaves connections open; one that is told to end does not."""
    with anyio.CancelScope(shield=True):
        await server.serve([sock])
