"""The line to one bridge: one HTTP client, bounded in size and time, that goes nowhere else."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import anyio
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from daemon.bridges.translate import Answer, Wording, translated
from reconciler.fence import pass_fence
from reconciler.verdicts import Unclear

MIB: Final = 1024 * 1024
UNIX: Final = "unix:"
CONNECT: Final = 5.0
Query = Mapping[str, str]


class BadBridgeUrl(ValueError):
    """A bridge's address that cannot be used. Its text is meant for the operator."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds after which a call is given up.

    A field bridge answers a hanging exchange after 30.9 s, so shorter waits lose its answer.
    """

    connect: float = CONNECT
    listing: float = 15.0
    change: float = 35.0
    proof: float = 35.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bridge listens: *base* ends in a slash; *uds* is the socket's path, if it is one."""

    base: httpx.URL
    uds: str | None = None


def address(url: str, *, plain_http: bool = False) -> Address:
    """Read `https://...`, `unix:/path`, or `http://...` if that is loopback or *plain_http*.

    Raises BadBridgeUrl.
    """
    if url.startswith(UNIX):
        return Address(httpx.URL("http://bridge/"), _socket(url))
    try:
        parts = urlsplit(url)
        base = httpx.URL(url.rstrip("/") + "/")
    except (ValueError, httpx.InvalidURL):
        raise BadBridgeUrl("a bridge's URL is not a URL at all") from None
    # No URL with a password in it is ever printed.
    if parts.username or parts.password:
        raise BadBridgeUrl("a bridge's URL holds a user or password: give credentials apart")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadBridgeUrl(f"{url!r}: expected https://..., http://... or unix:/path/to/socket")
    if parts.query or parts.fragment:
        raise BadBridgeUrl(f"{url!r}: a bridge's URL has no query and no fragment")
    if parts.scheme == "http" and not (plain_http or _is_loopback(parts.hostname)):
        raise BadBridgeUrl(f"{url!r} would carry secrets unencrypted: use https, or allow http")
    return Address(base)


def _socket(url: str) -> str:
    path = url.removeprefix(UNIX)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/"):
        raise BadBridgeUrl(f"{url!r}: expected unix:/path/to/socket, with the whole path")
    return path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class Line:
    """Asks one bridge. One connection pool for the life of the process.

    It speaks to httpx's transport itself, not through `httpx.AsyncClient`, whose redirects, cookies
    and proxies must not be had here and cost a third of a call.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        base: httpx.URL,
        *,
        token: str | None = None,
        connect: float = CONNECT,
    ) -> None:
        self._transport, self._connect = transport, connect
        self._url = lru_cache(64)(base.join)  # parsing costs as much as a tenth of the call
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # unpacking costs more than a LAN saves
            "User-Agent": "bridgetender",
        }
        self.secrets: tuple[str, ...] = ()
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
            self.secrets = (token,)

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
            headers={**self._headers, **_typed(body), **(headers or {})},
            content=None if body is None else msgspec.json.encode(body),
            extensions={"timeout": self._timeout(seconds)},
        )
        request.headers.encoding = "ascii"  # or httpx finds it out anew for each header
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


def _typed(body: Any) -> dict[str, str]:
    return {} if body is None else {"Content-Type": "application/json"}


async def _bounded(response: httpx.Response, largest: int) -> bytes:
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > largest:
            raise Unclear(f"the bridge's answer is larger than {largest // MIB} MiB")
        chunks.append(chunk)
    return b"".join(chunks)


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


class _TCPConnector(_Fenced, aiohttp.TCPConnector): ...


@asynccontextmanager
async def open_line(
    url: str,
    *,
    token: str | None = None,
    plain_http: bool = False,
    tls: ssl.SSLContext | None = None,
    connect: float = CONNECT,
    connections: int = 128,
) -> AsyncIterator[Line]:
    """Hold a line. *tls* carries a CA and client certificate of one's own. Raises BadBridgeUrl."""
    where = address(url, plain_http=plain_http)
    transport = _transport(where, tls or httpx.create_ssl_context(trust_env=False), connections)
    async with transport:
        yield Line(transport, where.base, token=token, connect=connect)


def _transport(where: Address, tls: ssl.SSLContext, connections: int) -> AiohttpTransport:
    def session() -> aiohttp.ClientSession:
        connector = (
            _UnixConnector(where.uds, limit=connections)
            if where.uds
            else _TCPConnector(limit=connections, ssl=tls)
        )
        # A cookie that is kept would be sent with another client's keys.
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    return AiohttpTransport(verify=tls, trust_env=False, client=session)
