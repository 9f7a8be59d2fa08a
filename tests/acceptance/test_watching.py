"""A real Prometheus watches a daemon and a bridge: every panel shows something, and the alert that
is meant comes and goes with what it tells of."""

import json
import math
import shutil
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import yaml

from daemon.embedded.children import Child, clean_environment
from deploy.grafana.charts import CHARTS
from deploy.grafana.panels import Panel, Section
from deploy.prometheus.alerts import FEW
from deploy.prometheus.make_rules import rules
from tests.acceptance.firm import PATIENCE, Firm, Site, issue, spoken_to
from tests.conftest import do_without, installed

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
ROOT = Path(__file__).parent.parent.parent
SPEED = 120.0
"""How much faster the rules' windows pass: an hour is half a minute."""
SUBSTITUTES = dict.fromkeys(("$job", "$namespace", "$bridge", "$exchange"), ".*")
SUBSTITUTES["$__rate_interval"] = "1m"
QUERIES = [(chart.panel.name, query.expr) for chart in CHARTS for query in chart.queries]

OTHERS = {"DaemonAbsent", "NoSuccessfulPass", "BridgeWithoutHolder", "MassRefusal"}
"""Alerts that would blame something else."""


@dataclass
class Watchers:
    """Prometheus and Alertmanager, by their HTTP APIs."""

    prometheus: httpx.AsyncClient
    alertmanager: httpx.AsyncClient

    async def has(self, query: str) -> bool:
        """Tell whether *query* answers with a number."""
        for name, value in SUBSTITUTES.items():
            query = query.replace(name, value)
        answer = await self.prometheus.post("/api/v1/query", data={"query": query})
        assert answer.status_code == 200, f"{query}: {answer.text}"
        return any(math.isfinite(float(e["value"][1])) for e in answer.json()["data"]["result"])

    async def alerts(self, state: str) -> list[dict[str, Any]]:
        told = (await self.prometheus.get("/api/v1/alerts")).json()["data"]["alerts"]
        return [alert for alert in told if alert["state"] == state]

    async def blame_none_of(self, alerts: set[str]) -> bool:
        return not names(await self.alerts("firing")) & alerts

    async def tells(self, name: str, state: str) -> bool:
        return name in names(await self.alerts(state))

    async def received(self, name: str) -> list[dict[str, Any]]:
        """Return what Alertmanager holds of an alert that has not been resolved."""
        told: list[dict[str, Any]] = (await self.alertmanager.get("/api/v2/alerts")).json()
        return [alert for alert in told if alert["labels"]["alertname"] == name]


def names(alerts: Iterable[dict[str, Any]]) -> set[str]:
    return {alert["labels"]["alertname"] for alert in alerts}


@pytest.fixture
async def watchers(site: Site) -> AsyncIterator[Watchers]:
    prometheus = installed("prometheus", package="prometheus")
    alertmanager = (
        shutil.which("prometheus-alertmanager")  # as Debian calls it
        or shutil.which("alertmanager")
        or do_without("prometheus-alertmanager")
    )
    site.bridge_url = f"http://127.0.0.1:{free_port()}"  # no Prometheus speaks to a unix socket
    site.settings["BRIDGETENDER_RESYNC_SECONDS"] = "1"  # or no pass would be a dead man, so fast
    await site.start_paper()
    await start_bridge(site)
    await site.start_daemon()
    async with (
        run(site, alertmanager, *alertmanager_options(site)) as told,
        run(site, prometheus, *prometheus_options(site, told)) as asked,
        spoken_to(asked) as asking,
        spoken_to(told) as telling,
    ):
        yield Watchers(asking, telling)


async def start_bridge(site: Site) -> None:
    port = site.bridge_url.rpartition(":")[2]
    origin = site.addresses["paper"]
    options = ["--port", port, "--exchange-origin", origin, "--paced"]
    await site.start("bridge", ["-m", "bridge", *options])


def prometheus_options(site: Site, alertmanager: str) -> list[str]:
    targets = {
        "bridgetender": site.addresses["daemon"],
        "bridgetender-bridge": site.addresses["bridge"],
    }
    configuration = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [static(alertmanager)]},
        "scrape_configs": [{"job_name": job, **static(url)} for job, url in targets.items()],
    }
    (site.directory / "rules.yml").write_text(rules(SPEED))
    config = site.directory / "prometheus.yml"
    config.write_text(json.dumps(configuration))  # JSON is YAML
    return [f"--config.file={config}", f"--storage.tsdb.path={site.directory / 'prometheus'}"]


def alertmanager_options(site: Site) -> list[str]:
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/alertmanager.yml").read_text())
    nobody = [{"name": each["name"]} for each in shipped["receivers"]]
    config = site.directory / "alertmanager.yml"
    config.write_text(json.dumps({**shipped, "receivers": nobody}))
    storage = site.directory / "alertmanager"
    return [f"--config.file={config}", f"--storage.path={storage}", "--cluster.listen-address="]


def static(url: str) -> dict[str, Any]:
    return {"static_configs": [{"targets": [url.removeprefix("http://")]}]}


@asynccontextmanager
async def run(site: Site, program: str, *options: str) -> AsyncIterator[str]:
    """Run one of Prometheus' programs for as long as it is needed; yield its URL."""
    name = program.rpartition("/")[2]
    where = f"127.0.0.1:{free_port()}"
    command = [program, f"--web.listen-address={where}", *options]
    child = Child.start(command, env=clean_environment(), log=site.logs / f"{name}.log")
    site.children[name] = child
    async with spoken_to(f"http://{where}") as web:
        with anyio.fail_after(PATIENCE):
            while not await is_ready(web):
                assert child.returncode is None, site.logged(name)
                await anyio.sleep(0.03)
    yield f"http://{where}"
    await site.stop(name)


async def is_ready(web: httpx.AsyncClient) -> bool:
    try:
        return (await web.get("/-/ready")).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


async def test_every_panel_shows_something_and_the_right_alert_comes_and_goes(
    site: Site, firm: Firm, watchers: Watchers
) -> None:
    await firm.until(lambda: watchers.has("bridgetender_init_attempts_total"))
    await a_key_that_works(firm)
    # an exchange's series begin with its first call, and a rate with the second
    await firm.until(lambda: watchers.has('bridge_exchange_requests_total{exchange="binance"}'))
    await firm.until(lambda: watchers.has("bridgetender_init_attempts_total > 0"))
    for _ in range(FEW - 1):
        await a_key_that_works(firm)
    await firm.add_key(await firm.add_client("Wrong"))
    await until_all_is_shown(firm, watchers)

    await firm.until(lambda: watchers.blame_none_of(OTHERS | {"BridgeDown"}))
    await site.kill("bridge")
    await firm.until(lambda: watchers.tells("BridgeDown", "pending"))
    await firm.until(lambda: watchers.tells("BridgeDown", "firing"))
    await firm.until(lambda: watchers.received("BridgeDown"))
    (received,) = await watchers.received("BridgeDown")
    assert received["labels"]["bridge"] == "main"
    told, here = received["annotations"], "http://localhost:3000/d/bridgetender?viewPanel"
    assert told["runbook_url"] == f"{here}={Section.BridgeDown:d}"
    of = "&var-job=bridgetender&var-bridge=main"
    assert told["dashboard_url"] == f"{here}={Panel.BRIDGE_UP:d}{of}"
    await firm.until(lambda: is_left_out(watchers, "KeysNotLive"))
    await firm.until(lambda: watchers.blame_none_of(OTHERS))

    await start_bridge(site)
    await firm.until(lambda: is_over(watchers, "BridgeDown"))
    await firm.until_live(FEW)


async def a_key_that_works(firm: Firm) -> None:
    issued = issue()
    await firm.issue_on_paper("binance", issued, USDT="1000")
    client = await firm.add_client(f"Client {len(firm.keys)}")
    await firm.add_key(client, issued=issued)
    await firm.until_live()


async def until_all_is_shown(firm: Firm, watchers: Watchers) -> None:
    waiting = list(QUERIES)

    async def all_shown() -> bool:
        for each in list(waiting):
            if await watchers.has(each[1]):
                waiting.remove(each)
        return not waiting

    try:
        await firm.until(all_shown)
    except AssertionError as error:
        raise AssertionError(f"nothing to show: {waiting}") from error


async def is_left_out(watchers: Watchers, name: str) -> bool:
    received = await watchers.received(name)
    return bool(received) and all(alert["status"]["inhibitedBy"] for alert in received)


async def is_over(watchers: Watchers, name: str) -> bool:
    return not (await watchers.tells(name, "firing") or await watchers.received(name))
