"""What people do to keys and operators to bridges, at random, with a plain account of it beside."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st

from daemon.store.census import count_keys, take_census
from daemon.store.pauses import Scope
from daemon.store.routes import write_routes
from daemon.watch import Watch
from reconciler.model import (
    BridgeName,
    ClientId,
    Instant,
    KeyId,
    Lease,
    Phase,
    Reason,
    Record,
    Slot,
)
from reconciler.routes import Routes
from tests.daemon.house import House
from tests.fakes import BRIDGE, START

SECOND = BridgeName("second")
EXCHANGES = ("binance", "okx")
"""The second bridge, while there is one, has all of the second exchange."""
LEAVING = (Phase.REMOVING, Phase.UNREMOVABLE)
Standing = tuple[Phase, Reason]
NEW = (Phase.PENDING, Reason.NEW)
Place = tuple[int, str]
"""A client's number and an exchange."""


@dataclass(frozen=True)
class Written:
    """What is written down of a slot: minutes until it is due, and since it was first unready."""

    phase: Phase
    reason: Reason
    due: int | None
    unready: int | None
    key: KeyId | None = None
    """Whose it is, which may have gone since."""

    @property
    def standing(self) -> Standing:
        return self.phase, self.reason


UNWRITTEN = Written(*NEW, due=None, unready=None)
places = st.tuples(st.integers(0, 2), st.sampled_from(EXCHANGES))
bridges = st.sampled_from([BRIDGE, SECOND])
writings = st.builds(
    Written,
    st.sampled_from([phase for phase in Phase if phase is not Phase.REMOVED]),
    st.sampled_from(list(Reason)),
    st.none() | st.integers(-60, 60),
    st.none() | st.integers(0, 60),
)
deeds = st.one_of(
    st.tuples(st.sampled_from(["add", "disable", "enable", "delete", "undate"]), places),
    st.tuples(st.just("record"), places, bridges, writings),
    st.tuples(
        st.sampled_from(["pause", "resume"]),
        st.sampled_from(["all", "bridge", "client", "key"]),
        places,
        bridges,
    ),
    st.tuples(st.sampled_from(["add bridge", "remove bridge"])),
)


@dataclass
class Life:
    """Does it to the database, and keeps a plain account of it beside."""

    house: House
    watch: Watch
    clients: list[ClientId] = field(default_factory=list)
    leases: dict[BridgeName, Lease] = field(default_factory=dict)
    keys: dict[Place, KeyId] = field(default_factory=dict)
    active: dict[Place, bool] = field(default_factory=dict)
    records: dict[tuple[BridgeName, Place], Written] = field(default_factory=dict)
    pauses: set[tuple[Scope, object]] = field(default_factory=set)
    undated: set[Place] = field(default_factory=set)
    bridges: set[BridgeName] = field(default_factory=lambda: {BRIDGE})

    async def begin(self) -> None:
        await self.house.do(
            "TRUNCATE clients, exchange_api_keys, bridgetender.connectors, bridgetender.accounts",
            "TRUNCATE bridgetender.leases, bridgetender.routes, bridgetender.pauses",
            "ALTER TABLE exchange_api_keys ALTER updated_at DROP NOT NULL",
        )
        for bridge in (BRIDGE, SECOND):
            lease = await self.house.store.leases.acquire(bridge)
            assert lease is not None
            self.leases[bridge] = lease
        for name in "abc":
            client = await self.house.world.add_client(name)
            self.clients.append(client)
            for bridge in self.leases:
                await self.house.do(
                    "INSERT INTO bridgetender.accounts"
                    f" VALUES ('{bridge}', 'client_{name}', '{client}')"
                )
        await self.route()

    async def do(self, deed: str, *of: Any) -> None:
        match deed, *of:
            case "add", (int(n), str(exchange)) if (n, exchange) not in self.keys:
                key = await self.house.world.add_key(self.clients[n], exchange)
                self.keys[n, exchange], self.active[n, exchange] = key, True
            case "delete", (int(n), str(exchange)) if (n, exchange) in self.keys:
                await self.house.world.delete_key(self.keys.pop((n, exchange)))
                del self.active[n, exchange]
                self.undated.discard((n, exchange))
            case (("enable" | "disable"), (int(n), str(exchange))) if (n, exchange) in self.keys:
                await self.enable((n, exchange), active=deed == "enable")
            case "undate", (int(n), str(exchange)) if (n, exchange) in self.keys:
                await self.undate((n, exchange))
            case "record", place, bridge, written:
                await self.record(place, bridge, written)
            case (("pause" | "resume"), scope, place, bridge):
                await self.pause(scope, place, bridge, on=deed == "pause")
            case (("add bridge" | "remove bridge"),):
                await self.change_bridges(there=deed == "add bridge")
            case _:
                pass  # what is not there is neither deleted nor disabled

    async def enable(self, place: Place, *, active: bool) -> None:
        if self.active[place] is not active:
            await self.house.world.set_key_active(self.keys[place], active=active)
            self.active[place] = active
            self.undated.discard(place)

    async def undate(self, place: Place) -> None:
        """Do as a backend that writes NULL, where the trigger is gone that mends it."""
        table = "ALTER TABLE exchange_api_keys"
        await self.house.do(
            f"{table} DISABLE TRIGGER bridgetender_fill",
            f"UPDATE exchange_api_keys SET updated_at = NULL WHERE id = '{self.keys[place]}'",
            f"{table} ENABLE TRIGGER bridgetender_fill",
        )
        self.undated.add(place)

    async def pause(self, scope: Scope, place: Place, bridge: BridgeName, *, on: bool) -> None:
        client = self.clients[place[0]]
        of = {"all": "", "bridge": bridge, "client": client, "key": self.keys.get(place, client)}
        if on:
            await self.house.world.pause(scope, of[scope])
            self.pauses.add((scope, of[scope]))
        else:
            await self.house.world.resume(scope, of[scope])
            self.pauses.discard((scope, of[scope]))

    async def record(self, place: Place, bridge: BridgeName, written: Written) -> None:
        n, exchange = place
        key = self.keys.get(place, KeyId(self.clients[n]))
        record = Record(
            slot=Slot(bridge, f"client_{'abc'[n]}", exchange),
            key_id=key,
            client_id=self.clients[n],
            exchange=exchange,
            digest="",
            phase=written.phase,
            reason=written.reason,
            due_at=_later(written.due),
            due_set_at=START,
            first_unready_at=_later(None if written.unready is None else -written.unready),
        )
        await self.house.store.ledger.plan(self.leases[bridge], [record])
        self.records[bridge, place] = replace(written, key=key)

    async def change_bridges(self, *, there: bool) -> None:
        if there and SECOND not in self.bridges:
            self.watch.begin(SECOND)
            self.bridges.add(SECOND)
        elif not there and SECOND in self.bridges:
            self.watch.forget(SECOND)
            self.bridges.remove(SECOND)
        await self.route()

    async def route(self) -> None:
        exchanges = {EXCHANGES[1]: SECOND} if SECOND in self.bridges else {}
        await write_routes(self.house.engine, Routes(BRIDGE, exchanges=exchanges))

    async def count(self) -> None:
        for bridge in self.bridges:
            self.watch.counted(bridge, await take_census(self.house.engine, bridge, START))
        self.watch.counted_keys(await count_keys(self.house.engine))

    def expected(self, bridge: BridgeName) -> Counter[Standing]:
        """Count every active key of this bridge, and what is still to go there.

        What another key of the place left is nothing of its own.
        """
        standing = Counter[Standing]()
        for place in {*self.keys, *(place for b, place in self.records if b == bridge)}:
            written = self.records.get((bridge, place), UNWRITTEN)
            wanted = self.active.get(place) and self.bridge_of(place) == bridge
            leaves, known = written.phase in LEAVING, written.key == self.keys.get(place)
            if leaves:
                standing[written.standing] += 1
            if wanted and not (leaves and known):
                standing[written.standing if known else NEW] += 1
        return standing

    def written(self, bridge: BridgeName) -> list[Written]:
        return [written for (of, _), written in self.records.items() if of == bridge]

    def unpaused(self, bridge: BridgeName) -> Iterator[Written]:
        for (of, place), written in self.records.items():
            of_whom = {("client", self.clients[place[0]]), ("key", written.key)}
            reaching = {("all", ""), ("bridge", bridge), *of_whom}
            if of == bridge and self.pauses.isdisjoint(reaching):
                yield written

    def paused(self, bridge: BridgeName) -> int:
        return sum(scope != "bridge" or subject == bridge for scope, subject in self.pauses)

    def bridge_of(self, place: Place) -> BridgeName:
        return SECOND if place[1] == EXCHANGES[1] and SECOND in self.bridges else BRIDGE


def _later(minutes: int | None) -> Instant | None:
    return None if minutes is None else START + timedelta(minutes=minutes)
