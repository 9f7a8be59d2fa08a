"""What lies between the loop and all else: it loses, delays, repeats and reorders.

Each port of the reconciler is passed through a `Wire`, which draws a fate for every request. What
is on its way goes on without its sender: a replica may freeze, crash or give up meanwhile.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from reconciler.fence import pass_fence
from reconciler.model import (
    Attempt,
    BridgeName,
    ClientId,
    Credentials,
    Instant,
    Lane,
    Lease,
    Observation,
    Proof,
    Reason,
    Record,
    SealedKey,
    Slot,
    Survey,
)
from reconciler.ports import Clients
from reconciler.sharing import Sharing
from reconciler.verdicts import StoreError, Throttled, Unavailable, Unclear
from tests.fakes import FakeBridge, FakeKeys, FakeLeases, FakeLedger
from tests.simulation.freezing import Process, inside, stand_still_if_frozen
from tests.simulation.properties import Property, Request, Watch

T = TypeVar("T")
Work = Callable[[], Awaitable[T]]

PATIENCE: Mapping[str, float] = {
    "observe": 15.0,
    "pulse": 5.0,
    "initialize": 35.0,
    "verify": 20.0,
    "remove": 20.0,
}
"""Seconds after which the HTTP client gives up, as configured in the field."""
LATEST = 45.0
"""Seconds after which nothing that was sent is carried out any more: an add at its timeouts."""
_MOST_WITHIN_A_SECOND = 3000
"""Of a few dozen slots, to bridges and the database."""
_STORE_LATEST = 0.5
"""Seconds after which a statement whose connection broke has ended, either way."""


@dataclass(frozen=True, slots=True)
class Odds:
    """How likely a request meets each fate; the rest go straight through."""

    slow: float = 0.0
    lost: float = 0.0
    answer_lost: float = 0.0
    unreached: float = 0.0
    """It is said at once that nothing was done."""
    broken: float = 0.0
    """It is done, and at once an error is said."""
    late: float = 0.0
    """It is done when the sender has given up."""
    repeated: float = 0.0
    """It is done once more later."""

    def draw(self, chance: Random) -> str | None:
        """Return the name of a fate, or None."""
        at = chance.random()
        for name in self.__slots__:
            at -= getattr(self, name)
            if at < 0:
                return name
        return None


@dataclass(slots=True)
class Wires:
    """The network of one simulation; calm once its *odds* are None."""

    chance: Random
    around: TaskGroup
    watch: Watch
    to_bridges: Odds | None = None
    to_store: Odds | None = None
    store_away: bool = False
    mishaps: int = 0
    """How many requests met another fate than to go straight through."""
    overtaken: dict[Slot, str] = field(default_factory=dict)
    """Where what is there is not what was sent last: "late", "repeated" or "lied" about."""
    latest: dict[Slot, int] = field(default_factory=dict)
    """The number of the last request that was carried out, by slot."""

    _second: int = 0
    _requests: int = 0
    """Since the virtual second began."""

    def calm(self) -> None:
        """From now on every request goes straight through."""
        self.to_bridges = self.to_store = None
        self.store_away = False

    def fate(self, odds: Odds | None) -> str | None:
        self._require_sanity()
        found = odds.draw(self.chance) if odds else None
        self.mishaps += found is not None
        return found

    def _require_sanity(self) -> None:
        """End what has run wild, since the clock does not go on while anything runs."""
        second = int(anyio.current_time())
        self._requests = self._requests + 1 if second == self._second else 1
        self._second = second
        if self._requests == _MOST_WITHIN_A_SECOND:
            detail = f"{_MOST_WITHIN_A_SECOND} requests within a second"
            self.watch.violated(Property.CALLS, detail)

    def carry(self, work: Work[T], after: float) -> "Answer[T]":
        """Let *work* be done by the world around, after so many seconds; return where to wait."""
        answer = Answer[T]()
        with inside(None):
            self.around.start_soon(self._do, work, after, answer)
        return answer

    async def _do(self, work: Work[T], after: float, answer: "Answer[T]") -> None:
        await anyio.sleep(after)
        try:
            answer.value = await work()
        except Exception as error:  # noqa: BLE001 - it is for the sender to hear
            answer.error = error
        answer.there.set()

    def carried_out(self, request: Request, there: str | None, *, again: bool) -> None:
        """Take note of the order in which requests about a slot are carried out.

        *there* is the api key in the slot after this one.
        """
        slot = request.slot
        if there != request.api_key:
            self.overtaken[slot] = "lied"
        elif again:
            self.overtaken[slot] = "repeated"
        elif request.number < self.latest.get(slot, -1):
            self.overtaken[slot] = "late"
        else:
            self.overtaken.pop(slot, None)
            self.latest[slot] = request.number


class Answer(Generic[T]):
    """What comes back, in its own time."""

    def __init__(self) -> None:
        self.there = anyio.Event()
        self.value: T
        self.error: Exception | None = None

    async def within(self, seconds: float) -> T:
        """Return it, or raise what it raised; Unclear if it is not there in time."""
        with anyio.move_on_after(seconds):
            await self.there.wait()
            if self.error is not None:
                raise self.error
            return self.value
        raise Unclear("read timeout")


@dataclass(frozen=True, slots=True)
class Sender:
    """A replica, as the network sees it."""

    name: str
    process: Process
    wires: Wires


class FarBridge:
    """A bridge behind the network, and the HTTP client's part: the fence, and giving up."""

    def __init__(self, bridge: FakeBridge, sender: Sender) -> None:
        self._bridge = bridge
        self._sender = sender
        self._wires = sender.wires

    async def observe(self) -> Observation:
        seen = await self._ask("observe", self._bridge.observe)
        listed = f"{len(seen.connectors)} listed by {self._bridge.name} {seen.boot_id or ''}"
        self._wires.watch.trace.tell(self._sender.name, listed)
        return seen

    async def pulse(self) -> str | None:
        return await self._ask("pulse", self._bridge.pulse)

    async def initialize(self, slot: Slot, credentials: Credentials, fingerprint: str) -> None:
        api_key = credentials.api_key.reveal()
        await self._change(
            "initialize",
            slot,
            lambda: self._bridge.initialize(slot, credentials, fingerprint),
            api_key,
        )

    async def verify(self, slot: Slot) -> Proof:
        return await self._change("verify", slot, lambda: self._bridge.verify(slot))

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        await self._change("remove", slot, lambda: self._bridge.remove(slot, fingerprint))

    async def _change(
        self, action: str, slot: Slot, work: Work[T], api_key: str | None = None
    ) -> T:
        """Send what is about one slot, under the eyes of the watch."""
        pass_fence()
        watch, tell = self._wires.watch, self._wires.watch.trace.tell
        request = watch.sends(self._sender.name, action, slot, api_key)
        tell(self._sender.name, f"{action} {slot} #{request.number} {api_key or ''}")
        try:
            value = await self._ask(action, self._noted(request, work))
        except Throttled as verdict:
            if verdict.retry_after is not None:
                watch.asked_for_quiet(request, verdict.retry_after.total_seconds())
            tell(self._sender.name, f"{action} {slot} #{request.number} throttled")
            raise
        except Exception as error:
            tell(self._sender.name, f"{action} {slot} #{request.number} {error!r}")
            raise
        finally:
            watch.ends(request)
        tell(self._sender.name, f"{action} {slot} #{request.number} done")
        return value

    def _noted(self, request: Request, work: Work[T]) -> Work[T]:
        times = 0

        async def noted() -> T:
            nonlocal times
            times += 1
            value = await work()
            if request.action != "verify":
                there = self._bridge.connectors.get(request.slot)
                api_key = there.api_key if there else None
                self._wires.carried_out(request, api_key, again=times > 1)
            return value

        return noted

    async def _ask(self, action: str, work: Work[T]) -> T:
        pass_fence()
        fate = self._wires.fate(self._wires.to_bridges)
        try:
            if fate is None:
                with inside(None):
                    return await work()
            self._wires.watch.trace.tell("network", f"{action} is {fate}")
            return await self._astray(fate, PATIENCE[action], work)
        finally:
            await stand_still_if_frozen(self._sender.process)

    async def _astray(self, fate: str, patience: float, work: Work[T]) -> T:
        chance, carry = self._wires.chance, self._wires.carry
        soon = chance.uniform(0, 2)
        match fate:
            case "slow":
                return await carry(work, chance.uniform(0, patience)).within(patience)
            case "lost":
                await anyio.sleep(patience)
            case "answer_lost":
                carry(work, soon)
                await anyio.sleep(patience)
            case "unreached":
                raise Unavailable("connection refused")
            case "broken":
                await carry(work, soon).within(patience)
                raise chance.choice((Unclear("connection reset"), Unavailable("502")))
            case "late":
                carry(work, chance.uniform(min(patience, LATEST), LATEST))
                await anyio.sleep(patience)
            case _:
                first = carry(work, soon)
                carry(work, chance.uniform(soon, LATEST))
                return await first.within(patience)
        raise Unclear("read timeout")


class _ToStore:
    """A way to the database, whose connections break."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._wires = sender.wires

    async def _ask(self, what: str, work: Work[T]) -> T:
        wires = self._wires
        if wires.store_away:
            await anyio.lowlevel.checkpoint()
            raise StoreError("the database is away")
        fate = wires.fate(wires.to_store)
        try:
            if fate is None:
                with inside(None):
                    return await work()
            wires.watch.trace.tell("network", f"{what} of {self._sender.name} is {fate}")
            return await self._astray(fate, work)
        finally:
            await stand_still_if_frozen(self._sender.process)

    async def _astray(self, fate: str, work: Work[T]) -> T:
        chance, carry = self._wires.chance, self._wires.carry
        moment = chance.uniform(0, _STORE_LATEST)
        match fate:
            case "slow":
                value = await carry(work, chance.expovariate(1)).within(60)
                await anyio.sleep(chance.expovariate(1))
                return value
            case "lost":
                await anyio.sleep(chance.uniform(0, 5))
            case "answer_lost" | "broken":
                await carry(work, moment).within(60)
            case "late":
                carry(work, moment)
            case _:
                await anyio.sleep(moment)
        raise StoreError("the connection was lost before the answer")


class FarKeys(_ToStore):
    def __init__(self, keys: FakeKeys, sender: Sender) -> None:
        super().__init__(sender)
        self._keys = keys

    async def read(self, slots: Collection[tuple[Slot, ClientId]]) -> Mapping[Slot, SealedKey]:
        return await self._ask("read", lambda: self._keys.read(slots))


class FarLeases(_ToStore):
    def __init__(self, leases: FakeLeases, sender: Sender) -> None:
        super().__init__(sender)
        self._leases = leases

    async def wait(self, bridge: BridgeName) -> Sharing:
        return await self._ask("wait", lambda: self._leases.wait(bridge))

    async def leave(self, bridge: BridgeName) -> None:
        await self._ask("leave", lambda: self._leases.leave(bridge))

    async def acquire(self, bridge: BridgeName) -> Lease | None:
        return await self._ask("acquire", lambda: self._leases.acquire(bridge))

    async def renew(self, lease: Lease) -> Sharing:
        return await self._ask("renew", lambda: self._leases.renew(lease))

    async def release(self, lease: Lease) -> None:
        await self._ask("release", lambda: self._leases.release(lease))


class FarLedger(_ToStore):
    def __init__(self, ledger: FakeLedger, sender: Sender) -> None:
        super().__init__(sender)
        self._ledger = ledger

    async def survey(
        self, bridge: BridgeName, observation: Observation | None, clients: Clients
    ) -> Survey:
        return await self._ask("survey", lambda: self._ledger.survey(bridge, observation, clients))

    async def plan(self, lease: Lease, records: Sequence[Record]) -> None:
        await self._ask("plan", lambda: self._ledger.plan(lease, records))

    async def due(
        self, bridge: BridgeName, now: Instant, limit: int, most: Mapping[Lane, int]
    ) -> Sequence[Record]:
        return await self._ask("due", lambda: self._ledger.due(bridge, now, limit, most))

    async def next_due(self, bridge: BridgeName, after: Instant) -> Instant | None:
        return await self._ask("next_due", lambda: self._ledger.next_due(bridge, after))

    async def recheck(self, lease: Lease, exchange: str, since: Instant, now: Instant) -> None:
        await self._ask("recheck", lambda: self._ledger.recheck(lease, exchange, since, now))

    async def intend(self, lease: Lease, records: Sequence[Record]) -> Mapping[Slot, Reason]:
        return await self._ask("intend", lambda: self._ledger.intend(lease, records))

    async def settle(self, lease: Lease, ended: Sequence[tuple[Record, Attempt | None]]) -> None:
        async def settled() -> None:
            await self._ledger.settle(lease, ended)
            for record, _ in ended:
                self._wires.watch.outcome_written(record.slot)

        await self._ask("settle", settled)

    async def reclaim(self, lease: Lease, now: Instant) -> None:
        await self._ask("reclaim", lambda: self._ledger.reclaim(lease, now))

    async def redate(self, lease: Lease, now: Instant) -> None:
        await self._ask("redate", lambda: self._ledger.redate(lease, now))

    async def waive(self, lease: Lease, now: Instant) -> None:
        await self._ask("waive", lambda: self._ledger.waive(lease, now))

    async def hush(self, lease: Lease, quiets: Mapping[str, Instant], now: Instant) -> None:
        await self._ask("hush", lambda: self._ledger.hush(lease, quiets, now))

    async def quiets(self, bridge: BridgeName, now: Instant) -> Mapping[str, Instant]:
        return await self._ask("quiets", lambda: self._ledger.quiets(bridge, now))

    async def report(self, lease: Lease, *, up: bool, reason: str, now: Instant) -> None:
        await self._ask("report", lambda: self._ledger.report(lease, up=up, reason=reason, now=now))
