"""Prometheus and Alertmanager take what the page on alerts installs, and do what it says."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.alerts import ALERTS
from tests.conftest import installed
from tests.deploy.programs import said_by

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
PAGE = (ROOT / "docs/alerts.md").read_text()
TELLER = PROMETHEUS / "alertmanager.yml"
TOLD: dict[str, Any] = yaml.safe_load(TELLER.read_text())


def promtool(*words: str | Path) -> str:
    return said_by(installed("promtool", package="prometheus"), *words)


def amtool(*words: str | Path) -> str:
    return said_by(installed("amtool", package="prometheus-alertmanager"), *words)


def test_prometheus_takes_what_the_page_puts_into_its_directory(tmp_path: Path) -> None:
    (tmp_path / "bridge_token").write_text("token")
    places = {"/etc/bridgetender/secrets": str(tmp_path), "/etc/prometheus": str(tmp_path)}
    for source, target in re.findall(r"^install .*?(\S+) (/etc/\S+)$", PAGE, re.MULTILINE):
        for place, here in places.items():
            source, target = source.replace(place, here), target.replace(place, here)  # noqa: PLW2901
        text = (PROMETHEUS / source).read_text()  # an absolute one stands for itself
        Path(target).write_text(text.replace("/etc/prometheus", str(tmp_path)))
    config = tmp_path / "prometheus.yml"
    assert "rules found" in promtool("check", "config", config)
    (teller,) = yaml.safe_load(config.read_text())["alerting"]["alertmanagers"]
    assert f"--web.listen-address={teller['static_configs'][0]['targets'][0]} " in PAGE
    amtool("check-config", tmp_path / "alertmanager.yml")


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_whoever_an_alert_is_for_is_told(alert: Any) -> None:
    labels = [f"alertname={alert.name}", f"severity={alert.severity}"]
    told = amtool("config", "routes", "test", f"--config.file={TELLER}", *labels)
    assert told.split() == [alert.severity]


def test_what_keeps_another_alert_quiet_wakes_somebody_itself() -> None:
    severities = {alert.name: alert.severity for alert in ALERTS}
    for rule in TOLD["inhibit_rules"]:
        sources, targets = (
            set(re.findall(r"[A-Z]\w+", " ".join(rule[f"{side}_matchers"])))
            for side in ("source", "target")
        )
        assert targets <= severities.keys()
        assert {severities[name] for name in sources - targets} <= {"page"}
