"""A real Loop among fakes, and what may be asked of the whole."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anyio
from anyio.abc import TaskStatus

from reconciler.desk import Ports
from reconciler.loop import Loop
from reconciler.model import SETTLED, Phase, Record, Slot
from reconciler.ports import Leases
from reconciler.rules import Rules
from reconciler.slots import claim, elect
from tests.fakes import (
    BRIDGE,
    Call,
    FakeBridge,
    FakeClock,
    FakeStore,
    FakeVault,
    RecordingMeter,
)


@dataclass
class House:
    bridge: FakeBridge = field(default_factory=FakeBridge)
    rules: Rules = field(default_factory=Rules)
    clock: FakeClock = field(default_factory=FakeClock)
    meter: RecordingMeter = field(default_factory=RecordingMeter)
    strays: list[Call] = field(default_factory=list)
    """Calls that brought credentials into an account that is not their client's."""
    stop: anyio.Event = field(default_factory=anyio.Event)

    def __post_init__(self) -> None:
        self.store = FakeStore(self.clock, self.rules.lease)
        self.world = self.store.world
        self.tables = self.store.tables
        self.bridge.on_call = self._watch
        self.loop = self.replica(self.store.leases)

    def replica(self, leases: Leases) -> Loop:
        return Loop(BRIDGE, self.ports(leases))

    def ports(self, leases: Leases) -> Ports:
        return Ports(
            clock=self.clock,
            leases=leases,
            keys=self.store.keys,
            ledger=self.store.ledger,
            bridge=self.bridge,
            vault=FakeVault(),
            meter=self.meter,
            draw=lambda: 0.5,
            rules=self.rules,
        )

    def _watch(self, call: Call) -> None:
        if call.slot is not None and call.api_key is not None:
            owner = self.tables.accounts.get((BRIDGE, call.slot.account))
            if owner not in self.world.issued[call.api_key]:
                self.strays.append(call)

    # -- time

    @asynccontextmanager
    async def running(self, loop: Loop | None = None) -> AsyncIterator[None]:
        """Run the loop, or another replica's; in the end, stop it as a signal would."""
        ended = anyio.Event()

        async def run(*, task_status: TaskStatus[None]) -> None:
            task_status.started()
            await (loop or self.loop).run(self.stop)
            ended.set()

        async with anyio.create_task_group() as tasks:
            await tasks.start(run)
            yield
            self.stop.set()
            await ended.wait()

    async def at_rest(self, within: float = 60) -> float:
        """Wait until every desired key is live there and nothing else is; return the seconds."""
        asked, waited = anyio.current_time(), 0.0
        while not self.all_well():
            assert waited < within, self.phases()
            await anyio.sleep(max(0.1, waited / 50))
            waited = anyio.current_time() - asked
        return waited

    # -- truth

    def slot(self, connector: str = "binance", account: str = "client_acme") -> Slot:
        return Slot(BRIDGE, account, connector)

    def record(self, connector: str = "binance", account: str = "client_acme") -> Record:
        return self.tables.records[self.slot(connector, account)]

    def phases(self) -> dict[str, str]:
        return {
            str(slot): f"{record.phase}/{record.reason} due {record.due_at} {record.message}"
            for slot, record in self.tables.records.items()
        }

    def wanted(self) -> dict[Slot, str]:
        """Return which credentials should be where, accounts that nobody claimed yet included."""
        owned = {account: who for (_, account), who in self.tables.accounts.items()}
        candidates = self.world.candidates()
        holders = elect(candidates, claim(candidates, owned)).holders
        return {Slot(BRIDGE, *at): self.world.keys[key].api_key for at, key in holders.items()}

    def there(self) -> dict[Slot, str]:
        return {slot: each.api_key for slot, each in self.bridge.connectors.items()}

    def all_well(self) -> bool:
        live = {s for s, r in self.tables.records.items() if r.phase is Phase.LIVE}
        wanted = self.wanted()
        return self.there() == wanted and live == set(wanted) == set(self.tables.records)

    def settled(self) -> bool:
        return all(record.phase in SETTLED for record in self.tables.records.values())


def story(rules: Rules | None = None) -> House:
    """Return a house with the bridge of the story."""
    return House(FakeBridge.of_the_story(), rules or Rules())


CALM = Rules(
    resync=timedelta(minutes=10),
    pulse=timedelta(minutes=10),
    lease=timedelta(minutes=15),
    renew=timedelta(minutes=5),
)
"""For tests of whole days in which nothing is lost: it looks around less often."""
HOUR = 3600.0
DAY = 24 * HOUR
