"""Prometheus and Alertmanager take what the page on alerts installs, and do what it says."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.prometheus.alerts import ALERTS
from tests.conftest import installed

ROOT = Path(__file__).parent.parent.parent
PROMETHEUS = ROOT / "deploy/prometheus"
PAGE = (ROOT / "docs/alerts.md").read_text()
TELLER = PROMETHEUS / "alertmanager.yml"
TOLD: dict[str, Any] = yaml.safe_load(TELLER.read_text())


def said_by(program: str, package: str, *words: str) -> str:
    run = subprocess.run(
        [installed(program, package=package), *words], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_prometheus_takes_what_the_page_puts_into_its_directory(tmp_path: Path) -> None:
    (tmp_path / "bridge_token").write_text("token")
    places = {"/etc/bridgetender/secrets": str(tmp_path), "/etc/prometheus": str(tmp_path)}
    for source, target in re.findall(r"^install .*?(\S+) (/etc/\S+)$", PAGE, re.MULTILINE):
        for place, here in places.items():
            source, target = source.replace(place, here), target.replace(place, here)  # noqa: PLW2901
        text = (PROMETHEUS / source).read_text()  # an absolute one stands for itself
        Path(target).write_text(text.replace("/etc/prometheus", str(tmp_path)))
    config = tmp_path / "prometheus.yml"
    assert "rules found" in said_by("promtool", "prometheus", "check", "config", str(config))
    (teller,) = yaml.safe_load(config.read_text())["alerting"]["alertmanagers"]
    assert f"--web.listen-address={teller['static_configs'][0]['targets'][0]} " in PAGE
    said_by("amtool", "prometheus-alertmanager", "check-config", str(tmp_path / "alertmanager.yml"))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_whoever_an_alert_is_for_is_told(alert: Any) -> None:
    labels = [f"alertname={alert.name}", f"severity={alert.severity}"]
    route = ["config", "routes", "test", f"--config.file={TELLER}", *labels]
    assert said_by("amtool", "prometheus-alertmanager", *route).split() == [alert.severity]


def test_what_keeps_another_alert_quiet_wakes_somebody_itself() -> None:
    severities = {alert.name: alert.severity for alert in ALERTS}
    for rule in TOLD["inhibit_rules"]:
        sources, targets = (
            set(re.findall(r"[A-Z]\w+", " ".join(rule[f"{side}_matchers"])))
            for side in ("source", "target")
        )
        assert targets <= severities.keys()
        assert {severities[name] for name in sources - targets} <= {"page"}
