"""A firm on a stage: its clients, their keys, and what has become of them. Real processes."""

import base64
import os
import secrets
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from sqlalchemy import text

from daemon.embedded.stage import Stage
from daemon.store.engine import transaction
from daemon.store.people import People, SealedEntry
from daemon.store.status import KeyStatus, Status
from daemon.vault import Keyring
from daemon.wiring import open_vault
from reconciler.model import BridgeName, ClientId, Credentials, KeyId, Phase, Secret
from reconciler.slots import account_name

MAIN = BridgeName("main")
PATIENCE = 60.0
"""Seconds after which a test gives up on a condition, on however busy a machine."""
_GLANCE = 0.03
CANARY = b"CANARY"
MARK = base64.b64encode(CANARY).decode()
"""All that is issued begins like this, so that also a part of it is found where it must not be."""
Condition = Callable[[], Awaitable[object]]


@dataclass
class Site(Stage):
    """A stage on a database of its own, whose daemon says all that it can."""

    database_url: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    """Of every daemon that is started from now on."""

    def environment(self, health_port: int = 0, api_port: int = 0) -> dict[str, str]:
        return Stage.environment(self, health_port, api_port) | {
            "DATABASE_URL": self.database_url,
            "BRIDGETENDER_LOG_LEVEL": "DEBUG",
            **self.settings,
        }

    async def start_replica(self, name: str, **settings: str) -> None:
        """Start a daemon beside others, which differs from them in *settings*."""
        await self.start(name, ["-m", "daemon"], self.environment() | settings)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self.children[name].pid, number)

    async def stop_all(self) -> None:
        for name in self.children.keys() - {"bridge", "paper"}:
            await self.stop(name)
        await Stage.stop_all(self)

    def logged(self, name: str = "daemon") -> str:
        log = self.logs / f"{name}.log"
        return log.read_text() if log.exists() else ""


@dataclass(frozen=True)
class Issued:
    """Credentials in plaintext, as only a test has them."""

    api_key: str
    api_secret: str
    passphrase: str | None = None

    def plain(self) -> list[str]:
        return [self.api_key, self.api_secret, *([self.passphrase] if self.passphrase else [])]

    def sealed(self) -> Credentials:
        passphrase = Secret(self.passphrase) if self.passphrase else None
        return Credentials(Secret(self.api_key), Secret(self.api_secret), passphrase)


def issue(exchange: str = "binance") -> Issued:
    api_secret = base64.b64encode(CANARY + secrets.token_bytes(42)).decode()  # Kraken's are base64
    passphrase = MARK + secrets.token_urlsafe(12) if exchange in ("okx", "kucoin") else None
    return Issued(MARK + secrets.token_urlsafe(18), api_secret, passphrase)


class Firm:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.people = People(site.engine)
        self.status = Status(site.engine, MAIN)
        self.keyring = Keyring([site.encryption_key])
        self.keys: dict[KeyId, Issued] = {}
        """What each key holds now."""
        self.issued: dict[str, set[str]] = defaultdict(set)
        """Every api_key that may ever be sent to an account."""
        self.secrets = {site.encryption_key.reveal()}
        """Everything that nobody may see, ever."""
        self._accounts: dict[ClientId, str] = {}

    # -- people

    async def add_client(self, name: str) -> ClientId:
        client = await self.people.add_client(name)
        self._accounts[client] = account_name(name)
        return client

    async def add_key(
        self, client: ClientId, exchange: str = "binance", issued: Issued | None = None
    ) -> KeyId:
        issued = issued or issue(exchange)
        self.issued[self._accounts[client]].add(issued.api_key)
        key = await self.people.add_key(client, self._sealed(exchange, issued))
        self.keys[key] = issued
        return key

    async def add_clients(self, count: int, *exchanges: str) -> list[KeyId]:
        """Store that many clients with a key on each of *exchanges*."""
        added = []
        for _ in range(count):
            client = await self.add_client(f"Client {len(self._accounts)}")
            added += [await self.add_key(client, exchange) for exchange in exchanges]
        return added

    async def delete_key(self, key: KeyId) -> None:
        await self.people.delete_key(key)
        del self.keys[key]

    async def rotate(self, key: KeyId, issued: Issued | None = None) -> Issued:
        now = (await self.standing())[key]
        issued = issued or issue(now.exchange)
        self.issued[now.account].add(issued.api_key)
        await self.people.replace(key, self._sealed(now.exchange, issued))
        self.keys[key] = issued
        return issued

    def _sealed(self, exchange: str, issued: Issued) -> SealedEntry:
        self.secrets.update(issued.plain())
        seal = self.keyring.seal
        return SealedEntry(
            exchange,
            seal(Secret(issued.api_key)),
            seal(Secret(issued.api_secret)),
            seal(Secret(issued.passphrase)) if issued.passphrase else None,
        )

    # -- what became of it

    async def standing(self) -> dict[KeyId, KeyStatus]:
        return {key.key_id: key for key in await self.status.keys()}

    async def until(self, true: Condition) -> None:
        """Wait for a condition; give up with a picture of how things stand."""
        with anyio.move_on_after(PATIENCE):
            while not await true():  # noqa: ASYNC110  (other processes have no events)
                await anyio.sleep(_GLANCE)
            return
        told = [f"{k.phase}/{k.reason}: {k.message}" for k in await self.status.keys()]
        raise AssertionError(f"still waiting; the keys are {told}")

    async def until_logged(self, daemon: str, words: str, times: int = 1) -> None:
        async def logged() -> bool:
            return self.site.logged(daemon).count(words) >= times

        await self.until(logged)

    async def phases(self, *phases: str) -> int:
        """Count the keys in one of *phases*."""
        return sum(key.phase in phases for key in await self.status.keys())

    async def until_live(self, count: int | None = None) -> None:
        """Wait until all keys are live, or at least *count* of them."""
        needed = len(self.keys) if count is None else count

        async def live() -> bool:
            return await self.phases(Phase.LIVE) >= needed

        await self.until(live)

    async def ask(self, query: str, **values: object) -> Sequence[tuple[Any, ...]]:
        async with transaction(self.site.engine) as connection:
            return [tuple(row) for row in await connection.execute(text(query), values)]

    async def open_intents(self) -> int:
        rows = await self.ask(
            "SELECT count(*) FROM bridgetender.connectors WHERE intent_epoch IS NOT NULL"
        )
        return int(rows[0][0])

    async def attempts(self, action: str = "initialize") -> int:
        rows = await self.ask(
            "SELECT count(*) FROM bridgetender.attempts WHERE action = :action", action=action
        )
        return int(rows[0][0])

    async def fingerprints(self) -> dict[KeyId, str]:
        """Return the label that a bridge should list each key's connector with."""
        vault = await open_vault(self.site.engine, self.keyring)
        return {key: vault.fingerprint(issued.sealed()) for key, issued in self.keys.items()}

    async def labels_wanted(self) -> dict[tuple[str, str], str]:
        """Return what a bridge should list: the fingerprint of every key, in its own place."""
        labels = await self.fingerprints()
        keys = await self.status.keys()
        return {(k.account, k.connector): labels[k.key_id] for k in keys}

    async def labels_listed(self) -> dict[tuple[str, str], str]:
        async with self.bridge() as bridge:
            rows = (await bridge.get("/connectors")).json()["connectors"]
        return {(row["account"], row["connector"]): row["fingerprint"] for row in rows}

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.AsyncHTTPTransport(uds=self.site.bridge_url.removeprefix("unix:"))
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
            yield client

    async def holders(self) -> dict[str, str]:
        """Return the pid of the replica that has each bridge."""
        rows = await self.ask(
            "SELECT bridge, split_part(holder, ':', 2) FROM bridgetender.leases"
            " WHERE expires_at > clock_timestamp()"
        )
        return dict(rows)

    async def is_held_by(self, name: str) -> bool:
        return (await self.holders()).get(MAIN) == str(self.site.children[name].pid)

    async def is_awaited(self) -> bool:
        """Tell whether a replica stands by."""
        return bool(await self.ask("SELECT 1 FROM bridgetender.waiting"))

    async def adds(self) -> int:
        """Return how many adds the slow bridge was asked for."""
        async with self.bridge() as bridge:
            return int((await bridge.get("/calls")).json().get("add", 0))

    async def all_there(self) -> bool:
        """Tell whether the bridge has every key's connector with its newest credentials."""
        return await self.labels_listed() == await self.labels_wanted()

    async def answers(self, path: str, status: int, daemon: str = "daemon") -> bool:
        return (await self.health(path, daemon)).status_code == status

    async def hears(self, *, well: bool, daemon: str = "daemon") -> bool:
        """Tell what a daemon says of its LISTEN."""
        said = (await self.health("/metrics", daemon)).text
        return f"bridgetender_listen_connected {float(well)}" in said

    async def health(self, path: str, daemon: str = "daemon") -> httpx.Response:
        async with spoken_to(self.site.addresses[daemon]) as client:
            return await client.get(path)

    async def issue_on_paper(self, exchange: str, issued: Issued, **holds: str) -> None:
        """Let the paper exchange know these credentials."""
        account = {
            "exchange": exchange,
            "api_key": issued.api_key,
            "api_secret": issued.api_secret,
            "password": issued.passphrase or "",
            "balances": holds,
        }
        async with spoken_to(self.site.addresses["paper"]) as paper:
            (await paper.post("/_paper/credentials", json=account)).raise_for_status()


def spoken_to(url: str) -> httpx.AsyncClient:
    """Return a client that loads no certificates: that takes longer than what it asks."""
    return httpx.AsyncClient(base_url=url, verify=False)


async def start_slow_bridge(site: Site, latency: float) -> None:
    """Start a bridge that keeps labels, and takes *latency* seconds for each call."""
    uds = site.bridge_url.removeprefix("unix:")
    program = ["-m", "bench.slow_bridge", "--uds", uds, "--latency", str(latency)]
    await site.start("bridge", program)
