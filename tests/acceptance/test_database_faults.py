"""The database fails in each way while the daemon runs; the daemon goes on by itself.

In every case the bridge forgets everything during the fault, so that there is work; liveness never
fails, and once the fault is over every key is live and health is well.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress

import anyio
import asyncpg
import pytest
from sqlalchemy import make_url

from daemon.embedded.postgres import Server
from tests.acceptance.firm import Firm, Site, start_slow_bridge
from tests.proxy import Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
_END_ALL = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = $1 AND pid <> pg_backend_pid()
"""


class Fault:
    """What may be done to a daemon's database, from outside."""

    def __init__(self, site: Site, firm: Firm, proxy: Proxy, root: asyncpg.Connection) -> None:
        self.site, self.firm, self.proxy, self.root = site, firm, proxy, root
        self.name = str(make_url(site.database_url).database)

    async def end_connections(self) -> None:
        await self.root.fetch(_END_ALL, self.name)

    async def told(self, status: int) -> None:
        await self.firm.until(lambda: self.firm.answers("/readyz/database", status))

    @asynccontextmanager
    async def failed_over(self) -> AsyncIterator[None]:
        """Every connection is killed, again and again."""
        for _ in range(3):
            await self.end_connections()
            await self.firm.until(lambda: self.firm.hears(well=True))
        yield

    @asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        await self._alter("SET default_transaction_read_only = on")
        await self.end_connections()
        await self.told(503)
        yield
        assert await self.firm.adds() == 0
        await self.firm.until(lambda: self.exports('lease_held{bridge="main"} 0.0'))
        assert not await self.exports("bridge_up{"), "the database's fault is not the bridge's"
        await self._alter("RESET default_transaction_read_only")

    @asynccontextmanager
    async def hung(self) -> AsyncIterator[None]:
        """The server, or the network before it, answers nothing and closes nothing."""
        self.proxy.hold()
        await self.told(503)
        yield
        assert await self.firm.adds() == 0
        self.proxy.let_go()

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Others have taken every connection of the server, also those that were ours."""
        async with AsyncExitStack() as others:
            while await self.firm.answers("/readyz/database", 200):
                await self.end_connections()
                with suppress(asyncpg.TooManyConnectionsError):
                    while True:
                        connection = await asyncpg.connect(self.site.server.dsn("postgres"))
                        others.push_async_callback(connection.close)
            yield
            assert await self.firm.adds() == 0

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """Somebody holds a lock on our table: nothing can be written, and the lease is kept."""
        (before,) = await self.firm.ask("SELECT epoch, expires_at FROM bridgetender.leases")
        connection = await asyncpg.connect(self.site.server.dsn(self.name))
        async with connection.transaction():
            await connection.execute("LOCK TABLE bridgetender.connectors IN EXCLUSIVE MODE")
            yield

            async def renewed_for_two_terms() -> bool:
                return bool(
                    await self.firm.ask(
                        "SELECT 1 FROM bridgetender.leases WHERE epoch = :epoch"
                        " AND expires_at > CAST(:before AS timestamptz) + interval '7 seconds'",
                        epoch=before[0],
                        before=before[1],
                    )
                )

            await self.firm.until(renewed_for_two_terms)
            assert await self.firm.adds() == 0
        await connection.close()

    async def exports(self, sample: str) -> bool:
        return f"\nbridgetender_{sample}" in (await self.firm.health("/metrics")).text

    async def _alter(self, how: str) -> None:
        await self.root.execute(f"ALTER DATABASE {self.name} {how}")


FAULTS: list[Callable[[Fault], AbstractAsyncContextManager[None]]] = [
    *(Fault.failed_over, Fault.read_only, Fault.hung, Fault.full, Fault.locked)
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_the_daemon_goes_on_after_its_database_has(
    fault: Callable[[Fault], AbstractAsyncContextManager[None]],
    site: Site,
    firm: Firm,
    postgres: Server,
) -> None:
    site.settings = {
        "BRIDGETENDER_LEASE_SECONDS": "3",
        "BRIDGETENDER_POLL_SECONDS": "1",
        "BRIDGETENDER_RESYNC_SECONDS": "1",
    }
    async with faulty(site, firm, postgres) as faults:
        await firm.add_clients(5, "binance", "okx")
        await start_slow_bridge(site, 0)
        await site.start_daemon()
        await firm.until_live()
        async with alive(firm):
            async with fault(faults):
                await site.kill("bridge")
                await start_slow_bridge(site, 0)
            await firm.until(firm.all_there)
            await firm.until_live()
            await firm.until(lambda: firm.answers("/readyz", 200))
            await firm.until(lambda: firm.answers("/healthz/bridges", 200))
            await firm.until(lambda: firm.hears(well=True))
        assert await firm.open_intents() == 0
        await site.stop("daemon")


@asynccontextmanager
async def faulty(site: Site, firm: Firm, postgres: Server) -> AsyncIterator[Fault]:
    """Lead the daemon to its database through a proxy, and the fault past it."""
    url = make_url(site.database_url)
    root = await asyncpg.connect(postgres.dsn("postgres"))
    async with Proxy(postgres.socket / ".s.PGSQL.5432").running() as proxy:
        site.database_url = (
            f"postgresql://{url.username}@127.0.0.1:{proxy.port}/{url.database}?sslmode=disable"
        )
        yield Fault(site, firm, proxy, root)
    await root.close()


@asynccontextmanager
async def alive(firm: Firm) -> AsyncIterator[None]:
    """Ask again and again whether the daemon lives, as a supervisor does."""
    answers: list[int] = []

    async def ask() -> None:
        while True:
            answers.append((await firm.health("/livez")).status_code)
            await anyio.sleep(0.2)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        yield
        tasks.cancel_scope.cancel()
    assert set(answers) == {200}
