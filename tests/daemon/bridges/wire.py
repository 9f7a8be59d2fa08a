"""A small HTTP server that can misbehave on the wire in every way that we know."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str = ""
    """Path and query as they came."""

    def json(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.body)
        return said


@dataclass(frozen=True, slots=True)
class Reply:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Raw:
    """These bytes, then the end of the connection."""

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection breaks once the request is read."""


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the other side gives up."""


Said = Reply | Raw | Reset | Hang
Answering = Callable[[Asked], Said | Awaitable[Said]]


def told(status: int = 200, **said: Any) -> Reply:
    return Reply(status, json.dumps(said).encode(), {"Content-Type": "application/json"})


@asynccontextmanager
async def serving(
    answer: Answering, uds: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve on loopback, or on the unix socket *uds*; yield the URL."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            while await _exchange(answer, reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            talks.discard(task)

    if uds is None:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
        scheme = "https" if tls else "http"
        url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    else:
        server = await asyncio.start_unix_server(talk, uds)
        url = f"unix:{uds}"
    try:
        yield url
    finally:
        server.close()
        for task in talks.copy():
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _exchange(
    answer: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Answer one request; False when the connection is over."""
    asked = await _asked(reader)
    said = answer(asked)
    if isinstance(said, Awaitable):
        said = await said
    match said:
        case Raw(data):
            writer.write(data)
            await writer.drain()
            return False
        case Reset():
            return False
        case Hang():
            await reader.read()
            return False
        case Reply():
            writer.write(_rendered(said))
            await writer.drain()
            return True


async def _asked(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    start, *lines = head.rstrip().split("\r\n")
    method, target, _ = start.split(" ")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    return Asked(method, unquote(parts.path), dict(parse_qsl(parts.query)), headers, body, target)


def _rendered(reply: Reply) -> bytes:
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Words", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
