"""A real bridge before a paper exchange, over real HTTP, and keys that a daemon made live there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from bridge.app import Settings, create_app
from bridge.paper.app import create_paper
from daemon.settings import BridgeSettings
from daemon.store.people import People, SealedEntry
from daemon.store.status import Status
from reconciler.model import BridgeName, ClientId, KeyId, Phase, Reason, Secret, Verified
from reconciler.routes import MAIN
from tests.daemon.cli.conftest import Daemon, served
from tests.daemon.web.conftest import API_KEY, API_SECRET, PASSPHRASE, Office


@dataclass
class Market:
    """`paths` are those that the bridge was asked for, but for which exchanges it has."""

    office: Office
    paper: httpx.AsyncClient
    bridge: httpx.AsyncClient
    daemon: Daemon
    name: BridgeName = MAIN
    paths: list[str] = field(default_factory=list)

    async def enrol(self, exchange: str, balances: dict[str, str], **more: Any) -> None:
        """Let the exchange know the canary credentials."""
        account = {"exchange": exchange, "api_key": API_KEY, "api_secret": API_SECRET}
        money = {"password": PASSPHRASE, "balances": balances}
        (
            await self.paper.post("/_paper/credentials", json=account | money | more)
        ).raise_for_status()

    async def fault(self, exchange: str, kind: str) -> None:
        body = {"exchange": exchange, "kind": kind, "only": "account"}
        (await self.paper.post("/_paper/faults", json=body)).raise_for_status()

    async def stored(self, client: ClientId, exchange: str, **more: Any) -> KeyId:
        """Store a key as people do, whatever becomes of it."""
        keyring = self.office.keyring
        key, secret, word = (keyring.seal(Secret(t)) for t in (API_KEY, API_SECRET, PASSPHRASE))
        entry = SealedEntry(exchange, key, secret, word, **more)
        return await People(self.office.engine).add_key(client, entry)

    async def live(self, client: ClientId, exchange: str, **more: Any) -> KeyId:
        """Store a key, add its connector to the bridge, and write down that it is live."""
        key = await self.stored(client, exchange, **more)
        found = await Status(self.office.engine).key(key)
        assert found is not None
        secrets = {"api_key": API_KEY, "api_secret": API_SECRET, "password": PASSPHRASE}
        place = {"account_name": found.account, "connector_name": found.connector}
        await self.bridge.post("/accounts/create", json=place)
        (await self.bridge.post("/connectors/add", json=place | secrets)).raise_for_status()
        await self.daemon.hold()
        proven = {"verified": Verified.OK, "fingerprint": "f"}
        await self.daemon.write(key, Phase.LIVE, Reason.APPLIED, **proven)
        self.paths.clear()
        return key


@asynccontextmanager
async def market_of(office: Office) -> AsyncIterator[Market]:
    paths: list[str] = []
    async with served(create_paper()) as paper_url:
        made = create_app(Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0))

        async def heard(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] != "/connectors/supported":
                paths.append(scope["path"])
            await made(scope, receive, send)

        async with (
            made.router.lifespan_context(made),
            served(heard) as url,
            httpx.AsyncClient(base_url=paper_url) as paper,
            httpx.AsyncClient(base_url=url) as bridge,
        ):
            office.bridges[:] = [BridgeSettings(MAIN, url)]
            yield Market(office, paper, bridge, Daemon(office.engine), paths=paths)
