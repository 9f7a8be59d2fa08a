"""Where faults happen: real processes, each fault with a database, a daemon and people of its own.

daemon --(Proxy: TCP)--> PostgreSQL             one cluster for all, which may die
   '--(socket, or Relay: HTTP)--> bridge --> paper exchange
"""

import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import quote

import anyio
import asyncpg

from daemon.embedded.cluster import ROLE
from daemon.embedded.kept import Kept
from daemon.embedded.postgres import claimed, served
from daemon.embedded.sockets import NAME, short_path
from daemon.store import schema
from daemon.store.engine import dispose, make_engine
from daemon.vault import new_key
from tests.acceptance.firm import Firm, Site
from tests.faults.crowd import Crowd
from tests.faults.relay import Relay, relaying
from tests.proxy import Proxy

TEMPLATE = "migrated"
HASTY = {
    "BRIDGETENDER_LEASE_SECONDS": "3",
    "BRIDGETENDER_POLL_SECONDS": "0.5",
    "BRIDGETENDER_PULSE_SECONDS": "0.3",
    "BRIDGETENDER_RESYNC_SECONDS": "1",
    "BRIDGETENDER_SECOND_LOOK_SECONDS": "0.2",
    "BRIDGETENDER_VERIFY_AGAIN_SECONDS": "1",
    "BRIDGETENDER_GRACE_SECONDS": "5",
}
"""What a daemon does every half minute in the field it does every second here."""
SHARED = frozenset({"bridge", "paper"})
"""Processes that outlive a scene."""


@dataclass
class Scene:
    """All that a fault may touch."""

    site: Site
    cluster: Kept
    wire: Proxy
    relay: Relay
    chance: random.Random
    firm: Firm
    crowd: Crowd
    afterwards: AsyncExitStack
    """What is to last until the daemons have stopped."""
    unmanaged: set[tuple[str, str]] = field(default_factory=set)
    """Slots (account, connector) that no daemon can know to be ours."""
    elsewhere: list[str] = field(default_factory=list)
    """What was heard where nobody of ours should ever send anything."""
    logs: list[Path] = field(default_factory=list)
    """More of them than those of the site."""

    @property
    def database(self) -> str:
        return str(self.site.engine.url.database)

    @property
    def daemons(self) -> list[str]:
        return sorted(self.site.children.keys() - SHARED)

    async def start_bridge(self) -> None:
        await self.site.start_bridge("--log-level", "DEBUG")

    async def restart_bridge(self) -> None:
        """Kill it and start it anew, empty."""
        await self.site.kill("bridge")
        await self.start_bridge()

    async def restart_daemon(self, **settings: str) -> None:
        """Stop the one daemon in order, and start it with more *settings*."""
        await self.site.stop("daemon")
        await self.site.start_replica("daemon", **settings)

    async def through_relay(self) -> None:
        """Let the daemon ask its bridge through the relay."""
        self.site.settings["TRADING_BRIDGE_URL"] = self.relay.url
        await self.restart_daemon()

    async def crash_database(self) -> None:
        """Kill the server, and start it anew."""
        self.cluster.server.kill()
        await self.cluster.server.wait()
        await self.restart_database()

    async def restart_database(self) -> None:
        """Let the server stop, if it runs still, and start it anew."""
        await self.cluster.stop()
        await self.cluster.start()
        self.site.server = self.cluster.server

    async def pause(self, least: float, most: float) -> None:
        """Wait for a random time, in seconds."""
        await anyio.sleep(self.chance.uniform(least, most))

    @asynccontextmanager
    async def connected(self, database: str | None = None) -> AsyncIterator[asyncpg.Connection]:
        """Yield a connection that does not go through the daemon's proxy."""
        connection = await asyncpg.connect(self.cluster.dsn(database or self.database))
        try:
            yield connection
        finally:
            await connection.close()

    async def sql(self, *statements: str, database: str | None = None) -> None:
        async with self.connected(database) as connection:
            for statement in statements:
                await connection.execute(statement)

    async def end_connections(self, where: str = "true") -> None:
        """End all connections to this database, or those *where* something is true."""
        await self.sql(_END.format(self.database, where), database="postgres")


_END = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = '{}' AND pid <> pg_backend_pid() AND ({})
"""


class Stand:
    """What all scenes share: PostgreSQL, the paper exchange and a bridge."""

    def __init__(self, site: Site, cluster: Kept) -> None:
        self.site, self.cluster = site, cluster
        self._numbers = count(1)

    @asynccontextmanager
    async def scene(self, chance: random.Random) -> AsyncIterator[Scene]:
        """Set a scene with a new database and one daemon; take it down again."""
        database = f"fault_{next(self._numbers)}"
        await self.cluster.server.create_database(database, TEMPLATE)
        async with AsyncExitStack() as stack:
            afterwards = await stack.enter_async_context(AsyncExitStack())
            self.site.engine = make_engine(self.cluster.url(database))
            stack.push_async_callback(self._tidy, database)
            wire = Proxy(self.cluster.server.socket / NAME)
            await stack.enter_async_context(wire.running())
            socket = Path(self.site.bridge_url.removeprefix("unix:"))
            relay = await stack.enter_async_context(relaying(socket))
            self.site.settings = dict(HASTY)
            self.site.database_url = (
                f"postgresql://{ROLE}@127.0.0.1:{wire.port}/{database}?sslmode=disable"
            )
            firm = Firm(self.site)
            crowd = Crowd(firm, chance)
            yield Scene(self.site, self.cluster, wire, relay, chance, firm, crowd, afterwards)

    async def _tidy(self, database: str) -> None:
        """End the daemons, empty the bridge, drop the database, begin new logs."""
        with anyio.CancelScope(shield=True):
            for name in self.site.children.keys() - SHARED:
                await self.site.stop(name)
            await self._empty_bridge()
            await dispose(self.site.engine)
            if self.cluster.server.child.returncode is not None:
                await self.cluster.stop()
                await self.cluster.start()
            await self.cluster.server.drop_database(database)
            for log in (*self.site.logs.iterdir(), self.cluster.server.log):
                os.truncate(log, 0)

    async def _empty_bridge(self) -> None:
        """Remove what the bridge holds; one that was left dead is started anew."""
        bridge = self.site.children.get("bridge")
        if bridge is None or bridge.returncode is not None:
            await self.site.stop("bridge")
            await self.site.start_bridge("--log-level", "DEBUG")
        async with Firm(self.site).bridge() as asked:
            for row in (await asked.get("/connectors")).json()["connectors"]:
                place = (quote(row[name], safe="") for name in ("account", "connector"))
                await asked.delete("/connectors/" + "/".join(place))


@asynccontextmanager
async def stand(directory: Path) -> AsyncIterator[Stand]:
    """Start below *directory* what all scenes share. Raises EmbeddedError."""
    (directory / "logs").mkdir(mode=0o700)
    async with AsyncExitStack() as stack:
        home = stack.enter_context(claimed(directory / "postgres"))
        cluster = Kept(lambda: served(home))
        stack.push_async_callback(cluster.stop)
        await cluster.start()
        engine = make_engine(cluster.url(TEMPLATE))
        await cluster.server.create_database(TEMPLATE)
        await schema.migrate(engine)
        await engine.dispose()
        socket = stack.enter_context(short_path(directory / "bridge.sock"))
        site = Site(directory, cluster.server, engine, new_key(), f"unix:{socket}")
        site.key_file.touch(mode=0o600)
        site.key_file.write_text(site.encryption_key.reveal())
        try:
            await site.start_paper()
            await site.start_bridge("--log-level", "DEBUG")
            yield Stand(site, cluster)
        finally:
            with anyio.CancelScope(shield=True):
                await site.stop_all()
