"""Writes the dashboard: `python -m deploy.grafana.make_dashboard > deploy/grafana/dashboard.json`.

What it shows is in charts.py, and what to do in docs/runbook.md, whose sections are panels, too.
*runbook* is where another one is.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.grafana.charts import ROWS, VARIABLES, Chart, Query
from deploy.grafana.panels import DASHBOARD, Section
from deploy.prometheus.alerts import ALERTS
from deploy.prometheus.make_rules import Links

Json = dict[str, Any]
SOURCE = {"type": "prometheus", "uid": "${source}"}
SOURCE_UID = "prometheus"
_WIDTH, _HEIGHT = 24, 8


def dashboard(runbook: str = "") -> str:
    """Return the dashboard's file."""
    links = Links(f"/d/{DASHBOARD}", runbook)
    return json.dumps(_dashboard(links), indent=2) + "\n"


def _dashboard(links: Links) -> Json:
    return {
        "uid": DASHBOARD,
        "title": "Bridgetender",
        "tags": ["bridgetender"],
        "schemaVersion": 39,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "links": [_link("Runbook", links.runbook)] if links.runbook else [],
        "templating": {"list": [_source(), *(_variable(*each) for each in VARIABLES.items())]},
        "annotations": {"list": [_alerts()]},
        "panels": list(_panels(links)),
    }


def _panels(links: Links) -> Iterator[Json]:
    """Lay the rows out, each from left to right, as many lines as it takes."""
    rows = {
        title: [(_panel(each, links), each.width) for each in row] for title, row in ROWS.items()
    }
    rows["What to do"] = [(_section(*each, links), _WIDTH // 2) for each in runbook().items()]
    y = 0
    for number, (title, row) in enumerate(rows.items()):
        where = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
        yield {"type": "row", "id": 1000 + number, "title": title, "gridPos": where, "panels": []}
        x, y = 0, y + 1
        for panel, width in row:
            if x + width > _WIDTH:
                x, y = 0, y + _HEIGHT
            where = {"x": x, "y": y, "w": width, "h": _HEIGHT}
            yield panel | {"gridPos": where}
            x += width
        y += _HEIGHT


def _panel(chart: Chart, links: Links) -> Json:
    at_once = chart.kind == "table"
    return {
        "id": int(chart.panel),
        "type": chart.kind,
        "title": chart.title,
        "description": chart.says,
        "datasource": SOURCE,
        "targets": [_target(_ref(n), query, at_once) for n, query in enumerate(chart.queries)],
        "fieldConfig": {"defaults": _look(chart), "overrides": list(_second_axis(chart))},
        "links": [
            _link(name, links.section(name))
            for name in dict.fromkeys(a.name for a in ALERTS if a.panel is chart.panel)
        ],
        **({"transformations": [_only("bridge", "reason", "Value")]} if at_once else {}),
    }


def runbook() -> dict[str, str]:
    """Return what the runbook says, by its headings."""
    page = Path(__file__).parent.parent.parent / "docs/runbook.md"
    section = re.compile(r"^## (\w+)\n+(.*?)\n*(?=^## |\Z)", re.MULTILINE | re.DOTALL)
    return dict(section.findall(page.read_text()))


def _section(heading: str, text: str, links: Links) -> Json:
    """Return a panel that says what the runbook says."""
    commands = [_link("How to type a command", links.panel(Section.Commands))]
    return {
        "type": "text",
        "id": int(Section[heading]),
        "title": heading,
        "options": {"mode": "markdown", "content": text},
        "links": commands if heading != Section.Commands.name else [],
    }


def _target(ref: str, query: Query, at_once: bool) -> Json:  # noqa: FBT001  (a format, not a switch)
    how = {"instant": True, "format": "table"} if at_once else {"legendFormat": query.legend}
    return {"refId": ref, "expr": query.expr, "datasource": SOURCE, **how}


def _second_axis(chart: Chart) -> Iterator[Json]:
    """Draw what has another unit than the rest against an axis of its own, on the right."""
    for number, query in enumerate(chart.queries):
        if query.unit:
            yield {
                "matcher": {"id": "byFrameRefID", "options": _ref(number)},
                "properties": [
                    {"id": "unit", "value": query.unit},
                    {"id": "custom.axisPlacement", "value": "right"},
                ],
            }


def _ref(number: int) -> str:
    return chr(ord("A") + number)


def _look(chart: Chart) -> Json:
    steps = [
        {"color": colour, "value": value if number else None}
        for number, (value, colour) in enumerate(chart.limits or ((0, "blue"),))
    ]
    options = {
        value: {"text": text, "color": colour} for value, (text, colour) in chart.words.items()
    }
    is_line = chart.kind == "timeseries"
    return {
        "unit": chart.unit,
        "min": 0,
        "color": {"mode": "palette-classic" if is_line or not chart.limits else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [{"type": "value", "options": options}] if options else [],
        "custom": _drawn(chart),
    }


def _drawn(chart: Chart) -> Json:
    if chart.kind != "timeseries":
        return {}
    stacking = {"mode": "normal" if chart.stacked else "none"}
    limits = {"mode": "line" if chart.limits else "off"}
    fill = 25 if chart.stacked else 0
    return {"fillOpacity": fill, "stacking": stacking, "thresholdsStyle": limits}


def _only(*columns: str) -> Json:
    """Hide what a table has beside *columns*."""
    return {"id": "filterFieldsByName", "options": {"include": {"names": list(columns)}}}


def _link(title: str, url: str) -> Json:
    return {"title": title, "type": "link", "url": url, "targetBlank": True}


def _source() -> Json:
    """Offer every Prometheus that Grafana knows, first the one of provisioning/."""
    return {
        "name": "source",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": SOURCE_UID},
    }


def _variable(name: str, query: str) -> Json:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,  # with each change of the time shown
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _alerts() -> Json:
    """Mark in every panel when an alert fired."""
    return {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "target": {
            "refId": "alerts",
            "expr": 'ALERTS{alertstate="firing",job=~"$job|",namespace=~"$namespace|"'
            ',bridge=~"$bridge|"}',
        },
        "titleFormat": "{{alertname}}",
        "textFormat": "{{bridge}} {{severity}}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runbook", default="", help="the address of another runbook's page")
    sys.stdout.write(dashboard(parser.parse_args().runbook))
