"""The dashboard in the box is what its description says, and fits what there is to show."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from bridge.metrics import Metrics as BridgeMetrics
from daemon.metrics import Metrics
from deploy.grafana.charts import CHARTS
from deploy.grafana.make_dashboard import SOURCE_UID, dashboard
from deploy.grafana.panels import Panel, Section
from deploy.prometheus.alerts import ALERTS, RECORDS

GRAFANA = Path(__file__).parent.parent.parent / "deploy/grafana"
DRAWN = json.loads(dashboard())


def panels() -> Iterator[dict[str, Any]]:
    return (panel for panel in DRAWN["panels"] if panel["type"] != "row")


def test_the_file_in_the_box_is_what_the_script_writes() -> None:
    assert (GRAFANA / "dashboard.json").read_text() == dashboard()


def test_every_panel_is_drawn_once_and_none_over_another() -> None:
    numbers = Counter(int(each) for each in (*Panel, *Section))
    assert Counter(panel["id"] for panel in panels()) == numbers
    for one, other in combinations([panel["gridPos"] for panel in DRAWN["panels"]], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_from_an_alert_to_its_panel_and_on_to_the_runbook(alert: Any) -> None:
    shown = {panel["id"]: panel for panel in panels()}
    urls = [link["url"] for link in shown[alert.panel]["links"]]
    assert f"/d/{DRAWN['uid']}?viewPanel={Section[alert.name]:d}" in urls
    section = shown[Section[alert.name]]
    assert section["title"] == alert.name
    assert "**Cure**" in section["options"]["content"]
    kept = dashboard("https://docs.example.com/runbook")
    assert f'"https://docs.example.com/runbook#{alert.name.lower()}"' in kept


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.panel.name)
def test_of_several_installations_only_what_was_chosen_is_shown(chart: Any) -> None:
    for query in chart.queries:
        series = r"\b(?:bridgetender[_:]|bridge_)[a-z_:0-9]+(\{[^}]*\})?"
        assert all("$namespace" in chosen for chosen in re.findall(series, query.expr)), query.expr


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.panel.name)
def test_seconds_are_drawn_against_an_axis_of_seconds_and_nothing_else_is(chart: Any) -> None:
    panel = next(panel for panel in panels() if panel["id"] == chart.panel)
    of_own = {
        each["matcher"]["options"]: each["properties"][0]["value"]
        for each in panel["fieldConfig"]["overrides"]
    }
    usual = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        unit = of_own.get(target["refId"], usual)
        assert (unit == "s") == ("_seconds" in target["expr"]), target["expr"]


def test_lines_that_are_drawn_over_each_other_have_colours_of_their_own() -> None:
    for panel in (panel for panel in panels() if panel["type"] == "timeseries"):
        assert panel["fieldConfig"]["defaults"]["color"] == {"mode": "palette-classic"}


def test_the_runbook_says_nothing_that_grafana_would_take_for_its_own() -> None:
    for panel in panels():
        if panel["type"] == "text":
            said = panel["options"]["content"]
            assert not re.search(r"\]\(|\$", said), "a link among pages, or a variable"


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.panel.name)
def test_every_series_asked_for_is_one_that_there_is(chart: Any) -> None:
    known = {*RECORDS}
    for registry in (Metrics().registry, BridgeMetrics("boot")._registry):
        for family in registry.collect():
            known |= {family.name + end for end in ("", "_total", "_bucket")}
    for query in chart.queries:
        asked = re.findall(r"\b(?:bridgetender[_:]|bridge_)[a-z_:0-9]+", query.expr)
        assert asked
        assert set(asked) <= known


def test_what_grafana_is_given_at_its_start_fits_the_dashboard() -> None:
    sources = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())
    assert [source["uid"] for source in sources["datasources"]] == [SOURCE_UID]
    variable = DRAWN["templating"]["list"][0]
    assert variable["current"]["value"] == SOURCE_UID
    asked = {panel["datasource"]["uid"] for panel in panels() if "targets" in panel}
    assert asked == {f"${{{variable['name']}}}"}
    (provider,) = yaml.safe_load(
        (GRAFANA / "provisioning/dashboards/bridgetender.yml").read_text()
    )["providers"]
    assert provider["type"] == "file"
