"""What stands between a daemon and its bridge: passes requests on, or makes trouble of them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.daemon.bridges.wire import Asked, Reply, Said, serving, told

Forward = Callable[[Asked], Awaitable[Said]]
Trouble = Callable[[Asked, Forward], Awaitable[Said]]
_OF_ONE_HOP = {"connection", "content-length", "transfer-encoding", "host", "keep-alive"}
_PATIENCE = 120.0
"""Seconds that a bridge may take: longer than any daemon waits."""


class Relay:
    """A reverse proxy. While in trouble, *trouble* says what becomes of each request."""

    def __init__(self, bridge: httpx.AsyncClient) -> None:
        self.trouble: Trouble | None = None
        self.url = ""
        self._bridge = bridge

    async def __call__(self, asked: Asked) -> Said:
        if self.trouble is None:
            return await self.forward(asked)
        return await self.trouble(asked, self.forward)

    async def forward(self, asked: Asked) -> Said:
        """Return the bridge's own answer; a proxy's 503 where it is away."""
        headers = {k: v for k, v in asked.headers.items() if k not in _OF_ONE_HOP}
        try:
            said = await self._bridge.request(
                asked.method, asked.target, headers=headers, content=asked.body
            )
        except httpx.TransportError:
            return told(503, detail="no bridge behind this proxy")
        kept = {k: v for k, v in said.headers.items() if k.lower() not in _OF_ONE_HOP}
        return Reply(said.status_code, said.content, kept)


@asynccontextmanager
async def relaying(bridge: Path) -> AsyncIterator[Relay]:
    """Stand before the bridge on a unix socket; the relay's `url` is where to ask instead."""
    transport = httpx.AsyncHTTPTransport(uds=str(bridge), limits=httpx.Limits(max_connections=None))
    client = httpx.AsyncClient(transport=transport, base_url="http://bridge", timeout=_PATIENCE)
    async with client:
        relay = Relay(client)
        async with serving(relay) as relay.url:
            yield relay
