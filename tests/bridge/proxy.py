"""A real forward proxy for tests: CONNECT tunnels, over TLS when told, and every way to fail."""

import asyncio
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

LOGIN = "Basic dXNlcjpwNHNzLWNhbmFyeQ=="  # user:p4ss-canary


@dataclass
class Proxy:
    """`refusal` is the status of every CONNECT; `hangs` and `breaks` give none."""

    refusal: int | None = None
    hangs: bool = False
    breaks: bool = False
    login: str | None = None
    tunnels: list[str] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    port: int = 0

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Proxy"]:
        tasks: set[asyncio.Task[None]] = set()

        def accept(reader: StreamReader, writer: StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(tasks):
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            with suppress(OSError, EOFError):
                await self._answer(reader, writer)
        finally:
            writer.close()

    async def _answer(self, reader: StreamReader, writer: StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        self.peers.append(writer.get_extra_info("peername")[0])
        method, target, _ = head.split(" ", 2)
        assert method == "CONNECT"
        if self.hangs:
            await reader.read()
        if self.hangs or self.breaks:
            return
        if (status := self._objection(head)) is not None:
            body = b"<html>squid</html>"
            told = f"HTTP/1.1 {status} No\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(told.encode() + body)
            await writer.drain()
            return
        self.tunnels.append(target)
        host, _, port = target.rpartition(":")
        there, to_there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(reader, to_there))
            both.create_task(_pump(there, writer))

    def _objection(self, head: str) -> int | None:
        if self.refusal is not None:
            return self.refusal
        allowed = self.login is None or f"Proxy-Authorization: {self.login}\r\n" in head
        return None if allowed else 407


async def _pump(source: StreamReader, sink: StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    sink.close()
