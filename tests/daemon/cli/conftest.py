"""The command, run as a person would on a real database; what it prints is searched for secrets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import pytest
import structlog
import uvicorn
from anyio import to_thread
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from bridge.app import Settings, create_app
from bridge.paper.app import create_paper
from bridge.serve import bind
from daemon.cli.app import app
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.store.people import People, SealedEntry
from daemon.store.status import Status
from daemon.vault import Keyring, new_key
from reconciler.model import ClientId, KeyId, Lease, Phase, Reason, Record, Secret, Slot
from reconciler.routes import MAIN

API_KEY = "canary-key-5d1f2f0c9a7e4b6d8c3a1e0f-yek"
API_SECRET = "Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0"  # base64, as Kraken's must be
PASSPHRASE = "canary passphrase 77"
CANARIES = (API_KEY, API_SECRET, PASSPHRASE)


class Cli(Protocol):
    async def __call__(
        self,
        *args: str,
        input: str | bytes = "",  # noqa: A002 - as CliRunner has it
        **environment: str | None,
    ) -> Result: ...


@pytest.fixture
def encryption_key() -> str:
    return new_key().reveal()


@pytest.fixture
def printed(encryption_key: str) -> Iterator[list[str]]:
    """Everything that the command printed: no secret may be in it."""
    printed: list[str] = []
    yield printed
    for secret in (*CANARIES, encryption_key):
        assert not [text for text in printed if secret in text]


@pytest.fixture
def environment(database_url: str, encryption_key: str) -> dict[str, str | None]:
    return {
        "DATABASE_URL": database_url,
        "ENCRYPTION_KEY": encryption_key,
        "TRADING_BRIDGE_URL": "http://127.0.0.1:9",
        "TRADING_BRIDGE_TOKEN": None,
        "BRIDGETENDER_DEBUG": None,
    }


@pytest.fixture
def cli(environment: dict[str, str | None], printed: list[str]) -> Cli:
    """Run the command; an exception that it did not put into words fails the test."""

    async def run(*args: str, input: str | bytes = "", **more: str | None) -> Result:  # noqa: A002
        def invoke() -> Result:
            return CliRunner().invoke(
                app, args, input=input, env=environment | more, catch_exceptions=False
            )

        # A real bridge is another process; here its log would be mixed into what is printed.
        quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
        structlog.configure(wrapper_class=quiet)
        result = await to_thread.run_sync(invoke)
        structlog.reset_defaults()
        printed.append(result.output)
        return result

    return run


@dataclass
class Daemon:
    """Writes what a daemon would have written."""

    engine: AsyncEngine
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    lease: Lease | None = None

    async def hold(self, *, up: bool = True, reason: str = "") -> None:
        leases = PostgresLeases(self.engine, "host:1:test", timedelta(minutes=5))
        self.lease = self.lease or await leases.acquire(MAIN)
        assert self.lease
        await PostgresLedger(self.engine).survey(MAIN, None, None)  # claims accounts
        ledger = PostgresLedger(self.engine)
        await ledger.report(self.lease, up=up, reason=reason, now=self.now)

    async def write(self, key: KeyId, phase: Phase, reason: Reason, **more: Any) -> Record:
        assert self.lease
        found = await Status(self.engine, MAIN).key(key)
        assert found
        survey = await PostgresLedger(self.engine).survey(MAIN, None, None)
        digests = {case.want.id: case.want.digest for case in survey.cases if case.want}
        record = Record(
            Slot(MAIN, found.account, found.connector),
            *(key, found.client_id, found.exchange, digests.get(key, "")),
            *(phase, reason),
        )
        record = replace(record, **more)
        await PostgresLedger(self.engine).plan(self.lease, [record])
        return record


@pytest.fixture
def daemon(engine: AsyncEngine) -> Daemon:
    return Daemon(engine)


@pytest.fixture
def people(engine: AsyncEngine) -> People:
    return People(engine)


@pytest.fixture
async def acme(people: People) -> ClientId:
    return await people.add_client("Acme Capital")


@pytest.fixture
def sealed(encryption_key: str) -> Callable[..., SealedEntry]:
    keyring = Keyring([Secret(encryption_key)])

    def seal(exchange: str = "binance", **more: Any) -> SealedEntry:
        api_key, api_secret, passphrase = (keyring.seal(Secret(text)) for text in CANARIES)
        return replace(SealedEntry(exchange, api_key, api_secret, passphrase), **more)

    return seal


@pytest.fixture
async def key(people: People, acme: ClientId, sealed: Callable[..., SealedEntry]) -> KeyId:
    """A stored key of Acme's for binance."""
    return await people.add_key(acme, sealed())


@asynccontextmanager
async def served(asgi: Any) -> AsyncIterator[str]:
    """Serve over real HTTP, without uvicorn's main loop: its ticks would cost 0.2 s per test."""
    bound, address = bind("127.0.0.1", 0)
    config = uvicorn.Config(asgi, log_config=None, lifespan="off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[bound])
    try:
        yield address
    finally:
        for listener in server.servers:
            listener.close()
        for connection in list(server.server_state.connections):
            connection.transport.abort()
        if server.server_state.tasks:
            await asyncio.wait(server.server_state.tasks)


@dataclass
class Bridge:
    """A real bridge before a paper exchange, and the methods of all requests it was sent."""

    url: str
    client: httpx.AsyncClient
    methods: list[str]
    paper_url: str

    async def fault(self, kind: str) -> None:
        """Make the exchange misbehave where it is asked about an account."""
        body = {"exchange": "binance", "kind": kind, "only": "account"}
        answer = await self.client.post(f"{self.paper_url}/_paper/faults", json=body)
        answer.raise_for_status()

    async def add(self, account: str, connector: str, **more: str) -> None:
        body = {"account_name": account, "connector_name": connector, "api_key": API_KEY}
        secrets = {"api_secret": API_SECRET, "password": PASSPHRASE}
        answer = await self.client.post("/connectors/add", json=body | secrets | more)
        answer.raise_for_status()
        self.methods.clear()


@pytest.fixture
async def bridge(environment: dict[str, str | None]) -> AsyncIterator[Bridge]:
    paper = create_paper()
    async with served(paper) as paper_url, httpx.AsyncClient() as client:
        account = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET}
        money = {"password": PASSPHRASE, "balances": {"BTC": "0.6"}}
        enrolled = await client.post(f"{paper_url}/_paper/credentials", json=account | money)
        enrolled.raise_for_status()
        made = create_app(Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0))
        methods: list[str] = []

        async def heard(scope: Any, receive: Any, send: Any) -> None:
            methods.append(scope["method"])
            await made(scope, receive, send)

        async with made.router.lifespan_context(made), served(heard) as url:
            environment["TRADING_BRIDGE_URL"] = url
            async with httpx.AsyncClient(base_url=url) as speaker:
                yield Bridge(url, speaker, methods, paper_url)
