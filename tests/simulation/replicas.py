"""Hosts on which a replica of the daemon runs, freezes, crashes, stops, and is started again."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random

import anyio
from anyio.abc import TaskGroup

from reconciler.desk import Ports
from reconciler.loop import Loop
from reconciler.model import BridgeName
from reconciler.ports import Clients
from reconciler.rules import Rules
from tests.fakes import (
    FakeBridge,
    FakeClock,
    FakeKeys,
    FakeLeases,
    FakeLedger,
    FakeVault,
    FakeWorld,
    RecordingMeter,
    Tables,
)
from tests.simulation.freezing import Process, inside
from tests.simulation.network import FarBridge, FarKeys, FarLeases, FarLedger, Sender, Wires


class Firm:
    """What all replicas share: the rules, the database, the bridges and the way to them."""

    def __init__(self, rules: Rules, bridges: Sequence[FakeBridge], wires: Wires) -> None:
        self.rules = rules
        self.bridges: Mapping[BridgeName, FakeBridge] = {each.name: each for each in bridges}
        self.wires = wires
        self.world: FakeWorld = wires.watch.world
        self.tables: Tables = wires.watch.tables
        self.keys = FakeKeys(self.world, self.tables)
        self.ledger = FakeLedger(self.world, self.tables, self.keys)

    @property
    def chance(self) -> Random:
        return self.wires.chance


class Replica(Process):
    """One life of the daemon on one host."""

    def __init__(self, name: str, clock: FakeClock, firm: Firm) -> None:
        super().__init__()
        self.name = name
        self._clock = clock
        self._firm = firm
        self._stop = anyio.Event()
        self.ended = anyio.Event()
        self._loops = {bridge: Loop(bridge, self._ports(bridge)) for bridge in firm.bridges}

    def _ports(self, bridge: BridgeName) -> Ports:
        firm, sender = self._firm, Sender(self.name, self, self._firm.wires)
        return Ports(
            clock=self._clock,
            leases=FarLeases(FakeLeases(firm.tables, self.name, firm.rules.lease), sender),
            keys=FarKeys(firm.keys, sender),
            ledger=FarLedger(firm.ledger, sender),
            bridge=FarBridge(firm.bridges[bridge], sender),
            vault=FakeVault(),
            meter=RecordingMeter(),
            draw=firm.chance.random,
            rules=firm.rules,
        )

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks:
            for loop in self._loops.values():
                tasks.start_soon(loop.run, self._stop)
        self.ended.set()

    def stop(self) -> None:
        """Ask it to end as a signal does; a frozen one hears of it when it thaws."""
        with inside(self):
            self._stop.set()

    def look(self, clients: Clients) -> None:
        for loop in self._loops.values():
            loop.look(clients)

    def ask(self, bridge: BridgeName) -> None:
        self._loops[bridge].ask()


class Host:
    """A machine with a clock of its own, on which at most one replica runs."""

    def __init__(self, name: str, firm: Firm, around: TaskGroup) -> None:
        self.name = name
        self.clock = FakeClock()
        self._firm = firm
        self._around = around
        self._lives = 0
        self.replica: Replica | None = None

    @property
    def frozen(self) -> bool:
        return self.replica is not None and self.replica.frozen

    def start(self) -> None:
        if self.replica is not None and not self.replica.ended.is_set():
            return
        self._lives += 1
        self.replica = Replica(f"{self.name}.{self._lives}", self.clock, self._firm)
        with inside(self.replica):
            self._around.start_soon(self.replica.run)
        self._tell("starts")

    def stop(self) -> None:
        if self.replica is not None and not self.frozen:
            self.replica.stop()
            self._tell("is told to stop")

    def crash(self) -> None:
        """End it between two instructions: it does, sends and cleans up nothing more."""
        if self.replica is not None:
            self.replica.freeze()
            self.replica.ended.set()
            self._tell("crashes")
            self.replica = None

    def freeze(self) -> None:
        if self.replica is not None and not self.frozen:
            self.replica.freeze()
            self._tell("freezes")

    def thaw(self) -> None:
        if self.replica is not None and self.frozen:
            self._tell("thaws")
            self.replica.thaw()

    def jump(self, ahead: timedelta) -> None:
        """Let its wall clock be *ahead* of what went by."""
        self.clock.ahead = ahead
        self._tell(f"has its clock {ahead.total_seconds():+.0f} s off")

    def _tell(self, what: str) -> None:
        self._firm.wires.watch.trace.tell(self.replica.name if self.replica else self.name, what)
