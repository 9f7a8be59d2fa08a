"""A real bridge before a real paper exchange, spoken to over real HTTP."""

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from fastapi import FastAPI

from bridge.app import Settings, create_app
from bridge.logs import configure
from bridge.paper.app import Paper, create_paper
from bridge.serve import bind
from bridge.service import Service
from bridge.session import Outward, opened

SECRET = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5"  # base64, because Kraken's must be
Call = Callable[..., Awaitable[httpx.Response]]


@asynccontextmanager
async def served(app: FastAPI, **more: Any) -> AsyncIterator[str]:
    """Serve over real HTTP, without uvicorn's main loop: its ticks would cost 0.2 s per test."""
    bound, address = bind("127.0.0.1", 0)
    config = uvicorn.Config(app, log_config=None, lifespan="off", **more)
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


@pytest.fixture
def paper_app() -> FastAPI:
    return create_paper()


@pytest.fixture
def papers(paper_app: FastAPI) -> Paper:
    """What the pretend exchanges know and have heard."""
    state: Paper = paper_app.state.paper
    return state


@pytest.fixture
async def paper_url(paper_app: FastAPI) -> AsyncIterator[str]:
    async with served(paper_app) as address:
        yield address


@pytest.fixture
async def paper(paper_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """The paper exchange, and its remote control."""
    async with httpx.AsyncClient(base_url=paper_url) as client:
        yield client


@pytest.fixture
async def outward(paper_url: str) -> AsyncIterator[Outward]:
    async with opened(paper_url) as session:
        yield session


@pytest.fixture
def settings(paper_url: str) -> Settings:
    return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    made = create_app(settings)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def service(app: FastAPI) -> Service:
    found: Service = app.state.service
    return found


@pytest.fixture
async def bridge(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        yield client


@pytest.fixture
def enrol(paper: httpx.AsyncClient) -> Call:
    """Open an account at a pretend exchange."""

    async def enrol(exchange: str = "binance", **given: object) -> httpx.Response:
        body = {
            "exchange": exchange,
            "api_key": f"key-of-{exchange}",
            "api_secret": SECRET,
            "password": "pass phrase",
            "balances": {"BTC": "0.6", "USDT": "1000"},
        }
        return (await paper.post("/_paper/credentials", json=body | given)).raise_for_status()

    return enrol


@pytest.fixture
def fault(paper: httpx.AsyncClient) -> Call:
    """Make a pretend exchange misbehave."""

    async def fault(exchange: str, kind: str, **more: object) -> httpx.Response:
        body = {"exchange": exchange, "kind": kind, "only": "account", **more}
        return (await paper.post("/_paper/faults", json=body)).raise_for_status()

    return fault


@pytest.fixture
def add(bridge: httpx.AsyncClient) -> Call:
    """Add a connector with the credentials that `enrol` made, unless told otherwise."""

    async def add(exchange: str = "binance", query: str = "", **given: object) -> httpx.Response:
        body = {
            "account_name": "acme",
            "connector_name": exchange,
            "api_key": f"key-of-{exchange}",
            "api_secret": SECRET,
            "password": "pass phrase",
        }
        sent = {key: value for key, value in (body | given).items() if value is not None}
        return await bridge.post(f"/connectors/add{query}", json=sent)

    return add


@pytest.fixture
def ready(enrol: Call, add: Call) -> Call:
    """Open an account and add its connector."""

    async def ready(exchange: str = "binance", **wrong: object) -> httpx.Response:
        await enrol(exchange)
        return await add(exchange, **wrong)

    return ready


@pytest.fixture
def verify(bridge: httpx.AsyncClient) -> Call:
    async def verify(exchange: str = "binance", account: str = "acme") -> httpx.Response:
        body = {"account_name": account, "connector_name": exchange}
        return await bridge.post("/connectors/verify", json=body)

    return verify


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, at DEBUG."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook
    lines = io.StringIO()
    configure("DEBUG", lines)
    yield lines
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


@pytest.fixture
def start() -> Iterator[Any]:
    """Start a module as a process that says where it listens; any warning in it is an error."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-W", "error", "-m", *map(str, arguments)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True)
        started.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["event"] == "listening"
        return process, told["address"]

    yield start
    for process in started:
        process.kill()
        process.communicate()
