"""The line to one bridge: one HTTP client, bounded in size and time, that goes nowhere else."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import aiohttp
import anyio
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from daemon.bridges.access import Access
from daemon.bridges.address import Address, address
from daemon.bridges.sockets import make_socket
from daemon.bridges.tls import Trust
from daemon.bridges.translate import Answer, Wording, translated
from reconciler.fence import pass_fence
from reconciler.verdicts import Unclear

MIB: Final = 1024 * 1024
CONNECT: Final = 5.0
Query = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds after which a call is given up.

    A field bridge answers a hanging exchange after 30.9 s, so shorter waits lose its answer.
    """

    connect: float = CONNECT
    listing: float = 15.0
    change: float = 35.0
    proof: float = 35.0


class Line:
    """Asks one bridge. One connection pool for the life of the process.

    It speaks to httpx's transport itself, not through `httpx.AsyncClient`, whose redirects, cookies
    and proxies must not be had here and cost a third of a call.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        base: str,
        *,
        access: Access | None = None,
        connect: float = CONNECT,
    ) -> None:
        access = access or Access()
        self._transport, self._connect = transport, connect
        self._url = lru_cache(64)(
            httpx.URL(base).join
        )  # parsing costs as much as a tenth of the call
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # unpacking costs more than a LAN saves
            "User-Agent": "bridgetender",
        }
        if authorization := access.authorization():
            headers["Authorization"] = authorization
        self.secrets = access.secrets()
        self._headers = _ascii(headers)
        self._headers_of_json = _ascii(headers | {"Content-Type": "application/json"})

    async def ask(
        self,
        method: str,
        path: str,
        *,
        seconds: float,
        body: Any = None,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        largest: int = MIB,
    ) -> Answer:
        """Return what the bridge says. *path* is quoted and does not start with a slash.

        Raises Unavailable if it was never asked, Unclear if it did not answer as it should.
        """
        request = httpx.Request(
            method,
            self._url(path),
            params=query,
            headers=self._headers if body is None else self._headers_of_json,
            content=None if body is None else msgspec.json.encode(body),
            extensions={"timeout": self._timeout(seconds)},
        )
        if headers:
            request.headers.update(headers)
        with translated(Wording(seconds, self.secrets)), anyio.fail_after(seconds):
            return await self._send(request, largest)

    async def _send(self, request: httpx.Request, largest: int) -> Answer:
        pass_fence()
        response = await self._transport.handle_async_request(request)
        try:
            body = await _bounded(response, largest)
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body)

    def _timeout(self, seconds: float) -> dict[str, float]:
        connect = min(self._connect, seconds)
        return {"connect": connect, "pool": connect, "read": seconds, "write": seconds}


def _ascii(headers: Mapping[str, str]) -> httpx.Headers:
    """Return headers whose encoding httpx need not find out anew for each request."""
    return httpx.Headers(headers, encoding="ascii")


async def _bounded(response: httpx.Response, largest: int) -> bytes:
    chunks, size = [], 0
    async for chunk in _stream(response):
        size += len(chunk)
        if size > largest:
            raise Unclear(f"the bridge's answer is larger than {largest // MIB} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


def _stream(response: httpx.Response) -> AsyncIterator[bytes]:
    """Return the body as it came, unless somebody packed it unasked: unpacking takes its time."""
    packed = "content-encoding" in response.headers
    if packed or not isinstance(response.stream, httpx.AsyncByteStream):
        return response.aiter_bytes()
    return aiter(response.stream)


class _Fenced(aiohttp.BaseConnector):
    """Connecting may last; nothing is written before the fence was passed again."""

    async def connect(self, *args: Any, **more: Any) -> aiohttp.connector.Connection:
        connection = await super().connect(*args, **more)
        try:
            pass_fence()
        except BaseException:
            connection.close()
            raise
        return connection


class _UnixConnector(_Fenced, aiohttp.UnixConnector): ...


class _TCPConnector(_Fenced, aiohttp.TCPConnector):
    """Goes by the certificates that lie there when it connects; open connections last."""

    def __init__(self, trust: Trust, **more: Any) -> None:
        super().__init__(ssl=trust.context(), **more)
        self._trust = trust

    def _get_ssl_context(self, req: aiohttp.ClientRequest) -> ssl.SSLContext | None:
        return self._trust.context() if req.is_ssl() else None


@asynccontextmanager
async def open_line(
    url: str,
    *,
    access: Access | None = None,
    plain_http: bool = False,
    connect: float = CONNECT,
    connections: int = 128,
) -> AsyncIterator[Line]:
    """Hold a line. Raises BadBridgeUrl."""
    where, access = address(url, plain_http=plain_http), access or Access()
    async with _transport(where, access, connections) as transport:
        yield Line(transport, where.base, access=access, connect=connect)


def _transport(where: Address, access: Access, connections: int) -> AiohttpTransport:
    trust = Trust(access)
    proxy = httpx.Proxy(access.proxy.reveal()) if access.proxy else None

    def session() -> aiohttp.ClientSession:
        connector = (
            _UnixConnector(where.uds, limit=connections)
            if where.uds
            else _TCPConnector(trust, limit=connections, socket_factory=make_socket)
        )
        # A cookie that is kept would be sent with another client's keys.
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=trust.context(), trust_env=False, proxy=proxy, client=session)
