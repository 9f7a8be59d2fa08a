import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bridge.app import Settings
from bridge.connectors import Registry
from bridge.lag import lag_told
from bridge.metrics import Metrics
from bridge.service import Service
from tests.conftest import installed

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
Scrape = Callable[[], Awaitable[dict[str, float]]]


@pytest.fixture
def settings(paper_url: str) -> Settings:
    return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, paced=True)


@pytest.fixture
def scrape(bridge: httpx.AsyncClient) -> Scrape:
    """Return every sample, by its name and labels as Prometheus shows them."""

    async def scrape() -> dict[str, float]:
        text = (await bridge.get("/metrics")).text
        return {
            f"{s.name}{sorted(s.labels.items())}": s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    return scrape


def named(name: str, **labels: str) -> str:
    return f"{name}{sorted(labels.items())}"


async def test_what_was_asked_of_an_exchange_is_counted(
    service: Service, enrol: Call, add: Call, verify: Call, fault: Call, scrape: Scrape
) -> None:
    await enrol()
    await add()
    await service.shelf.get("binance").markets()
    await verify()
    await fault("binance", "throttle", retry_after=300, times=1)
    await verify()
    await verify()  # not sent
    found = await scrape()
    here = {"exchange": "binance"}
    way = here | {"egress": "direct"}
    assert found[named("bridge_connectors", **here, state="throttled")] == 1
    assert found[named("bridge_exchange_requests_total", **here, outcome="ok")] == 1
    assert found[named("bridge_exchange_requests_total", **here, outcome="throttled")] == 2
    assert found[named("bridge_exchange_request_duration_seconds_count", **here)] >= 3
    assert found[named("bridge_throttle_wait_seconds_count", **way)] >= 3
    assert found[named("bridge_throttle_sent_away_total", **way)] == 1
    assert 290 < found[named("bridge_throttle_quiet_seconds", **way)] <= 300
    assert found[named("bridge_throttle_waiting", **way)] == 0
    assert found[named("bridge_template_markets", **here)] == 5
    assert 0 <= found[named("bridge_template_age_seconds", **here)] < 60


async def test_an_exchanges_series_vanish_with_its_last_connector(
    bridge: httpx.AsyncClient, enrol: Call, add: Call, verify: Call, scrape: Scrape
) -> None:
    await enrol()
    for account in ("ann", "bob"):
        await add(account_name=account)
        await verify(account=account)
    await bridge.delete("/connectors/ann/binance")
    assert named("bridge_connectors", exchange="binance", state="verified") in await scrape()
    await bridge.delete("/connectors/bob/binance")
    assert not [name for name in await scrape() if "binance" in name]
    await add()
    assert named("bridge_connectors", exchange="binance", state="added") in await scrape()


async def test_no_name_that_a_client_made_up_becomes_a_label(
    bridge: httpx.AsyncClient, add: Call, verify: Call, scrape: Scrape
) -> None:
    for name in ("nonesuch", "ftx", "kraken_testnet"):
        await add(name)
        await verify(name)
        body = {"connector_name": name, "api_key": "k", "api_secret": "s"}
        await bridge.post("/credentials/check", json=body)
        await bridge.delete(f"/connectors/acme/{name}")
    labels = " ".join(await scrape())
    assert not [each for each in ("nonesuch", "ftx", "testnet", "acme") if each in labels]


async def test_the_process_and_its_build_are_described(scrape: Scrape) -> None:
    found = await scrape()
    assert found[named("process_resident_memory_bytes")] > 0
    assert [name for name in found if name.startswith("bridge_build_info[('ccxt', '4.")]
    assert [name for name in found if name.startswith("python_info")]
    assert named("bridge_event_loop_lag_seconds_count") in found


async def test_prometheus_finds_nothing_to_complain_of(
    bridge: httpx.AsyncClient, enrol: Call, add: Call, verify: Call, fault: Call
) -> None:
    promtool = installed("promtool", package="prometheus")
    await enrol()
    await add()
    await verify()
    await fault("binance", "throttle", times=1)
    await verify()
    served = (await bridge.get("/metrics")).content
    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=served, capture_output=True
    )
    assert (checked.returncode, checked.stderr, checked.stdout) == (0, b"", b"")


async def test_a_blocked_loop_shows_as_lag() -> None:
    told: asyncio.Queue[float] = asyncio.Queue()
    with lag_told(told.put_nowait, period_s=0.001):
        time.sleep(0.05)  # noqa: ASYNC251 - the fault under test
        assert await told.get() >= 0.048


def test_the_longest_stall_is_told_and_not_the_last() -> None:
    metrics = Metrics("boot")
    metrics.lagged(0.2)
    metrics.lagged(0.1)
    told = metrics.render(Registry(), []).decode()
    assert "bridge_event_loop_lag_longest_seconds 0.2" in told
