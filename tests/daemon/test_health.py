"""What each endpoint promises, whatever has gone: nothing is asked, only what was last seen."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from time import monotonic

import anyio
import httpx
import pytest

from daemon.fleet import Fleet
from daemon.metrics import Metrics
from daemon.settings import BridgeSettings, Settings
from daemon.vault import Keyring, new_key
from daemon.vitals import Vitals
from daemon.web.health import SILENT_AFTER, STALLED_AFTER, alive, health_app
from daemon.wiring import Parts
from reconciler.model import Secret
from reconciler.routes import MAIN
from reconciler.rules import Rules
from tests.daemon.house import PlainVault

pytestmark = pytest.mark.anyio
NOW = datetime(2030, 1, 1, tzinfo=UTC)
REASON = "password authentication failed for user brenda"


@pytest.fixture
def vitals() -> Vitals:
    """Those of a daemon with which all is well."""
    vitals = Vitals(started=True, database=None, schema=None, keyring=None)
    main = vitals.of("main")
    main.up, main.reason, main.since, main.seen_at = True, "", NOW, NOW
    main.held, main.turned = True, monotonic()
    return vitals


@pytest.fixture
async def probe(vitals: Vitals) -> AsyncIterator[httpx.AsyncClient]:
    metrics = Metrics()
    metrics.start_at_zero("main")
    transport = httpx.ASGITransport(health_app(vitals, metrics.registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://health") as client:
        yield client


async def statuses(probe: httpx.AsyncClient, *paths: str) -> list[int]:
    return [(await probe.get(path)).status_code for path in paths]


ALL = ("/livez", "/readyz", "/healthz", "/startupz", "/healthz/bridges", "/healthz/bridges/main")


async def test_all_is_well(probe: httpx.AsyncClient) -> None:
    assert await statuses(probe, *ALL) == [200] * 6


async def test_a_bridge_that_is_down_fails_nothing_but_its_own_endpoint(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    main = vitals.of("main")
    main.up, main.reason = False, "connection refused"
    assert await statuses(probe, *ALL) == [200, 200, 200, 200, 503, 503]
    told = (await probe.get("/healthz/bridges/main")).json()
    assert told == {
        "up": False,
        "reason": "connection refused",
        "since": NOW.isoformat(),
        "seen_at": NOW.isoformat(),
        "held": True,
        "paused": False,
        "pauses": 0,
    }
    assert (await probe.get("/healthz/bridges")).json() == {"bridges": {"main": told}}


async def test_one_bridge_of_two_that_is_down_has_its_own_status(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.of("second").up = False
    paths = ("/healthz/bridges", "/healthz/bridges/main", "/healthz/bridges/second")
    assert await statuses(probe, *paths) == [503, 200, 503]


async def test_a_bridge_that_nobody_asked_yet_is_not_called_up(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.of("main").up = None
    assert await statuses(probe, "/healthz/bridges", "/healthz/bridges/main") == [503, 503]


async def test_a_bridge_that_does_not_exist_is_not_found(probe: httpx.AsyncClient) -> None:
    answer = await probe.get("/healthz/bridges/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"detail": "no bridge is named 'nowhere'"})


@pytest.mark.parametrize("what", ["database", "schema", "keyring"])
async def test_what_is_needed_for_traffic_fails_readiness_and_never_liveness(
    probe: httpx.AsyncClient, vitals: Vitals, what: str
) -> None:
    setattr(vitals, what, REASON)
    assert await statuses(probe, *ALL[:4]) == [200, 503, 503, 200]
    assert await statuses(probe, f"/readyz/{what}", "/readyz/started") == [503, 200]


async def test_a_database_that_says_nothing_is_not_called_well(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.database_seen_at = monotonic() - SILENT_AFTER - 1
    assert await statuses(probe, "/readyz", "/readyz/database", "/livez") == [503, 503, 200]
    vitals.database_seen_at = monotonic()
    assert await statuses(probe, "/readyz") == [200]


async def test_a_daemon_that_holds_no_lease_is_alive_and_ready(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.of("main").held = False
    assert await statuses(probe, "/livez", "/readyz") == [200, 200]


async def test_a_daemon_that_stops_gets_no_more_traffic_and_is_left_alive(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.draining = True
    assert await statuses(probe, "/livez", "/readyz", "/readyz/not-draining") == [200, 503, 503]


async def test_a_daemon_that_waits_for_its_database_is_alive_and_still_starting(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.started, vitals.database = False, REASON
    vitals.of("main").turned = None
    assert await statuses(probe, "/livez", "/readyz", "/startupz") == [200, 503, 503]


async def test_a_loop_that_no_longer_turns_is_a_reason_to_restart(
    probe: httpx.AsyncClient, vitals: Vitals
) -> None:
    vitals.of("main").turned = monotonic() - STALLED_AFTER - 1
    assert await statuses(probe, "/livez", "/readyz") == [503, 200]
    told = (await probe.get("/livez?verbose")).json()
    assert told == {"status": "failing", "checks": {"loop-main": "failing"}}


def test_a_loop_is_given_all_its_time(vitals: Vitals) -> None:
    vitals.of("main").turned = 100.0
    assert not any(alive(vitals, 100.0 + STALLED_AFTER).values())
    assert any(alive(vitals, 100.0 + STALLED_AFTER + 1).values())


async def test_a_loop_that_seldom_looks_at_everything_is_given_more(database_url: str) -> None:
    settings = Settings(
        Secret(database_url),
        keyring=Keyring([new_key()]),
        bridges=(BridgeSettings(MAIN, "unix:/nonexistent/bridge.sock"),),
        rules=Rules(resync=timedelta(hours=1)),
    )
    parts = Parts.of(settings)
    stop = anyio.Event()
    stop.set()
    await Fleet(parts, PlainVault()).run(stop)
    parts.vitals.of("main").turned = 100.0
    assert not any(alive(parts.vitals, 100.0 + 3_600).values())
    assert any(alive(parts.vitals, 100.0 + 6 * 3_600 + 1).values())


@pytest.mark.parametrize("path", ["/readyz", "/readyz/database", "/startupz", "/livez"])
async def test_whoever_asks_is_told_which_check_fails_and_never_why(
    probe: httpx.AsyncClient, vitals: Vitals, path: str
) -> None:
    vitals.database = vitals.schema = REASON
    vitals.started = False
    for asked in (path, f"{path}?verbose", f"{path}?verbose=1"):
        assert "brenda" not in (await probe.get(asked)).text
    assert "checks" not in (await probe.get(path)).json()


async def test_verbose_lists_every_check(probe: httpx.AsyncClient, vitals: Vitals) -> None:
    vitals.schema = REASON
    assert (await probe.get("/readyz?verbose")).json() == {
        "status": "failing",
        "checks": {
            "started": "ok",
            "not-draining": "ok",
            "database": "ok",
            "schema": "failing",
            "keyring": "ok",
            "routes": "ok",
        },
    }


async def test_a_check_that_does_not_exist_is_not_found_and_the_others_are_named(
    probe: httpx.AsyncClient,
) -> None:
    answer = await probe.get("/readyz/weather")
    assert answer.status_code == 404
    assert "'database'" in answer.json()["detail"]


async def test_there_is_no_page_of_an_api_here(probe: httpx.AsyncClient) -> None:
    assert await statuses(probe, "/openapi.json", "/docs", "/redoc", "/") == [404] * 4
