"""Whatever people do to keys and operators to bridges: each series says what the tables say."""

import subprocess
from collections import Counter
from collections.abc import Iterator
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
from daemon.vitals import Vitals
from daemon.watch import Watch
from reconciler.model import SETTLED, Attempt, KeyId, Phase, Reason, Slot
from tests.conftest import installed
from tests.daemon.house import House
from tests.daemon.life import LEAVING, SECOND, Life, Written, deeds
from tests.fakes import BRIDGE, START, HandClock

pytestmark = pytest.mark.anyio


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
            old = [w.unready or 0 for w in life.unpaused(bridge) if is_unready(w, reason)]
            oldest = 60 * max(old, default=0)
            assert value("oldest_unready_seconds", bridge=bridge, reason=reason) == oldest
        leaving = sum(written.phase in LEAVING for written in life.written(bridge))
        assert value("orphans", bridge=bridge) == leaving
        late = [-w.due for w in life.unpaused(bridge) if w.due is not None and w.due <= 0]
        assert value("queue_due", bridge=bridge) == len(late)
        assert value("queue_oldest_due_seconds", bridge=bridge) == 60 * max(late, default=0)
        assert value("paused", bridge=bridge) == life.paused(bridge)
        for place in (place for place in life.keys if life.active[place]):
            if life.bridge_of(place) == bridge:
                labels = {"bridge": bridge, "exchange": place[1], "verdict": "done"}
                assert value("init_attempts_total", **labels) == 0
    counted = Counter(life.active.values())
    assert value("keys", active="true") == counted[True]
    assert value("keys", active="false") == counted[False]
    assert value("null_updated_at_rows") == len(life.undated)
    dropped = [written for b in {BRIDGE, SECOND} - life.bridges for written in life.written(b)]
    assert value("dropped_connectors") == len(dropped)
    assert bridges_of(metrics) == life.bridges, "a bridge's series vanish with it"


def is_unready(written: Written, reason: Reason) -> bool:
    return written.reason is reason and written.phase not in SETTLED


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
