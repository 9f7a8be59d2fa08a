"""A relay between a client and a unix socket, which can be told to fail.

It uses asyncio's own streams: anyio's of unix sockets and uvloop do not get on with each other when
a connection ends while it is read.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path


class Proxy:
    """Listens on loopback. While it holds, what comes is kept, either way, until it is let go."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open = asyncio.Event()
        self._open.set()
        self.port = 0
        self.overhear: Callable[[bytes], None] = lambda _: None
        """Told of what clients send, before it is passed on."""
        self.held = b""
        """What is kept."""
        self._clients: set[StreamWriter] = set()

    def say(self, words: bytes) -> None:
        """Tell all clients something that the target never said."""
        for client in self._clients:
            client.write(words)

    def hang_up(self) -> None:
        """End all connections; what was said before arrives."""
        for client in self._clients:
            client.close()

    def hold(self) -> None:
        self._open.clear()

    def let_go(self) -> None:
        self._open.set()
        self.held = b""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.let_go()
            server.close()

    async def _relay(self, client: StreamReader, to_client: StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_unix_connection(self._target)
        except OSError:
            to_client.close()
            return
        self._clients.add(to_client)
        await asyncio.gather(
            self._pump(client, to_server, asking=True), self._pump(server, to_client)
        )
        self._clients.remove(to_client)

    async def _pump(
        self, source: StreamReader, sink: StreamWriter, *, asking: bool = False
    ) -> None:
        """Pass on what comes, to the end of it; that ends the other direction, too."""
        with suppress(OSError):
            while data := await source.read(65_536):
                if asking:
                    self.overhear(data)
                if not self._open.is_set():
                    self.held += data
                    await self._open.wait()
                if sink.is_closing():
                    break
                sink.write(data)
                await sink.drain()
        sink.close()
