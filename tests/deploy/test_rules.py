"""Every alert fires where it should and stays silent where it should, says promtool."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from deploy.grafana.panels import DASHBOARD, Section
from deploy.prometheus.alerts import ALERTS, Alert
from deploy.prometheus.make_rules import Links, rules
from tests.conftest import installed
from tests.deploy.alerts import CASES, GIVEN_BACK, UP, Case, phases
from tests.deploy.programs import said_by

ROOT = Path(__file__).parent.parent.parent


def alert_of(case: Case) -> dict[str, Any]:
    """Return what Prometheus is to show of it."""
    found = next(each for each in ALERTS if is_meant(each, case))
    here = "http://localhost:3000/d/bridgetender?viewPanel="
    shown = "".join(
        f"&var-{name}={case.labels[name]}"
        for name in ("job", "namespace", "bridge", "exchange")
        if name in case.labels
    )
    return {
        "exp_labels": {"severity": found.severity, **found.labels, **case.labels},
        "exp_annotations": {
            "summary": found.summary,
            "dashboard_url": f"{here}{found.panel:d}{shown}",
            "runbook_url": f"{here}{Section[case.alert]:d}",
            "__dashboardUid__": DASHBOARD,
            "__panelId__": str(int(found.panel)),
        },
    }


def is_meant(alert: Alert, case: Case) -> bool:
    labels = {"severity": alert.severity, **alert.labels}
    return alert.name == case.alert and all(
        case.labels.get(name, value) == value for name, value in labels.items()
    )


def tell(tmp_path: Path, series: Mapping[str, str], **expected: Any) -> None:
    """Let promtool say whether it is as *expected* when Prometheus has scraped *series*."""
    promtool = installed("promtool", package="prometheus")
    (tmp_path / "rules.yml").write_text(rules())
    scraped = [{"series": name, "values": values} for name, values in series.items()]
    test = {"interval": "1m", "input_series": scraped, **expected}
    tests = {"rule_files": ["rules.yml"], "tests": [test]}
    (tmp_path / "tests.yml").write_text(json.dumps(tests))  # JSON is YAML
    said_by(promtool, "test", "rules", tmp_path / "tests.yml")


def test_every_alert_has_a_case() -> None:
    without = [each for each in ALERTS if not any(is_meant(each, case) for case in CASES)]
    assert without == []
    assert {case.alert for case in CASES} <= {each.name for each in ALERTS}
    assert all(case.fires and case.silent for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.alert)
@pytest.mark.parametrize("fires", [True, False], ids=["fires", "is silent"])
def test_an_alert(case: Case, tmp_path: Path, *, fires: bool) -> None:
    expected = {
        "eval_time": f"{case.minute if fires else case.silent_minute}m",
        "alertname": case.alert,
        "exp_alerts": [alert_of(case)] if fires else [],
    }
    tell(tmp_path, case.fires if fires else case.silent, alert_rule_test=[expected])


@pytest.mark.parametrize(
    ("series", "share"),
    [
        (UP | phases(live="3x90", retrying="1x90"), [0.25]),
        (UP | phases(live="0x90"), [0]),
        (GIVEN_BACK | phases(live="3x10 0x80"), []),
    ],
    ids=["as it is", "nothing, of an empty house", "unknown, where no replica holds the bridge"],
)
def test_the_share_that_is_not_live_is(
    series: Mapping[str, str], share: list[float], tmp_path: Path
) -> None:
    expected = {
        "expr": "sum by (bridge) (bridgetender:not_live:ratio)",
        "eval_time": "60m",
        "exp_samples": [{"labels": '{bridge="main"}', "value": value} for value in share],
    }
    tell(tmp_path, series, promql_expr_test=[expected])


def test_the_file_in_the_box_is_what_the_script_writes() -> None:
    assert (ROOT / "deploy/prometheus/rules.yml").read_text() == rules()


def test_every_alert_has_a_section_of_the_runbook() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", runbook, re.MULTILINE | re.DOTALL))
    assert sections.pop("Commands")
    assert sections.keys() == {each.name for each in ALERTS}
    for name, text in sections.items():
        for part in ("**Means**", "**Check**", "**Cure**"):
            assert part in text, name


def test_an_alert_links_to_where_dashboard_and_runbook_are_kept() -> None:
    grafana = "https://grafana.example.com/d/bridgetender"
    kept = rules(links=Links(grafana))
    assert f'runbook_url: "{grafana}?viewPanel={Section.BridgeDown:d}"' in kept
    assert "localhost" not in kept
    kept = rules(links=Links(grafana, "https://docs.example.com/runbook/"))
    assert 'runbook_url: "https://docs.example.com/runbook/#bridgedown"' in kept
    assert f'dashboard_url: "{grafana}?viewPanel=' in kept


def test_faster_rules_are_the_same_but_for_their_lengths() -> None:
    plain, fast = rules(), rules(speed=600)
    assert re.findall(r"alert: (\w+)", plain) == re.findall(r"alert: (\w+)", fast)
    assert "[1h]" in plain
    assert "[6s]" in fast
