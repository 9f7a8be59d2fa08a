"""A real Loop on a real PostgreSQL, before a fake bridge."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from anyio.abc import TaskStatus
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.clock import SystemClock
from daemon.store.engine import transaction
from daemon.store.listen import Heed, Patience, listen
from daemon.store.status import Status
from reconciler.desk import Ports
from reconciler.loop import Loop
from reconciler.model import Credentials, KeyId, SealedKey, Secret
from reconciler.ports import Clients, Meter
from reconciler.rules import Rules
from tests.contracts.postgres import PostgresStore
from tests.fakes import BRIDGE, FakeBridge, RecordingMeter, fingerprint_of

PATIENCE = 30.0
HOUR = timedelta(hours=1)
DEAF = Rules(resync=HOUR, pulse=HOUR)
"""Nothing is looked at again without a reason."""


class PlainVault:
    """Of a database whose ciphertexts are plaintexts."""

    def open(self, sealed: SealedKey) -> Credentials:
        return Credentials(Secret(sealed.api_key), Secret(sealed.api_secret))

    def fingerprint(self, credentials: Credentials) -> str:
        return fingerprint_of(credentials.api_key.reveal())


class House:
    def __init__(
        self, engine: AsyncEngine, rules: Rules = DEAF, meter: Meter | None = None
    ) -> None:
        self.engine = engine
        self.store = PostgresStore(engine)
        self.world = self.store.world
        self.status = Status(engine, BRIDGE)
        self.bridge = FakeBridge()
        self.meter = RecordingMeter()
        self.ports = Ports(
            clock=SystemClock(),
            leases=self.store.leases,
            keys=self.store.keys,
            ledger=self.store.ledger,
            bridge=self.bridge,
            vault=PlainVault(),
            meter=meter or self.meter,
            draw=lambda: 0.5,
            rules=rules,
        )
        self.loop = Loop(BRIDGE, self.ports)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the loop; in the end, stop it as a signal would."""
        stop, ended = anyio.Event(), anyio.Event()

        async def run(*, task_status: TaskStatus[None]) -> None:
            task_status.started()
            await self.loop.run(stop)
            ended.set()

        async with anyio.create_task_group() as tasks:
            await tasks.start(run)
            yield
            stop.set()
            await ended.wait()

    async def standing(self) -> dict[KeyId, tuple[str, str]]:
        return {key.key_id: (key.phase, key.reason) for key in await self.status.keys()}

    async def until_standing(self, phases: dict[KeyId, tuple[str, str]]) -> None:
        async def so() -> bool:
            return await self.standing() == phases

        await until(so)

    async def until_live(self, key: KeyId) -> None:
        async def live() -> bool:
            return (await self.standing())[key][0] == "live"

        await until(live)

    async def do(self, *statements: str) -> None:
        """Change the database as nobody should, in one transaction."""
        async with transaction(self.engine) as connection:
            for statement in statements:
                await connection.execute(text(statement))


async def heard_by(
    engine: AsyncEngine,
    look: Callable[[Clients], None],
    connected: Callable[[bool], None],
    *,
    poll: float,
) -> None:
    """Listen through *engine*, for ever."""
    heed = Heed(look, lambda _: None, connected)
    await listen(engine, engine, heed, Patience(poll=poll))


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what the database alone can tell."""
    with anyio.fail_after(PATIENCE):
        while not await true():  # noqa: ASYNC110  (another process has no events)
            await anyio.sleep(0.01)


async def once(true: Callable[[], bool]) -> None:
    """Wait for what this process can tell."""
    with anyio.fail_after(PATIENCE):
        while not true():  # noqa: ASYNC110
            await anyio.sleep(0.005)
