"""Writes the rules: `python -m deploy.prometheus.make_rules > deploy/prometheus/rules.yml`.

*speed* divides every length of time, so that a test sees in seconds what takes hours; *links* is
where those whom an alert wakes find the dashboard, which has the runbook too, or another runbook.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import indent

from deploy.grafana.panels import DASHBOARD, Section
from deploy.prometheus.alerts import ALERTS, RECORDS, Alert, length


@dataclass(frozen=True)
class Links:
    """Where an alert leads; without a *runbook* to the dashboard's panels that say the same."""

    dashboard: str = f"http://localhost:3000/d/{DASHBOARD}"
    """Grafana's own default, and what a tunnel to it opens."""
    runbook: str = ""

    def panel(self, number: int, query: str = "") -> str:
        return f"{self.dashboard}?viewPanel={number:d}{query}"

    def section(self, alert: str) -> str:
        number = Section[alert]
        return f"{self.runbook}#{alert.lower()}" if self.runbook else self.panel(number)


LINKS = Links()


_OF_ITS_LABELS = "".join(
    f"{{{{ with $labels.{name} }}}}&var-{name}={{{{ . }}}}{{{{ end }}}}"
    for name in ("job", "namespace", "bridge", "exchange")
)


def annotations(alert: Alert, links: Links) -> dict[str, str]:
    """Return what an alert tells: in words, and where its panel and its cure are."""
    return {
        "summary": alert.summary,
        "dashboard_url": links.panel(alert.panel, _OF_ITS_LABELS),
        "runbook_url": links.section(alert.name),
        # as Grafana says it to itself
        "__dashboardUid__": DASHBOARD,
        "__panelId__": f"{alert.panel:d}",
    }


def said(text: str, speed: float) -> str:
    """Put lengths of time into *text*: `{60}` as Prometheus writes it, `{=60}` as seconds."""
    parts = text.split("{")
    done = [parts[0]]
    for part in parts[1:]:
        inside, closed, rest = part.partition("}")
        number = inside.removeprefix("=")
        if closed and number.replace(".", "").isdigit():
            seconds = float(number)
            word = f"{seconds / speed:g}" if "=" in inside else length(seconds, speed)
            done.append(word + rest)
        else:
            done.append("{" + part)
    return "".join(done)


def rules(speed: float = 1.0, links: Links = LINKS) -> str:
    """Return the file of rules."""
    return "\n".join(_lines(speed, links)) + "\n"


def resource(speed: float = 1.0, links: Links = LINKS) -> str:
    """Return the same as the Prometheus operator wants it."""
    kind = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\n"
    return f"{kind}metadata:\n  name: bridgetender\nspec:\n{indent(rules(speed, links), '  ')}"


def _lines(speed: float, links: Links) -> Iterator[str]:
    yield "# Written by deploy/prometheus/make_rules.py; alerts.py beside it says why."
    yield "groups:"
    yield "  - name: bridgetender.records"
    if speed > 1:
        yield "    interval: 1s"
    yield "    rules:"
    for name, expr in RECORDS.items():
        yield f"      - record: {name}"
        yield f"        expr: {said(expr, speed)}"
    yield "  - name: bridgetender.alerts"
    if speed > 1:
        yield "    interval: 1s"
    yield "    rules:"
    for alert in ALERTS:
        yield f"      - alert: {alert.name}"
        yield f"        expr: {said(alert.expr, speed)}"
        if alert.wait:
            yield f"        for: {length(alert.wait, speed)}"
        yield "        labels:"
        for label, value in {"severity": alert.severity, **alert.labels}.items():
            yield f"          {label}: {value}"
        yield "        annotations:"
        for name, value in annotations(alert, links).items():
            yield f'          {name}: "{value}"'


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster")
    parser.add_argument("--dashboard", default=LINKS.dashboard, help="the dashboard's address")
    parser.add_argument("--runbook", default=LINKS.runbook, help="that of another runbook's page")
    parser.add_argument("--kubernetes", action="store_true", help="as a PrometheusRule")
    wanted = parser.parse_args()
    make = resource if wanted.kubernetes else rules
    sys.stdout.write(make(wanted.speed, Links(wanted.dashboard, wanted.runbook)))
