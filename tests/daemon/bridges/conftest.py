"""Bridges of several kinds, behind the one port, and hands to shake them with."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from bridge.app import Settings, create_app
from bridge.paper.app import create_paper
from bridge.serve import bind
from daemon.bridges.access import Access
from daemon.bridges.line import Line, Patience
from daemon.bridges.trading import TradingBridge, open_bridge
from reconciler.model import BridgeName, Credentials, Secret, Slot
from reconciler.ports import Bridge
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import serving
from tests.fakes import FakeBridge

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BRIDGE = BridgeName("main")
QUICK = Patience(connect=2.0, listing=5.0, change=5.0, proof=5.0)
SLOT = Slot(BRIDGE, "client_acme", "binance")


class StoppedClock:
    def now(self) -> datetime:
        return NOW

    def elapsed(self) -> float:
        return 0.0


def credentials(api_key: str = "good-key", passphrase: str | None = None) -> Credentials:
    hidden = Secret(passphrase) if passphrase is not None else None
    return Credentials(Secret(api_key), Secret("the-secret-of-the-key"), hidden)


def of_handler(handle: Callable[[httpx.Request], httpx.Response]) -> TradingBridge:
    """Return a bridge whose answers are written by hand, without a socket."""
    line = Line(
        httpx.MockTransport(handle), "http://bridge/", access=Access(Secret("token-of-the-bridge"))
    )
    return TradingBridge(BRIDGE, line, StoppedClock(), QUICK)


@dataclass(frozen=True)
class Rig:
    """A bridge, what it is able to do, and hands on the world behind it."""

    bridge: Bridge
    restart: Callable[[], Awaitable[None]]
    refuse: Callable[[str], Awaitable[None]]
    labels: bool = True
    removes: bool = True
    proves: bool = True


@pytest.fixture
def story() -> StoryBridge:
    return StoryBridge()


@pytest.fixture
async def bridge(story: StoryBridge) -> AsyncIterator[TradingBridge]:
    """The client of `story`, over a real socket."""
    async with serving(story) as url, open_bridge(BRIDGE, url, StoppedClock(), patience=QUICK) as b:
        yield b


@pytest.fixture(params=["story", "story on a unix socket", "ours", "fake", "fake of the story"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with AsyncExitStack() as stack:
        match request.param:
            case "story":
                yield await stack.enter_async_context(_story_rig(None))
            case "story on a unix socket":
                yield await stack.enter_async_context(_story_rig(tmp_path / "s"))
            case "ours":
                yield await stack.enter_async_context(_our_rig())
            case "fake":
                yield _fake_rig(FakeBridge(BRIDGE))
            case _:
                yield _fake_rig(FakeBridge.of_the_story())


@asynccontextmanager
async def _story_rig(uds: Path | None) -> AsyncIterator[Rig]:
    there = StoryBridge()

    async def restart() -> None:
        there.restart()

    async def refuse(api_key: str) -> None:
        there.refused.add(api_key)

    async with (
        serving(there, uds) as url,
        open_bridge(BRIDGE, url, StoppedClock(), patience=QUICK) as bridge,
    ):
        yield Rig(bridge, restart, refuse, labels=False, removes=False)


@asynccontextmanager
async def _our_rig() -> AsyncIterator[Rig]:
    paper = create_paper()
    async with AsyncExitStack() as stack:
        exchange = await stack.enter_async_context(served(paper))
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=exchange))
        account = {"exchange": "binance", "api_secret": "the-secret-of-the-key"}
        for key in ("good-key", "other-key", "wrong-key"):
            body = {**account, "api_key": key, "balances": {"BTC": "0.6"}}
            (await control.post("/_paper/credentials", json=body)).raise_for_status()
        app = create_app(Settings(token="token-of-the-bridge", exchange_origin=exchange))
        await stack.enter_async_context(app.router.lifespan_context(app))
        url = await stack.enter_async_context(served(app))
        access = Access(Secret("token-of-the-bridge"))
        client = open_bridge(BRIDGE, url, StoppedClock(), access=access, patience=QUICK)
        bridge = await stack.enter_async_context(client)

        async def restart() -> None:
            await stack.enter_async_context(app.router.lifespan_context(app))

        async def refuse(api_key: str) -> None:
            body = {"exchange": "binance", "api_key": api_key}
            await control.request("DELETE", "/_paper/credentials", json=body)

        yield Rig(bridge, restart, refuse)


def _fake_rig(fake: FakeBridge) -> Rig:
    async def restart() -> None:
        fake.restart()

    async def refuse(api_key: str) -> None:
        fake.refused.add(api_key)

    return Rig(fake, restart, refuse, fake.labels, fake.removes, fake.proves)


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serve over real HTTP, without uvicorn's main loop and its ticks."""
    bound, address = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound])
    yield address
    for listener in server.servers:
        listener.close()
    for connection in list(server.server_state.connections):
        connection.transport.abort()
    if server.server_state.tasks:
        await asyncio.wait(server.server_state.tasks)
