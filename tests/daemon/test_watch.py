"""What the loop does, as Prometheus reads it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import rounds
from daemon.clock import SystemClock
from daemon.metrics import CALLS, CAUSES, RESULTS, VERDICTS, Metrics
from daemon.settings import Settings
from daemon.store.census import Census, KeyCount, count_keys, take_census
from daemon.vault import Keyring, new_key
from daemon.vitals import Vitals
from daemon.watch import TimedBridge, Watch
from daemon.web.health import health_app
from daemon.wiring import Parts
from reconciler.model import Attempt, KeyId, Phase, Reason, Secret, Slot
from reconciler.records import REASONS
from reconciler.routes import MAIN
from reconciler.rules import Rules
from reconciler.verdicts import Unclear
from tests.daemon.house import HOUR, House
from tests.fakes import BRIDGE, START, FakeBridge, HandClock, Raises

pytestmark = pytest.mark.anyio
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}


@pytest.fixture
def metrics() -> Metrics:
    metrics = Metrics()
    metrics.start_at_zero(BRIDGE)
    return metrics


@pytest.fixture
def watch(metrics: Metrics) -> Watch:
    return Watch(metrics, Vitals(), HandClock())


def attempt(
    verdict: str = "done", exchange: str = "binance", action: str = "initialize"
) -> Attempt:
    slot = Slot(BRIDGE, "client_acme", exchange)
    return Attempt(
        *(slot, KeyId(uuid4()), exchange, action, Reason.NEW),
        *(verdict, "words", START, 0.25, "1-1"),
    )


async def samples(metrics: Metrics, vitals: Vitals | None = None) -> list[Sample]:
    """Scrape, as Prometheus does, and parse strictly."""
    transport = httpx.ASGITransport(health_app(vitals or Vitals(), metrics.registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://health") as client:
        answer = await client.get("/metrics", headers=OPEN_METRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    return [s for family in text_string_to_metric_families(answer.text) for s in family.samples]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"bridgetender_{name}", labels)


async def test_what_is_served_is_what_was_counted(metrics: Metrics, watch: Watch) -> None:
    watch.attempted(attempt())
    watch.passed(BRIDGE, "ok", 0.5, everything=True)
    for sample in await samples(metrics):
        assert metrics.registry.get_sample_value(sample.name, sample.labels) == sample.value


async def test_every_label_set_that_is_known_starts_at_zero(metrics: Metrics) -> None:
    main = {"bridge": "main"}
    for verdict in VERDICTS:
        labels = main | {"exchange": "other", "verdict": verdict}
        assert value(metrics, "init_attempts_total", **labels) == 0
    for phase in Phase:
        assert value(metrics, "connectors", **main, phase=phase) == 0
    for reason in Reason:
        for name in ("connectors_reason", "oldest_unready_seconds"):
            assert value(metrics, name, **main, reason=reason) == 0
    for result in RESULTS:
        assert value(metrics, "passes_total", **main, result=result) == 0
    for call in CALLS:
        labels = main | {"call": call}
        assert value(metrics, "bridge_request_duration_seconds_count", **labels) == 0
    for cause in CAUSES:
        assert value(metrics, "convergence_seconds_count", **main, cause=cause) == 0
    for name in (
        *("lease_held", "lease_takeovers_total", "unmanaged_connectors", "orphans"),
        *("queue_due", "queue_oldest_due_seconds"),
        *("pass_duration_seconds_count", "last_pass_success_timestamp_seconds"),
    ):
        assert value(metrics, name, **main) == 0
    assert value(metrics, "bridge_up", **main) is None, "nobody has asked it"
    for name in (
        *("decrypt_failures_total", "null_updated_at_rows", "listen_connected"),
        "dropped_connectors",
    ):
        assert value(metrics, name) == 0
    assert value(metrics, "keys", active="true") == 0


def test_every_verdict_that_there_is_has_a_label() -> None:
    assert {"done", *(verdict.name for verdict in REASONS)} == set(VERDICTS)


@pytest.mark.parametrize("verdict", VERDICTS)
async def test_an_attempt_counts_once_by_its_verdict_and_its_siblings_start_at_zero(
    metrics: Metrics, watch: Watch, verdict: str
) -> None:
    watch.attempted(attempt(verdict))
    for each in VERDICTS:
        labels = {"bridge": "main", "exchange": "binance", "verdict": each}
        assert value(metrics, "init_attempts_total", **labels) == (each == verdict)


async def test_only_what_was_tried_has_a_duration(metrics: Metrics, watch: Watch) -> None:
    watch.attempted(attempt("undecryptable"))
    assert value(metrics, "decrypt_failures_total") == 1
    labels = {"bridge": "main", "exchange": "binance"}
    assert value(metrics, "init_duration_seconds_count", **labels) == 0
    watch.attempted(attempt("refused"))
    assert value(metrics, "init_duration_seconds_count", **labels) == 1
    assert value(metrics, "init_duration_seconds_sum", **labels) == 0.25


async def test_verifications_and_removals_are_no_initializations(
    metrics: Metrics, watch: Watch
) -> None:
    for action in ("verify", "remove"):
        watch.attempted(attempt(action=action))
    assert sum(s.value for s in await samples(metrics) if "init_attempts" in s.name) == 0


async def test_exchanges_that_nobody_knows_share_one_label(metrics: Metrics, watch: Watch) -> None:
    for number in range(50):
        watch.attempted(attempt("unsupported", f"exchange{number}"))
    labels = {"bridge": "main", "exchange": "other", "verdict": "unsupported"}
    assert value(metrics, "init_attempts_total", **labels) == 50
    exchanges = {s.labels["exchange"] for s in await samples(metrics) if "exchange" in s.labels}
    assert exchanges == {"other"}


async def test_a_pass_that_found_the_bridge_down_is_no_success(
    metrics: Metrics, watch: Watch
) -> None:
    watch.passed(BRIDGE, "bridge_down", 0.5, everything=True)
    assert value(metrics, "last_pass_success_timestamp_seconds", bridge="main") == 0
    watch.passed(BRIDGE, "ok", 0.5, everything=True)
    then = START.timestamp()
    assert value(metrics, "last_pass_success_timestamp_seconds", bridge="main") == then
    assert value(metrics, "pass_duration_seconds_count", bridge="main") == 2


def test_a_pass_over_a_few_keys_hides_no_look_at_everything_that_fails_or_hangs() -> None:
    metrics, vitals = Metrics(), Vitals()
    watch = Watch(metrics, vitals, HandClock())
    watch.begin(BRIDGE)
    watch.passed(BRIDGE, "ok", 0.5, everything=False)
    assert value(metrics, "passes_total", bridge="main", result="ok") == 1
    assert value(metrics, "last_pass_success_timestamp_seconds", bridge="main") == 0
    assert vitals.of(BRIDGE).turned is None


async def test_a_lease_that_is_kept_counts_as_one_takeover(metrics: Metrics, watch: Watch) -> None:
    for held in (True, True, False, True):
        watch.lease_held(BRIDGE, held=held)
    assert value(metrics, "lease_takeovers_total", bridge="main") == 2
    assert value(metrics, "lease_held", bridge="main") == 1


def test_since_when_a_bridge_is_down_outlives_a_change_of_reason() -> None:
    vitals, clock = Vitals(), HandClock()
    watch = Watch(Metrics(), vitals, clock)
    watch.bridge_up(BRIDGE, up=False, reason="refused")
    clock.at += timedelta(minutes=1)
    watch.bridge_up(BRIDGE, up=False, reason="no route")
    main = vitals.of(BRIDGE)
    assert (main.since, main.seen_at, main.reason) == (START, clock.at, "no route")


def test_renewing_a_lease_does_not_make_a_loop_look_alive_that_makes_no_passes() -> None:
    vitals = Vitals()
    watch = Watch(Metrics(), vitals, HandClock())
    watch.lease_held(BRIDGE, held=True)
    vitals.of(BRIDGE).turned = None
    watch.progressed(BRIDGE)
    assert vitals.of(BRIDGE).turned is None
    watch.lease_held(BRIDGE, held=False)
    vitals.of(BRIDGE).turned = None
    watch.progressed(BRIDGE)
    assert vitals.of(BRIDGE).turned is not None


async def test_every_call_to_the_bridge_is_measured_whether_it_succeeds_or_not(
    metrics: Metrics,
) -> None:
    fake = FakeBridge()
    timed = TimedBridge(fake, BRIDGE, metrics)
    fake.script("observe", Raises(Unclear("HTML")))
    with pytest.raises(Unclear):
        await timed.observe()
    await timed.observe()
    await timed.pulse()
    name = "bridge_request_duration_seconds_count"
    assert value(metrics, name, bridge="main", call="observe") == 2
    assert value(metrics, name, bridge="main", call="pulse") == 1
    assert value(metrics, name, bridge="main", call="remove") == 0


async def test_after_a_run_no_client_account_or_key_is_in_any_label_or_value(
    engine: AsyncEngine, metrics: Metrics
) -> None:
    watch = Watch(metrics, Vitals(), SystemClock())
    house = House(engine, Rules(resync=HOUR, pulse=HOUR), watch)
    client = await house.world.add_client("Zanzibar Capital")
    secret = "zanzibar-key-0123456789abcdef"
    house.bridge.unsupported.add("zanzibarex")
    keys = [
        await house.world.add_key(client, "binance", api_key=secret),
        await house.world.add_key(client, "zanzibarex"),
    ]
    async with house.running():
        await house.until_standing(
            {keys[0]: ("live", "applied"), keys[1]: ("parked", "unsupported")}
        )
        watch.counted(BRIDGE, await take_census(engine, BRIDGE, SystemClock().now()))
        seen = await samples(metrics)
        assert value(metrics, "connectors", bridge="main", phase="live") == 1
        assert value(metrics, "connectors_reason", bridge="main", reason="unsupported") == 1
    assert value(metrics, "connectors", bridge="main", phase="live") == 0, "no longer the holder"
    texts = {text for s in seen for pair in s.labels.items() for text in pair}
    forbidden = ("zanzibar", str(client), *map(str, keys), "client_")
    assert [t for t in texts if any(word in t.lower() for word in forbidden)] == []
    assert not any(re.search(r"[0-9a-f]{8}-[0-9a-f]{4}", text) for text in texts)
    labels = {"bridge": "main", "exchange": "other", "verdict": "unsupported"}
    assert value(metrics, "init_attempts_total", **labels) == 1


def test_a_replica_without_the_bridge_knows_what_the_holder_wrote_down_and_exports_nothing() -> (
    None
):
    metrics, vitals, clock = Metrics(), Vitals(), SystemClock()
    watch = Watch(metrics, vitals, clock)
    watch.begin(BRIDGE)
    watch.lease_held(BRIDGE, held=False)
    watch.told(BRIDGE, up=True, reason="", since=clock.now())
    assert vitals.of(BRIDGE).up is True
    assert value(metrics, "bridge_up", bridge=BRIDGE) is None
    watch.lease_held(BRIDGE, held=True)
    watch.told(BRIDGE, up=False, reason="the holder of before", since=clock.now())
    assert vitals.of(BRIDGE).up is True, "a holder believes its own eyes"


def test_who_gives_a_bridge_back_no_longer_says_whether_it_is_up() -> None:
    metrics = Metrics()
    watch = Watch(metrics, Vitals(), HandClock())
    watch.begin(BRIDGE)
    watch.lease_held(BRIDGE, held=True)
    watch.bridge_up(BRIDGE, up=True, reason="")
    assert value(metrics, "bridge_up", bridge=BRIDGE) == 1
    watch.lease_held(BRIDGE, held=False)
    assert value(metrics, "bridge_up", bridge=BRIDGE) is None, "it is not down"


async def test_who_lost_a_bridge_while_it_was_counted_exports_nothing_of_it(
    engine: AsyncEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(Secret(database_url), keyring=Keyring([new_key()]))
    parts = replace(Parts.of(settings), engine=engine)
    await House(engine).world.add_client("Acme")
    parts.watch.begin(MAIN)

    def losing(counts: Callable[..., Awaitable[Any]], result: Any) -> Callable[..., Awaitable[Any]]:
        async def count(*args: Any) -> Any:
            await counts(*args)
            parts.watch.lease_held(MAIN, held=False)
            return result

        return count

    found = Census({("retrying", "unclear"): 5}, {"unclear": 2000.0}, 1, 2.0, 0)
    with monkeypatch.context() as patch:
        patch.setattr(rounds, "take_census", losing(take_census, found))
        parts.watch.lease_held(MAIN, held=True)
        await rounds.count(parts)
    assert value(parts.metrics, "oldest_unready_seconds", bridge=MAIN, reason="unclear") == 0
    assert value(parts.metrics, "connectors", bridge=MAIN, phase="retrying") == 0

    with monkeypatch.context() as patch:
        patch.setattr(rounds, "count_keys", losing(count_keys, KeyCount(5, 0, 1, 2)))
        parts.watch.lease_held(MAIN, held=True)
        await rounds.count(parts)
    assert value(parts.metrics, "keys", active="true") == 0
    assert value(parts.metrics, "null_updated_at_rows") == 0
    assert value(parts.metrics, "dropped_connectors") == 0
