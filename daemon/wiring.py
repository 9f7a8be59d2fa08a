"""The only place that names concrete classes: settings in, a daemon's parts out."""

import os
import random
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool

from daemon.bridges.trading import TradingBridge, open_bridge
from daemon.clock import SystemClock
from daemon.metrics import Metrics
from daemon.settings import Settings
from daemon.store.engine import make_engine
from daemon.store.keyring import fingerprint_key
from daemon.store.keys import PostgresKeys
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.vault import FernetVault, Keyring, new_key
from daemon.vitals import Vitals
from daemon.watch import TimedBridge, Watch
from reconciler.desk import Ports
from reconciler.ports import Bridge, Clock, Vault
from reconciler.rules import Rules

STATEMENT = 30.0
"""Seconds that a statement may take; a survey of a million keys takes a few."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What one daemon is made of, but for its loop, which needs a vault and so a database."""

    settings: Settings
    engine: AsyncEngine
    ear: AsyncEngine | None
    """What LISTEN goes through, if through anything."""
    ledger: PostgresLedger
    metrics: Metrics
    vitals: Vitals
    watch: Watch
    clock: Clock
    rules: Rules

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises StoreError for a database URL that is none."""
        engine = make_engine(settings.database_url.reveal(), patience=STATEMENT)
        metrics, vitals, clock = Metrics(), Vitals(), SystemClock()
        metrics.start_at_zero(settings.bridge)
        vitals.of(settings.bridge)
        _watch_pool(engine, metrics)
        watch = Watch(metrics, vitals, clock)
        ledger, ear = PostgresLedger(engine), _ear(settings, engine)
        return cls(settings, engine, ear, ledger, metrics, vitals, watch, clock, _rules(settings))

    def ports(self, bridge: Bridge, vault: Vault) -> Ports:
        """Return the outside world of the loop."""
        return Ports(
            clock=self.clock,
            leases=PostgresLeases(self.engine, holder_name(), self.rules.lease),
            keys=PostgresKeys(self.engine),
            ledger=self.ledger,
            bridge=TimedBridge(bridge, self.settings.bridge, self.metrics),
            vault=vault,
            meter=self.watch,
            draw=random.random,
            rules=self.rules,
        )


def _rules(settings: Settings) -> Rules:
    lease = timedelta(seconds=settings.lease_seconds)
    return Rules(
        resync=timedelta(seconds=settings.resync_seconds),
        concurrency=settings.concurrency,
        lease=lease,
        renew=lease / 3,
        courtesy=lease * 2 / 3,
    )


def _ear(settings: Settings, engine: AsyncEngine) -> AsyncEngine | None:
    if settings.listen_url is None:
        return engine
    url = settings.listen_url.reveal()
    return make_engine(url, pool_size=1, name="BRIDGETENDER_LISTEN_URL") if url else None


@asynccontextmanager
async def open_the_bridge(parts: Parts) -> AsyncIterator[TradingBridge]:
    """Yield the bridge, for the life of the process. Raises BadBridgeUrl."""
    token = parts.settings.bridge_token
    async with open_bridge(
        parts.settings.bridge,
        parts.settings.bridge_url,
        parts.clock,
        token=token.reveal() if token else None,
    ) as bridge:
        yield bridge


def _watch_pool(engine: AsyncEngine, metrics: Metrics) -> None:
    pool = engine.pool
    if isinstance(pool, QueuePool):
        metrics.db_pool_size.set_function(lambda: pool.checkedin() + pool.checkedout())
        metrics.db_pool_used.set_function(pool.checkedout)


async def open_vault(engine: AsyncEngine, keyring: Keyring) -> FernetVault:
    """Raises StoreError, and Undecryptable if this database was sealed with another key."""
    key = await fingerprint_key(engine, keyring.unseal, lambda: keyring.seal(new_key()))
    return FernetVault(keyring, key)


def holder_name() -> str:
    """Return a name for this replica that no other has and that an operator recognizes."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
