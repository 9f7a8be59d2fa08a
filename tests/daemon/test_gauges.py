"""Whatever people do to keys and operators to bridges: each series says what the tables say."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.exchanges import KNOWN
from daemon.metrics import VERDICTS, Metrics
from daemon.store.census import count_keys, take_census
from daemon.store.routes import write_routes
from daemon.vitals import Vitals
from daemon.watch import Watch
from reconciler.model import (
    Attempt,
    BridgeName,
    ClientId,
    KeyId,
    Lease,
    Phase,
    Reason,
    Record,
    Slot,
)
from reconciler.routes import Routes
from tests.conftest import installed
from tests.daemon.house import House
from tests.fakes import BRIDGE, START, HandClock

pytestmark = pytest.mark.anyio
SECOND = BridgeName("second")
EXCHANGES = ("binance", "okx")
"""The second bridge, while there is one, has all of the second exchange."""
LEAVING = (Phase.REMOVING, Phase.UNREMOVABLE)
Standing = tuple[Phase, Reason]
NEW = (Phase.PENDING, Reason.NEW)
Place = tuple[int, str]
"""A client's number and an exchange."""

places = st.tuples(st.integers(0, 2), st.sampled_from(EXCHANGES))
deeds = st.one_of(
    st.tuples(st.sampled_from(["add", "disable", "enable", "delete"]), places),
    st.tuples(
        st.just("record"),
        places,
        st.sampled_from([BRIDGE, SECOND]),
        st.sampled_from([phase for phase in Phase if phase is not Phase.REMOVED]),
        st.sampled_from(list(Reason)),
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
    records: dict[tuple[BridgeName, Place], tuple[Standing, KeyId]] = field(default_factory=dict)
    """With the key that each is of, which may have gone since."""
    bridges: set[BridgeName] = field(default_factory=lambda: {BRIDGE})

    async def begin(self) -> None:
        await self.house.do(
            "TRUNCATE clients, exchange_api_keys, bridgetender.connectors, bridgetender.accounts",
            "TRUNCATE bridgetender.leases, bridgetender.routes",
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
            case (("enable" | "disable"), (int(n), str(exchange))) if (n, exchange) in self.keys:
                active = deed == "enable"
                await self.house.world.set_key_active(self.keys[n, exchange], active=active)
                self.active[n, exchange] = active
            case "record", place, bridge, phase, reason:
                await self.record(place, bridge, phase, reason)
            case (("add bridge" | "remove bridge"),):
                await self.change_bridges(there=deed == "add bridge")
            case _:
                pass  # what is not there is neither deleted nor disabled

    async def record(self, place: Place, bridge: BridgeName, phase: Phase, reason: Reason) -> None:
        n, exchange = place
        key = self.keys.get(place, KeyId(self.clients[n]))
        slot = Slot(bridge, f"client_{'abc'[n]}", exchange)
        record = Record(
            slot=slot,
            key_id=key,
            client_id=self.clients[n],
            exchange=exchange,
            digest="",
            phase=phase,
            reason=reason,
            due_at=START - timedelta(minutes=1),
            due_set_at=START,
        )
        await self.house.store.ledger.plan(self.leases[bridge], [record])
        self.records[bridge, place] = (phase, reason), key

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
            written, key = self.records.get((bridge, place), (NEW, None))
            wanted = self.active.get(place) and self.bridge_of(place) == bridge
            leaves, known = written[0] in LEAVING, key == self.keys.get(place)
            if leaves:
                standing[written] += 1
            if wanted and not (leaves and known):
                standing[written if known else NEW] += 1
        return standing

    def bridge_of(self, place: Place) -> BridgeName:
        return SECOND if place[1] == EXCHANGES[1] and SECOND in self.bridges else BRIDGE


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(done=st.lists(deeds, max_size=14))
async def test_after_any_life_each_gauge_is_a_plain_count(
    engine: AsyncEngine, done: list[tuple[Any, ...]]
) -> None:
    metrics = Metrics()
    watch = Watch(metrics, Vitals(), HandClock())
    watch.begin(BRIDGE)
    life = Life(House(engine), watch)
    await life.begin()
    for deed in done:
        await life.do(*deed)
    await life.count()

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"bridgetender_{name}", labels)

    for bridge in life.bridges:
        standing = life.expected(bridge)
        for phase in Phase:
            found = sum(n for (p, _), n in standing.items() if p is phase)
            assert value("connectors", bridge=bridge, phase=phase) == found
        for reason in Reason:
            found = sum(n for (p, r), n in standing.items() if r is reason and p != Phase.LIVE)
            assert value("connectors_reason", bridge=bridge, reason=reason) == found
        of_bridge = [written for (b, _), (written, _) in life.records.items() if b == bridge]
        assert value("orphans", bridge=bridge) == sum(p in LEAVING for p, _ in of_bridge)
        assert value("queue_due", bridge=bridge) == len(of_bridge)
        assert value("queue_oldest_due_seconds", bridge=bridge) == 60 * bool(of_bridge)
        for place in (place for place in life.keys if life.active[place]):
            if life.bridge_of(place) == bridge:
                labels = {"bridge": bridge, "exchange": place[1], "verdict": "done"}
                assert value("init_attempts_total", **labels) == 0
    counted = Counter(life.active.values())
    assert value("keys", active="true") == counted[True]
    assert value("keys", active="false") == counted[False]
    assert bridges_of(metrics) == life.bridges, "a bridge's series vanish with it"


def bridges_of(metrics: Metrics) -> set[str]:
    return {
        sample.labels["bridge"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if "bridge" in sample.labels
    }


@pytest.fixture
async def busy(engine: AsyncEngine) -> Metrics:
    """Ten thousand keys on a hundred exchanges and five hundred names that are none, all tried."""
    house = House(engine)
    await house.world.add_client("Acme")
    names = [*sorted(KNOWN)[:100], *(f"made-up {number}" for number in range(500))]
    listed = ", ".join(f"'{name}'" for name in names)
    await house.do(
        "INSERT INTO clients (name) SELECT 'c' || n FROM generate_series(1, 100) n",
        "INSERT INTO exchange_api_keys (client_id, exchange, api_key, api_secret)"
        f" SELECT c.id, (ARRAY[{listed}])[1 + n % {len(names)}], 'key ' || n, 'secret'"
        " FROM generate_series(1, 100) n, clients c WHERE c.name <> 'Acme'",
    )
    metrics = Metrics()
    watch = Watch(metrics, Vitals(), HandClock())
    watch.begin(BRIDGE)
    watch.lease_held(BRIDGE, held=True)
    watch.counted(BRIDGE, await take_census(engine, BRIDGE, START))
    watch.counted_keys(await count_keys(engine))
    for number, attempt in enumerate(attempts(names)):
        watch.attempted(attempt)
        watch.mass_refusal(BRIDGE, attempt.exchange, on=number % 2 == 0)
    watch.passed(BRIDGE, "ok", 0.25, everything=True)
    return metrics


def attempts(names: list[str]) -> Iterator[Attempt]:
    for number in range(10_000):
        name = names[number % len(names)]
        yield Attempt(
            slot=Slot(BRIDGE, f"client_{number}", name),
            key_id=KeyId(uuid4()),
            exchange=name,
            action="initialize",
            cause=Reason.NEW,
            verdict=VERDICTS[number % len(VERDICTS)],
            message="words",
            at=START,
            seconds=0.25,
            id="1-1",
        )


async def test_ten_thousand_keys_make_no_more_series_than_their_exchanges_do(
    busy: Metrics,
) -> None:
    samples = [sample for family in busy.registry.collect() for sample in family.samples]
    assert busy.registry.get_sample_value("bridgetender_keys", {"active": "true"}) == 10_000
    shown = {sample.labels["exchange"] for sample in samples if "exchange" in sample.labels}
    assert len(shown) == 101
    assert "other" in shown
    of_exchanges = [sample for sample in samples if "exchange" in sample.labels]
    assert len(of_exchanges) / len(shown) == 11 + 17 + 1  # verdicts, a histogram and a gauge
    assert len(samples) - len(of_exchanges) < 300

    # and what it exposes is valid, in both formats
    promtool = installed("promtool", package="prometheus")
    served = generate_latest(busy.registry)
    checked = subprocess.run(  # noqa: ASYNC221  (a test may block: nothing else runs)
        [promtool, "check", "metrics"], input=served, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")
    families = list(text_string_to_metric_families(open_metrics(busy.registry).decode()))
    total = sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "bridgetender_init_attempts_total"
    )
    assert total == 10_000


async def test_convergence_is_counted_from_the_rows_change(engine: AsyncEngine) -> None:
    house = House(engine)
    key = await house.world.add_key(await house.world.add_client("Acme"), "binance")
    await house.do("UPDATE exchange_api_keys SET updated_at = clock_timestamp() - interval '90 s'")
    async with house.running():
        await house.until_live(key)
    ((_, seconds),) = house.meter.convergences
    assert 90 <= seconds < 90 + 60
