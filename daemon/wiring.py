"""The only place that names concrete classes: settings in, a daemon's parts out."""

import os
import random
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from daemon.bridges.access import Access
from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.tls import tls_context
from daemon.bridges.trading import TradingBridge, open_bridge
from daemon.clock import SystemClock
from daemon.enquiries import Enquiries
from daemon.herald import Herald
from daemon.metrics import Metrics
from daemon.settings import BadSettings, BridgeSettings, Settings
from daemon.store.answers import Answers
from daemon.store.engine import make_engine
from daemon.store.keyring import fingerprint_key
from daemon.store.keys import PostgresKeys
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.store.tokens import Tokens
from daemon.vault import FernetVault, Keyring, new_key
from daemon.vitals import Vitals
from daemon.watch import TimedBridge, Watch
from daemon.web.app import Backend
from daemon.web.auth import Gate
from daemon.web.checker import Checker
from daemon.web.forms import ExchangeForms
from daemon.web.keeper import Keeper
from daemon.web.news import News
from daemon.web.roster import Roster
from daemon.web.teller import Teller
from reconciler.desk import Ports
from reconciler.model import BridgeName
from reconciler.ports import Bridge, Clock, Vault
from reconciler.rules import Rules

STATEMENT = 30.0
"""Seconds that a statement may take; a survey of a million keys takes a few."""
STATEMENT_OF_API = 10.0
"""The same where somebody waits for the answer, and would give up."""
POOL, POOL_OF_BRIDGE, BRIDGES, POOL_OF_API = 6, 4, 8, 8
"""Connections to the database: for health, hints and counts, for each bridge's loop, and for how
many bridges at least, and for the API; they are opened when they are needed."""


def holder_name() -> str:
    """Return a name for this replica that no other has and that an operator recognizes."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(slots=True)
class Parts:
    """What one daemon is made of, but for its loops, which need a vault and so a database.

    *settings* are replaced when they are read anew.
    """

    settings: Settings
    keyring: Keyring
    engine: AsyncEngine
    api_engine: AsyncEngine
    ear: AsyncEngine | None
    """What LISTEN goes through, if through anything."""
    ledger: PostgresLedger
    metrics: Metrics
    vitals: Vitals
    watch: Watch
    clock: Clock
    news: News = field(default_factory=News)
    """Tells API and console that outcomes were written."""
    roster: Roster = field(init=False)
    """Where all keys stand, for all who look at once."""
    gate: Gate = field(init=False)
    """Knows who comes in."""
    holder: str = field(default_factory=holder_name)
    """This replica, whatever bridge it speaks of: replicas share them by how many each holds."""

    def __post_init__(self) -> None:
        self.roster = Roster(self.api_engine, self.main, self.clock)
        self.gate = Gate(Tokens(self.api_engine), self.clock)

    def main(self) -> BridgeName:
        """Return the bridge of every key that no other is for, as the settings are now."""
        return self.settings.routes.default

    def patience(self) -> float:
        """Return the seconds that an exchange may take to tell balances, as settings are now."""
        return self.settings.balances.total_seconds()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises StoreError for a database URL that is none, BadSettings without a keyring."""
        if settings.keyring is None:
            raise BadSettings("ENCRYPTION_KEY is not set")
        size = POOL + POOL_OF_BRIDGE * max(BRIDGES, len(settings.bridges))
        url = settings.database_url.reveal()
        engine = make_engine(url, pool_size=size, patience=STATEMENT)
        api_engine = make_engine(url, pool_size=POOL_OF_API, patience=STATEMENT_OF_API)
        metrics, vitals, clock = Metrics(), Vitals(), SystemClock()
        _watch_pool(engine, metrics)
        watch = Watch(metrics, vitals, clock)
        for bridge in settings.bridges:
            watch.begin(bridge.name)
        ledger, ear = PostgresLedger(engine), _ear(settings, engine)
        return cls(
            settings=settings,
            keyring=settings.keyring,
            engine=engine,
            api_engine=api_engine,
            ear=ear,
            ledger=ledger,
            metrics=metrics,
            vitals=vitals,
            watch=watch,
            clock=clock,
        )

    def ports(self, bridge: Bridge, vault: Vault, name: BridgeName, rules: Rules) -> Ports:
        """Return the outside world of one bridge's loop."""
        return Ports(
            clock=self.clock,
            leases=PostgresLeases(self.engine, self.holder, rules.lease),
            keys=PostgresKeys(self.engine),
            ledger=self.ledger,
            bridge=TimedBridge(bridge, name, self.metrics),
            vault=vault,
            meter=self.watch,
            draw=random.random,
            rules=rules,
        )


def enquiries_of(parts: Parts) -> Enquiries:
    """Return what asks bridges for people. To be closed."""
    return Enquiries(
        lambda: parts.settings.bridges, lambda wanted: open_the_bridge(wanted, parts.clock)
    )


def backend_of(parts: Parts, enquiries: Enquiries) -> Backend:
    """Return what the API asks. It has connections of its own: a burst of it delays no lease."""
    keeper = Keeper(
        parts.api_engine,
        lambda: parts.keyring,
        parts.main,
        parts.clock,
        parts.news,
    )
    gate, answers = parts.gate, Answers(parts.api_engine)
    teller, forms = Teller(keeper, enquiries, parts.patience), ExchangeForms(enquiries)
    checker = Checker(enquiries, forms)
    return Backend(keeper, gate, answers, teller, checker, parts.roster, forms)


def herald_of(parts: Parts) -> Herald:
    return Herald(parts.engine, parts.metrics, parts.clock, random.random)


def _ear(settings: Settings, engine: AsyncEngine) -> AsyncEngine | None:
    if settings.listen_url is None:
        return engine
    url = settings.listen_url.reveal()
    return make_engine(url, pool_size=1, name="BRIDGETENDER_LISTEN_URL") if url else None


@asynccontextmanager
async def open_the_bridge(wanted: BridgeSettings, clock: Clock) -> AsyncIterator[TradingBridge]:
    """Yield a bridge, for as long as it is looked after. Raises BadBridgeUrl."""
    opened = open_bridge(
        wanted.name,
        wanted.url,
        clock,
        access=wanted.access,
        plain_http=wanted.plain_http,
    )
    async with opened as bridge:
        yield bridge


def check_certificates(settings: Settings) -> None:
    """Raise BadSettings that names every file of certificates that will not do."""
    places = {f"bridge {bridge.name!r}: ": bridge.access for bridge in settings.bridges}
    places["webhook_"] = Access(ca_file=settings.webhook_ca_file)
    mistakes = []
    for place, access in places.items():
        try:
            tls_context(access)
        except BadBridgeUrl as error:
            mistakes.append(f"{place}{error}")
    if mistakes:
        raise BadSettings("\n".join(mistakes))


def _watch_pool(engine: AsyncEngine, metrics: Metrics) -> None:
    pool = engine.pool
    if isinstance(pool, QueuePool):
        metrics.db_pool_size.set_function(lambda: pool.checkedin() + pool.checkedout())
        metrics.db_pool_used.set_function(pool.checkedout)


async def open_vault(engine: AsyncEngine, keyring: Keyring) -> FernetVault:
    """Raises StoreError, and Undecryptable if this database was sealed with another key."""
    key = await fingerprint_key(engine, keyring.unseal, lambda: keyring.seal(new_key()))
    return FernetVault(keyring, key)
