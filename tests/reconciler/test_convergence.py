"""The property that must always hold.

If desired state stops changing and faults stop, the system settles within a bounded time, every
active valid key is live, nothing we own is left over, and it stays so without any call that
changes something. At every moment each unsettled slot has a due time. Whatever the fault, no
credentials are sent to an account that is not their client's.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from reconciler.model import SETTLED, KeyId, Phase, Reason, Record, StoredKey
from reconciler.rules import Rules
from reconciler.verdicts import ExchangeAway, Refused, Throttled, Unavailable, Unclear
from tests.fakes import (
    BRIDGE,
    Asked,
    Dawdles,
    FakeBridge,
    Fault,
    Hangs,
    HappensBut,
    Installed,
    Lacks,
    Lies,
    Raises,
    fingerprint_of,
)
from tests.reconciler.house import HOUR, House

RULES = Rules(
    resync=timedelta(minutes=2),
    pulse=timedelta(minutes=1),
    lease=timedelta(minutes=3),
    renew=timedelta(minutes=1),
    concurrency=4,
)
BOUND = 8 * HOUR
"""A false refusal is asked about again after six hours; whatever else is over long before."""
NAMES = ("Acme", "acme", "Blue")
EXCHANGES = ("binance", "kraken", "gone")
CREDENTIALS = ("a", "b", "c", "wrong")
STRANGER = "a stranger's"


class Play:
    """A house to which things happen."""

    def __init__(self, bridge: FakeBridge) -> None:
        self.house = House(bridge, RULES)
        self.world = self.house.world
        self.bridge = bridge
        bridge.refused.add("wrong")
        bridge.unsupported |= {"gone", "gone_testnet"}
        self.crashes = 0
        self.crashed = anyio.Event()

    def key(self, number: int) -> KeyId | None:
        keys = list(self.world.keys)
        return keys[number % len(keys)] if keys else None

    # -- running

    async def run(self, events: "list[Event]") -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._replicas)
            for event in events:
                await event(self)
                self.check()
            self._end_of_faults()
            await self._settle()
            await self._stay_so()
            tasks.cancel_scope.cancel()

    async def _replicas(self) -> None:
        while True:
            store = self.house.store
            loop = self.house.replica((store.leases, store.rival)[self.crashes % 2])
            self.house.loop = loop
            self.crashed = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(loop.run, anyio.Event())
                await self.crashed.wait()
                self.crashes += 1
                tasks.cancel_scope.cancel()

    def _end_of_faults(self) -> None:
        self.bridge.heal()
        self.house.tables.away = False
        self.house.tables.loses_answers = 0
        self.world.pauses.clear()
        self.house.loop.look(None)

    # -- what must hold

    def check(self) -> None:
        assert self.house.strays == []
        for record in self.house.tables.records.values():
            assert record.phase in SETTLED or record.due_at is not None

    async def _settle(self) -> None:
        """Wait until nothing is amiss, and has not been for some passes."""
        ends = anyio.current_time() + BOUND
        well_since = anyio.current_time()
        while anyio.current_time() - well_since < 5 * RULES.resync.total_seconds():
            await anyio.sleep(30)
            self.check()
            if amiss := self.amiss():
                well_since = anyio.current_time()
                assert well_since < ends, (amiss, self.house.phases(), self.bridge.connectors)

    async def _stay_so(self) -> None:
        self.bridge.calls.clear()
        await anyio.sleep(HOUR)
        self.check()
        assert not self.amiss()
        needless = [
            call
            for call in self.bridge.calls
            if call.action in ("initialize", "remove") and call.api_key not in self.bridge.refused
        ]
        assert needless == []

    def amiss(self) -> list[str]:
        """Return what is not as it should be."""
        records = self.house.tables.records
        wanted = {key.slot: key for key in self.house.store.keys.desired(BRIDGE)}
        wrong = [f"not settled: {r}" for r in records.values() if r.phase not in SETTLED]
        wrong += [f"not well: {s}" for s, k in wanted.items() if not self._well(k, records.get(s))]
        wrong += [
            f"left over: {slot}"
            for slot, there in self.bridge.connectors.items()
            if slot not in wanted and not self._may_stay(there, records.get(slot))
        ]
        wrong += [
            f"forgotten record: {record}"
            for slot, record in records.items()
            if slot not in wanted and record.phase is not Phase.UNREMOVABLE
        ]
        return wrong

    def _well(self, key: StoredKey, record: Record | None) -> bool:
        row = self.world.keys[key.id]
        if record is None or key.held:
            return record is not None and record.phase in SETTLED
        if row.broken:
            return record.reason in (Reason.UNDECRYPTABLE, Reason.ADOPTED)
        if self._live(record, row.api_key) or self._taken(record, row.api_key):
            return record.phase in (Phase.LIVE, Phase.CONFLICT)
        hopeless = {"wrong": Reason.REFUSED, "gone": Reason.UNSUPPORTED}
        return record.reason in (hopeless.get(row.api_key), hopeless.get(row.exchange))

    def _live(self, record: Record, api_key: str) -> bool:
        there = self.bridge.connectors.get(record.slot)
        unknowable = record.adopted or not self.bridge.labels
        known = (api_key, STRANGER) if unknowable else (api_key,)
        listed = there is not None and there.api_key in known
        return record.phase is Phase.LIVE and listed and record.key_id not in self.world.wishes

    def _taken(self, record: Record, api_key: str) -> bool:
        """Tell whether another client's slot was given the same."""
        others = self.house.tables.records.values()
        return any(
            other.client_id != record.client_id and other.sent == fingerprint_of(api_key)
            for other in others
        )

    def _may_stay(self, there: Installed, record: Record | None) -> bool:
        unremovable = record is not None and record.phase is Phase.UNREMOVABLE
        return there.api_key == STRANGER or unremovable


# -- what can happen ---------------------------------------------------------------------------

Event = Callable[[Play], Awaitable[None]]


@dataclass(frozen=True)
class Wait:
    seconds: float

    async def __call__(self, _: Play) -> None:
        await anyio.sleep(self.seconds)


@dataclass(frozen=True)
class AddKey:
    name: str
    exchange: str
    api_key: str
    testnet: bool

    async def __call__(self, play: Play) -> None:
        world = play.world
        found = [c for c, row in world.clients.items() if row.name == self.name]
        client = found[0] if found else await world.add_client(self.name)
        await world.add_key(client, self.exchange, api_key=self.api_key, testnet=self.testnet)
        play.house.loop.look(frozenset({client}))


@dataclass(frozen=True)
class ChangeKey:
    what: str
    number: int
    api_key: str

    async def __call__(self, play: Play) -> None:
        world, key = play.world, play.key(self.number)
        if key is None:
            return
        match self.what:
            case "rotate":
                await world.rotate_key(key, self.api_key)
            case "reencrypt":
                await world.reencrypt_key(key)
            case "break":
                await world.break_key(key)
            case "disable" | "enable":
                await world.set_key_active(key, active=self.what == "enable")
            case "delete":
                await world.delete_key(key)
            case _:
                await world.wish(key)
        if self.number % 2:
            play.house.loop.look(frozenset(world.clients))


@dataclass(frozen=True)
class ChangeClient:
    what: str
    number: int

    async def __call__(self, play: Play) -> None:
        world = play.world
        if not world.clients:
            return
        client = list(world.clients)[self.number % len(world.clients)]
        match self.what:
            case "delete":
                await world.delete_client(client)
            case "rename":
                await world.rename_client(client, NAMES[self.number % 3])
            case status:
                await world.set_client_status(client, status)
        if self.number % 2:
            play.house.loop.look(frozenset({client}))


@dataclass(frozen=True)
class Pausing:
    """Somebody pauses everything, or one client; or goes on."""

    number: int
    begins: bool

    async def __call__(self, play: Play) -> None:
        world = play.world
        clients = list(world.clients)
        scope, subject = "all", None
        if self.number % 2 and clients:
            scope, subject = "client", clients[self.number % len(clients)]
        await (world.pause if self.begins else world.resume)(scope, subject or "")
        play.house.loop.look(None)


@dataclass(frozen=True)
class Trouble:
    """A removal that is said to be done is believed, so no bridge here lies about one."""

    action: Asked
    faults: list[Fault | None]

    async def __call__(self, play: Play) -> None:
        believed = [fault for fault in self.faults if (self.action, fault) != ("remove", Lies())]
        play.bridge.script(self.action, *believed)


@dataclass(frozen=True)
class ShortListing:
    """Two in a row would be believed; one is not, and whole ones follow."""

    lacks: Lacks | Dawdles

    async def __call__(self, play: Play) -> None:
        play.bridge.script("observe", self.lacks, None, None)


@dataclass(frozen=True)
class Meddle:
    """Somebody else puts a connector there, or takes one away."""

    number: int
    puts: bool

    async def __call__(self, play: Play) -> None:
        slot = play.house.slot(EXCHANGES[self.number % 2])
        if self.puts:
            play.bridge.install(slot, STRANGER, label=bool(self.number % 2))
        else:
            play.bridge.connectors.pop(slot, None)


@dataclass(frozen=True)
class Outage:
    what: str

    async def __call__(self, play: Play) -> None:
        tables = play.house.tables
        match self.what:
            case "bridge restarts":
                play.bridge.restart()
            case "bridge down":
                play.bridge.down = True
            case "bridge up":
                play.bridge.down = False
            case "store away":
                tables.away = True
            case "store back":
                tables.away = False
            case "store loses answers":
                tables.loses_answers = 2
            case _:
                play.crashed.set()


KEY_CHANGES = (*("rotate", "rotate", "reencrypt", "break", "disable", "enable", "delete", "wish"),)
CLIENT_CHANGES = ("delete", "rename", "ACTIVE", "PAUSED", "SUSPENDED")
OUTAGES = (
    *("bridge restarts", "bridge down", "bridge up"),
    *("store away", "store back", "store loses answers", "crash"),
)
FAULTS: tuple[Fault | None, ...] = (
    None,
    HappensBut(),
    HappensBut(Unavailable("502")),
    Hangs(35.0),
    Dawdles(5.0),
    Hangs(35.0, happens=True),
    Lies(),
    Raises(Unavailable("refused")),
    Raises(Unclear("reset")),
    Raises(ExchangeAway("maintenance")),
    Raises(Throttled("slow down", retry_after=timedelta(minutes=10))),
    Raises(Refused("not now")),
    Raises(KeyError("surprise")),
)
numbers = st.integers(0, 5)
waits = st.builds(Wait, st.sampled_from([0, 0.01, 0.3, 1, 2, 40, 130, 600]))
adds = st.builds(
    AddKey,
    st.sampled_from(NAMES),
    st.sampled_from(["binance", "binance", *EXCHANGES]),
    st.sampled_from(CREDENTIALS),
    st.sampled_from([False, False, True]),
)
changes = st.builds(ChangeKey, st.sampled_from(KEY_CHANGES), numbers, st.sampled_from(CREDENTIALS))
of_clients = st.builds(ChangeClient, st.sampled_from(CLIENT_CHANGES), numbers)
actions: st.SearchStrategy[Asked] = st.sampled_from(
    ["initialize", "initialize", "verify", "remove"]
)
troubles = st.builds(Trouble, actions, st.lists(st.sampled_from(FAULTS), min_size=1, max_size=4))
meddling = st.builds(Meddle, numbers, st.booleans())
pausing = st.builds(Pausing, numbers, st.booleans())
short = st.builds(ShortListing, st.sampled_from([Lacks(), Lacks(2), Dawdles(5.3)]))
outages = st.builds(Outage, st.sampled_from(OUTAGES))
events = st.lists(
    st.one_of(
        waits,
        waits,
        waits,
        adds,
        adds,
        changes,
        changes,
        of_clients,
        pausing,
        troubles,
        meddling,
        short,
        outages,
    ),
    min_size=2,
    max_size=16,
)
bridges = st.sampled_from([FakeBridge, FakeBridge, FakeBridge.of_the_story])


@given(bridges, events)
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_whatever_happens_it_settles_and_stays_settled(
    make: Callable[[], FakeBridge], happening: list[Event]
) -> None:
    async def play() -> None:
        await Play(make()).run(happening)

    clock = MockClock(autojump_threshold=0)
    anyio.run(play, backend="trio", backend_options={"clock": clock})
