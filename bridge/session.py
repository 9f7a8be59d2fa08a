"""The one way out to exchanges: a shared aiohttp session that can be pointed at a stand-in."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import certifi
from yarl import URL

_CONNECTIONS = 512  # across all exchanges; aiohttp's 100 would make accounts wait for each other


class Outward:
    """What ccxt takes for its aiohttp session.

    Follows no redirect, which would carry signed headers elsewhere. With an *origin*, sends
    everything there and names the real host in `Host`, while ccxt goes on seeing real URLs.
    """

    def __init__(
        self, session: aiohttp.ClientSession, tls: ssl.SSLContext, origin: str | None = None
    ) -> None:
        self.session = session
        self.tls = tls
        self.origin = None if origin is None else URL(origin)

    @property
    def headers(self) -> Mapping[str, str]:
        return self.session.headers

    def twin(self) -> AbstractAsyncContextManager["Outward"]:
        """Open the same way out again, for the event loop that is running: none serves two."""
        return opened(None if self.origin is None else str(self.origin), self.tls)

    def get(self, url: URL, **how: Any) -> Any:
        return self._send("GET", url, **how)

    def post(self, url: URL, **how: Any) -> Any:
        return self._send("POST", url, **how)

    def put(self, url: URL, **how: Any) -> Any:
        return self._send("PUT", url, **how)

    def patch(self, url: URL, **how: Any) -> Any:
        return self._send("PATCH", url, **how)

    def delete(self, url: URL, **how: Any) -> Any:
        return self._send("DELETE", url, **how)

    def _send(self, method: str, url: URL, *, headers: Mapping[str, str], **how: Any) -> Any:
        if self.origin is not None:
            headers = {**headers, "Host": url.host or ""}
            url = _moved(url, self.origin)
        return self.session.request(method, url, headers=headers, allow_redirects=False, **how)


def _moved(url: URL, origin: URL) -> URL:
    # By text: the signature covers the path and query byte for byte.
    return URL(str(origin.origin()) + url.raw_path_qs, encoded=True)


@asynccontextmanager
async def opened(
    origin: str | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Outward]:
    """Hold one session for the process's life; it keeps no cookie and reads no proxy variable."""
    tls = tls or ssl.create_default_context(cafile=certifi.where())
    connector = aiohttp.TCPConnector(limit=_CONNECTIONS, ssl=tls)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
        yield Outward(session, tls, origin)
