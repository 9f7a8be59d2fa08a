"""The ways out to exchanges: shared aiohttp sessions, which can be pointed at a stand-in."""

import socket
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any

import aiohttp
import certifi
from ccxt.base.errors import ExchangeNotAvailable
from yarl import URL

from bridge.bounded import Bounded
from bridge.egress import DIRECT, Egress, Rules, blame
from bridge.sockets import Sockets

_CONNECTIONS = 512  # across all exchanges; aiohttp's 100 would make accounts wait for each other


class Outward:
    """What ccxt takes for its aiohttp session: one egress.

    Follows no redirect, which would carry signed headers elsewhere. With an *origin*, sends
    everything there and names the real host in `Host`, while ccxt goes on seeing real URLs.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        tls: ssl.SSLContext,
        origin: str | None = None,
        egress: Egress = DIRECT,
    ) -> None:
        self.session = session
        self.tls = tls
        self.origin = None if origin is None else URL(origin)
        self._egress = egress
        self._way: dict[str, Any] = {"proxy": egress.proxy, "proxy_headers": egress.proxy_headers}

    @property
    def egress(self) -> str:
        """The name of the way out, under which exchanges count what is sent."""
        return self._egress.name

    @property
    def headers(self) -> Mapping[str, str]:
        return self.session.headers

    def to(self, exchange: str, account: str | None = None) -> "Outward":  # noqa: ARG002
        """A single way leads everywhere, as `Ways.to` would."""
        return self

    def twin(self) -> AbstractAsyncContextManager["Outward"]:
        """Open the same way out again, for the event loop that is running: none serves two."""
        origin = None if self.origin is None else str(self.origin)
        return opened(origin, self.tls, self._egress)

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
        how |= self._way
        sent = self.session.request(method, url, headers=headers, allow_redirects=False, **how)
        return _Blaming(sent, self._egress)


class _Blaming:
    """A request under way; what the egress does to it is told by the egress's name."""

    def __init__(self, sent: Any, egress: Egress) -> None:
        self._sent, self._egress = sent, egress

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            answer: aiohttp.ClientResponse = await self._sent.__aenter__()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if (words := blame(self._egress, error)) is None:
                raise
            # ccxt's word, so that nobody takes it for a refusal.
            raise ExchangeNotAvailable(words) from None
        return answer

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._sent.__aexit__(kind, error, trace)


def _moved(url: URL, origin: URL) -> URL:
    # By text: the signature covers the path and query byte for byte.
    return URL(str(origin.origin()) + url.raw_path_qs, encoded=True)


class Ways:
    """Every way out, open."""

    def __init__(self, rules: Rules, opened: Mapping[Egress, Outward]) -> None:
        self._rules, self._opened = rules, opened
        self.origin = opened[DIRECT].origin

    def to(self, exchange: str, account: str | None = None) -> Outward:
        """Return an account's way to a canonical *exchange*; None: of what it tells anybody."""
        return self._opened[self._rules.choose(exchange, account)]


@asynccontextmanager
async def ways(rules: Rules, origin: str | None = None) -> AsyncIterator[Ways]:
    """Hold a session for every egress, for the process's life."""
    usual = trusting()
    async with AsyncExitStack() as stack:
        found = {
            egress: await stack.enter_async_context(
                opened(origin, None if egress.ca_file else usual, egress)
            )
            for egress in rules.all()
        }
        yield Ways(rules, found)


@asynccontextmanager
async def opened(
    origin: str | None = None, tls: ssl.SSLContext | None = None, egress: Egress = DIRECT
) -> AsyncIterator[Outward]:
    """Hold one session; it keeps no cookie and reads no proxy variable."""
    tls = tls or trusting(egress)
    sockets = Sockets()
    connector = aiohttp.TCPConnector(
        limit=_CONNECTIONS, ssl=tls, socket_factory=sockets.make, **_from(egress.local_address)
    )
    jar = aiohttp.DummyCookieJar()
    try:
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=jar, trust_env=False, response_class=Bounded
        ) as session:
            yield Outward(session, tls, origin, egress)
    finally:
        await sockets.closed()


def trusting(egress: Egress = DIRECT) -> ssl.SSLContext:
    """Return a TLS context (692 KiB, 19 ms) that trusts the usual certificates and *egress*'s."""
    tls = ssl.create_default_context(cafile=certifi.where())
    if egress.ca_file is not None:
        tls.load_verify_locations(egress.ca_file)
    return tls


def _from(address: str | None) -> dict[str, Any]:
    if address is None:
        return {}
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return {"local_addr": (address, 0), "family": family}
