"""A relay between a client and a unix socket, which can be told to fail."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, ByteStream, SocketAttribute


class Proxy:
    """Listens on loopback. *held*: what comes is kept, either way, until it is let go."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open = anyio.Event()
        self._open.set()
        self._streams: set[ByteStream] = set()
        self.refusing = False
        self.port = 0
        self.held = 0
        """How many bytes are kept."""

    def hold(self) -> None:
        self._open = anyio.Event()

    def let_go(self) -> None:
        self._open.set()
        self.held = 0

    async def cut(self) -> None:
        """Close every connection."""
        for stream in list(self._streams):
            await stream.aclose()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        self.port = listener.extra(SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, self._relay)
            yield self
            tasks.cancel_scope.cancel()

    async def _relay(self, near: ByteStream) -> None:
        async with near:
            if self.refusing:
                return
            async with await anyio.connect_unix(self._target) as far, self._kept(near, far):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pump, near, far)
                    await self._pump(far, near)
                    tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def _kept(self, *streams: ByteStream) -> AsyncIterator[None]:
        self._streams.update(streams)
        yield
        self._streams.difference_update(streams)

    async def _pump(self, source: ByteReceiveStream, sink: ByteSendStream) -> None:
        """Pass on what comes, to the end of it; that ends the other direction, too."""
        try:
            async for data in source:
                if not self._open.is_set():
                    self.held += len(data)
                    await self._open.wait()
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        await sink.aclose()
