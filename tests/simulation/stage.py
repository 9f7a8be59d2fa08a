"""The stage of one simulation: the firm, its hosts and its people's rows, all drawn from a seed."""

from collections.abc import Callable
from datetime import timedelta

import anyio

from reconciler.model import BridgeName, ClientId, KeyId, Slot
from reconciler.ports import Clients
from reconciler.slots import canonical
from reconciler.verdicts import ExchangeAway, Throttled, Unclear
from tests.fakes import FakeBridge, FakeClock, FakeWorld, Fault, Raises
from tests.simulation.network import Wires
from tests.simulation.profiles import Profile
from tests.simulation.properties import Journal, Watch
from tests.simulation.replicas import Firm, Host, Replica
from tests.simulation.tracing import Trace

NAMES = ("Acme", "acme", "Blue", "Cyan", "Dun", "Ecru")
EXCHANGES = ("binance", "kraken", "okx", "gate", "gateio", "gone")
MAIN, SECOND = BridgeName("main"), BridgeName("second")
SICK: dict[str, Fault] = {
    "bybit": Raises(Throttled("429", retry_after=timedelta(minutes=1))),
    "bitget": Raises(ExchangeAway("on maintenance")),
    "mexc": Raises(Unclear("500")),
}
"""What adding a key of these exchanges always meets, on a day of trouble."""
WRONG = "wrong"


class Stage:
    """Whatever can be acted upon, and what happened so far."""

    def __init__(self, profile: Profile, wires: Wires, firm: Firm) -> None:
        self.profile = profile
        self.wires = wires
        self.firm = firm
        self.chance = wires.chance
        self.world = firm.world
        self.hosts = [
            Host(name, firm, wires.around) for name in ("one", "two", "three")[: profile.replicas]
        ]
        self._faults_end = anyio.Event()
        self.lives: list[Replica] = []
        self.happened = 0
        """Events so far; each may be a reason to try again at once."""

    @property
    def trace(self) -> Trace:
        return self.wires.watch.trace

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Let the world *act* after so many seconds, unless faults have ended by then."""

        async def wait() -> None:
            with anyio.move_on_after(seconds):
                await self._faults_end.wait()
                return
            act()

        self.wires.around.start_soon(wait)

    def end_of_faults(self) -> None:
        """Let nothing go wrong and nobody change anything any more."""
        self._faults_end.set()
        self.wires.calm()
        for bridge in self.firm.bridges.values():
            bridge.heal()
        self.world.pauses.clear()
        for host in self.hosts:
            host.thaw()
            self.start(host)
        self.trace.tell("EVENT", "faults and changes end")

    # -- replicas

    def start(self, host: Host) -> None:
        host.start()
        if host.replica is not None and host.replica not in self.lives:
            self.lives.append(host.replica)

    def hint(self, clients: Clients) -> None:
        """Let every replica be told to look; a hint is lost, late or repeated now and then."""
        for host in self.hosts:
            for wait in self.chance.choices(((0.0,), (), (self._while(),), (0.0, 2.0)), _HINTS)[0]:
                self.later(wait, lambda host=host: _tell(host, clients))  # type: ignore[misc]

    def free(self, bridge: BridgeName) -> None:
        for host in self.hosts:
            if host.replica is not None and self.chance.random() < _HEARD:
                host.replica.ask(bridge)

    def _while(self) -> float:
        return self.chance.uniform(0, 60)

    # -- people's rows

    def any_key(self) -> KeyId | None:
        keys = list(self.world.keys)
        return self.chance.choice(keys) if keys else None

    def any_client(self) -> ClientId | None:
        clients = list(self.world.clients)
        return self.chance.choice(clients) if clients else None

    def any_bridge(self) -> FakeBridge:
        return self.chance.choice(list(self.firm.bridges.values()))

    def credentials(self) -> str | None:
        """Return some that others may have too, wrong ones, or mostly None: new ones."""
        drawn = self.chance.random()
        if drawn < _SHARED:
            return f"shared-{self.chance.randrange(3)}"
        return f"{WRONG}-{self.chance.randrange(3)}" if drawn < _SHARED + _WRONG else None

    async def client(self, name: str) -> ClientId:
        """Return the client of that name; a new one belongs to one of the bridges."""
        for client, row in self.world.clients.items():
            if row.name == name:
                return client
        client = await self.world.add_client(name)
        self.world.homes[client] = self.any_bridge().name
        return client

    async def add_key(self) -> ClientId:
        client = await self.client(self.chance.choice(NAMES))
        exchange, testnet = self.chance.choice(EXCHANGES), self.chance.random() < _TESTNET
        await self.world.add_key(client, exchange, api_key=self.credentials(), testnet=testnet)
        return client

    async def furnish(self) -> None:
        """Put the first rows there."""
        for number in range(self.profile.keys):
            client = await self.client(NAMES[number // 3 % len(NAMES)])
            await self.world.add_key(client, EXCHANGES[number % len(EXCHANGES)])
        if self.profile.trouble:
            client = await self.client("Acme")
            await self.world.add_key(client, "htx", api_key=f"{WRONG}-0")
            for exchange, fault in SICK.items():
                await self.world.add_key(client, exchange)
                for bridge in self.firm.bridges.values():
                    sick = Slot(bridge.name, self.world.account_of(client), canonical(exchange))
                    bridge.always("initialize", fault, slot=sick)


_HINTS = (0.7, 0.1, 0.1, 0.1)
_HEARD = 0.8
_SHARED, _WRONG, _TESTNET = 0.1, 0.12, 0.15


def _tell(host: Host, clients: Clients) -> None:
    if host.replica is not None:
        host.replica.look(clients)


def set_up(profile: Profile, wires: Wires) -> Stage:
    """Return the stage with everything on it, and nothing that runs yet."""
    chance = wires.chance
    names = (MAIN, SECOND)[: profile.bridges]
    bridges = [_bridge(name, story=chance.random() < _OF_THE_STORY) for name in names]
    return Stage(profile, wires, Firm(profile.rules, bridges, wires))


_OF_THE_STORY = 0.3


def _bridge(name: BridgeName, *, story: bool) -> FakeBridge:
    bridge = FakeBridge(name, labels=not story, removes=not story, proves=not story)
    bridge.refused |= {f"{WRONG}-{number}" for number in range(3)}
    bridge.unsupported |= {"gone", "gone_testnet"}
    return bridge


def new_watch(trace: Trace) -> Watch:
    """Return a watch over an empty world and an empty database."""
    tables = Journal(FakeClock())
    watch = Watch(FakeWorld(), tables, trace)
    tables.watch = watch
    return watch
