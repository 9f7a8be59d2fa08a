"""The API over a real database, with a real loop before a fake bridge; answers are searched."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.clock import SystemClock
from daemon.enquiries import Enquiries
from daemon.settings import BridgeSettings
from daemon.store.answers import Answers
from daemon.store.audit import NOBODY
from daemon.store.people import People
from daemon.store.tokens import Tokens
from daemon.tokens import Role, digest_of, new_token
from daemon.vault import Keyring, new_key
from daemon.web.app import Backend, api_app
from daemon.web.auth import Gate
from daemon.web.checker import Checker
from daemon.web.forms import ExchangeForms
from daemon.web.keeper import Keeper
from daemon.web.news import News
from daemon.web.roster import Roster
from daemon.web.sessions import Sessions
from daemon.web.teller import Teller
from daemon.wiring import open_the_bridge
from reconciler.model import ClientId, Secret
from reconciler.routes import MAIN

API_KEY = "canary-key-5d1f2f0c9a7e4b6d8c3a1e0f-yek"
API_SECRET = "Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0"
PASSPHRASE = "canary-passphrase-77"
CANARIES = (API_KEY, API_SECRET, PASSPHRASE)
AWAY = BridgeSettings(MAIN, "http://127.0.0.1:9")
KEY = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET}


@dataclass
class MovedClock(SystemClock):
    """The system's, *ahead* by what a test likes."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


@dataclass
class Office:
    """The API, and tokens to come in by."""

    engine: AsyncEngine
    keyring: Keyring = field(default_factory=lambda: Keyring([new_key()]))
    heard: list[str] = field(default_factory=list)
    bridges: list[BridgeSettings] = field(default_factory=lambda: [AWAY])
    clock: MovedClock = field(default_factory=MovedClock)
    wait: float = 5.0
    """Seconds that an exchange may take to tell balances."""

    def __post_init__(self) -> None:
        self.news = News()
        clock = self.clock
        self.keeper = Keeper(self.engine, lambda: self.keyring, lambda: MAIN, clock, self.news)
        self.gate = Gate(Tokens(self.engine), clock)
        self.sessions = Sessions(lambda: self.keyring, self.gate, clock)
        self.enquiries = Enquiries(
            lambda: self.bridges, lambda wanted: open_the_bridge(wanted, clock)
        )
        self.teller = Teller(self.keeper, self.enquiries, lambda: self.wait)
        self.roster = Roster(self.engine, lambda: MAIN, clock)
        answers = Answers(self.engine)
        forms = ExchangeForms(self.enquiries)
        checker = Checker(self.enquiries, forms)
        self.app = api_app(
            Backend(self.keeper, self.gate, answers, self.teller, checker, self.roster, forms)
        )

    async def token(self, role: Role = "admin", **more: Any) -> Secret:
        made = new_token()
        name = f"{role} for tests"
        await Tokens(self.engine).create(name, role, digest_of(made), NOBODY, **more)
        return made

    def web(self, token: Secret | None = None, **more: Any) -> httpx.AsyncClient:
        """Return a client of the API; whatever is answered is searched for secrets at the end."""
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}

        async def hear(response: httpx.Response) -> None:
            await response.aread()
            self.heard.append(f"{response.headers!r} {response.text}")

        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://bridgetender",
            headers=headers,
            event_hooks={"response": [hear]},
            **more,
        )


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    office = Office(engine)
    yield office
    await office.enquiries.close()
    for secret in CANARIES:
        assert not [text for text in office.heard if secret in text]


@pytest.fixture
async def admin(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.web(await office.token()) as web:
        yield web


@pytest.fixture
async def acme(office: Office) -> ClientId:
    return await People(office.engine).add_client("Acme Capital")


@asynccontextmanager
async def logged_in(
    office: Office, role: Role = "admin", **more: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client in a session, which brings the word of its forms along."""
    token = await office.token(role, **more)
    async with office.web() as web:
        answer = await web.post("/console/login", data={"token": token.reveal()})
        assert answer.status_code == 303
        web.headers["x-csrf-token"] = word_of(await web.get(answer.headers["location"]))
        yield web


def word_of(page: httpx.Response) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return found[1]


@pytest.fixture
async def console(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with logged_in(office) as web:
        yield web
