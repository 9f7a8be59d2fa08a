"""All that the dashboard shows, in rows of panels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.grafana.panels import Panel
from deploy.prometheus.alerts import BURNS, OBJECTIVE, WINDOWS, length, not_live

_UP_DOWN = {"0": ("down", "red"), "1": ("up", "green")}
_OF = 'job=~"$job",namespace=~"$namespace"'
"""One Prometheus may watch several installations."""
_I, _B = f"{{{_OF}}}", f'{{{_OF},bridge=~"$bridge"}}'
_BX = f'{{{_OF},bridge=~"$bridge",exchange=~"$exchange"}}'
_UNDECRYPTABLE = f'{{{_OF},bridge=~"$bridge",reason="undecryptable"}}'
_N, _X = '{namespace=~"$namespace"}', '{namespace=~"$namespace",exchange=~"$exchange"}'
"""Of our bridge, which is a job of its own."""


@dataclass(frozen=True)
class Query:
    """*expr* in PromQL, and how each series of its answer is called; *unit* if not its chart's."""

    expr: str
    legend: str
    unit: str = ""


@dataclass(frozen=True)
class Chart:
    """One panel; *kind* and *unit* are Grafana's names, *words* name values."""

    panel: Panel
    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    says: str = ""
    stacked: bool = False
    limits: tuple[tuple[float, str], ...] = ()
    """From which value on in which colour."""
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def rate(counter: str, by: str, labels: str) -> str:
    return f"sum by ({by}) (rate({counter}{labels}[$__rate_interval]))"


def quantiles(histogram: str, by: str, labels: str, *wanted: float) -> tuple[Query, ...]:
    """Return the queries for how long the fastest share of *wanted* took."""
    buckets = rate(f"{histogram}_bucket", f"le, {by}", labels)
    return tuple(
        Query(f"histogram_quantile({q:g}, {buckets})", f"{{{{{by}}}}}, {q:.0%} within")
        for q in wanted
    )


_BUDGET = f"{1 - OBJECTIVE:g}"
_MAX_BURN = max(factor for _, factor, *_ in BURNS)
_OBJECTIVE = (
    Chart(
        Panel.LIVE_SHARE,
        "Keys live, of those that could be",
        (Query(f"1 - bridgetender:not_live:ratio{_B}", "{{bridge}}"),),
        unit="percentunit",
        kind="stat",
        width=6,
        says="The objective. Wrong keys of their owners and paused ones are left out.",
        limits=((0, "red"), (0.99, "orange"), (OBJECTIVE, "green")),
    ),
    Chart(
        Panel.KEYS,
        "Keys",
        (Query(f"max by (active) (bridgetender_keys{_I})", "active: {{active}}"),),
        kind="stat",
        width=6,
    ),
    Chart(
        Panel.BRIDGES_UP,
        "Bridges",
        (Query(f"max by (bridge) (bridgetender_bridge_up{_B})", "{{bridge}}"),),
        kind="stat",
        width=6,
        limits=((0, "red"), (1, "green")),
        words=_UP_DOWN,
    ),
    Chart(
        Panel.REPLICAS,
        "Replicas that are scraped",
        (Query(f"count by (version) (bridgetender_build_info{_I})", "version {{version}}"),),
        kind="stat",
        width=6,
    ),
    Chart(
        Panel.BURN,
        "Error budget: how many times too fast it burns",
        tuple(
            Query(f"{not_live(window)}{_B} / {_BUDGET}", f"{{{{bridge}}}}, {length(window)}")
            for window in WINDOWS
        ),
        width=12,
        says=f"1 spends the budget of {1 - OBJECTIVE:.1%} exactly. Over 1h from {_MAX_BURN:g} on,"
        " or over 6h from 6 on, somebody is woken.",
        limits=((0, "green"), (1, "yellow"), (6, "orange"), (_MAX_BURN, "red")),
    ),
    Chart(
        Panel.INIT_SUCCESS,
        "Attempts that succeed",
        (Query(f"bridgetender:init_success:ratio{_B}", "{{bridge}}"),),
        unit="percentunit",
        width=6,
        says="Over an hour; wrong keys of their owners are left out. Empty if nothing was tried.",
    ),
    Chart(
        Panel.ATTEMPTS,
        "Attempts by verdict",
        (Query(rate("bridgetender_init_attempts_total", "verdict", _BX), "{{verdict}}"),),
        unit="ops",
        width=6,
        stacked=True,
    ),
)
_CONNECTORS = (
    Chart(
        Panel.PHASES,
        "Connectors by phase",
        (Query(f"sum by (phase) (bridgetender_connectors{_B})", "{{phase}}"),),
        stacked=True,
    ),
    Chart(
        Panel.NOT_LIVE,
        "What is not live, and why",
        (Query(f"sum by (bridge, reason) (bridgetender_connectors_reason{_B}) > 0", ""),),
        kind="table",
        says="Which keys they are is said by `bridgetender status` and the console: no metric has a"
        " client's name.",
    ),
    Chart(
        Panel.OLDEST_UNREADY,
        "Oldest key that waits to be live",
        (Query(f"max by (bridge) (bridgetender_oldest_unready_seconds{_B})", "{{bridge}}"),),
        unit="s",
    ),
    Chart(
        Panel.CONVERGENCE,
        "Time to converge",
        quantiles("bridgetender_convergence_seconds", "cause", _B, 0.5, 0.95),
        unit="s",
        width=12,
        says="From a change in the database, or a loss that was seen, to live.",
    ),
    Chart(
        Panel.LEFTOVERS,
        "Left over, or not ours",
        (
            Query(f"max by (bridge) (bridgetender_orphans{_B})", "{{bridge}}, key gone"),
            Query(f"max (bridgetender_dropped_connectors{_I})", "bridge gone"),
            Query(
                f"max by (bridge) (bridgetender_unmanaged_connectors{_B})", "{{bridge}}, others'"
            ),
        ),
        width=12,
    ),
)
_BRIDGE = (
    Chart(
        Panel.BRIDGE_UP,
        "Bridge answers its listing",
        (Query(f"max by (bridge) (bridgetender_bridge_up{_B})", "{{bridge}}"),),
        kind="state-timeline",
        words=_UP_DOWN,
    ),
    Chart(
        Panel.BRIDGE_LATENCY,
        "How long its answers take",
        quantiles("bridgetender_bridge_request_duration_seconds", "call", _B, 0.5, 0.95),
        unit="s",
    ),
    Chart(
        Panel.BREAKER,
        "Breaker and limit",
        (
            Query(
                f"max by (bridge) (bridgetender_bridge_breaker_state{_B})",
                "{{bridge}}, open",
                unit="bool_yes_no",
            ),
            Query(
                f"max by (bridge) (bridgetender_bridge_concurrency_limit{_B})",
                "{{bridge}}, at once",
            ),
        ),
    ),
    Chart(
        Panel.MASS_REFUSAL,
        "Exchanges that refuse nearly everything",
        (
            Query(
                f"max by (bridge, exchange) (bridgetender_mass_refusal{_BX})",
                "{{bridge}} {{exchange}}",
            ),
        ),
        kind="state-timeline",
        words={"0": ("no", "green"), "1": ("refuses", "red")},
    ),
    Chart(
        Panel.INIT_DURATION,
        "How long adding and proving takes",
        quantiles("bridgetender_init_duration_seconds", "exchange", _BX, 0.5, 0.95),
        unit="s",
        width=16,
    ),
)
_DAEMON = (
    Chart(
        Panel.QUEUE,
        "Queue",
        (
            Query(f"max by (bridge) (bridgetender_queue_due{_B})", "{{bridge}}, due"),
            Query(
                f"max by (bridge) (bridgetender_queue_oldest_due_seconds{_B})",
                "{{bridge}}, how long the oldest waits",
                unit="s",
            ),
        ),
    ),
    Chart(
        Panel.PASSES,
        "Passes by result",
        (Query(rate("bridgetender_passes_total", "bridge, result", _B), "{{bridge}} {{result}}"),),
        unit="ops",
        stacked=True,
    ),
    Chart(
        Panel.LAST_PASS,
        "Since the last pass that succeeded",
        (
            Query(
                "time() - max by (bridge)"
                f" (bridgetender_last_pass_success_timestamp_seconds{_B} > 0)",
                "{{bridge}}",
            ),
        ),
        unit="s",
    ),
    Chart(
        Panel.HOLDERS,
        "Who holds a bridge",
        (Query(f"bridgetender_lease_held{_B}", "{{bridge}}, {{instance}}"),),
        kind="state-timeline",
        words={"0": ("no", "transparent"), "1": ("holds", "green")},
    ),
    Chart(
        Panel.DATABASE,
        "Database: connections and hints",
        (
            Query(f"bridgetender_db_pool_connections{_I}", "{{instance}}, open"),
            Query(f"bridgetender_db_pool_connections_in_use{_I}", "{{instance}}, in use"),
            Query(
                f"bridgetender_listen_connected{_I}",
                "{{instance}}, hears hints",
                unit="bool_yes_no",
            ),
        ),
    ),
    Chart(
        Panel.WEBHOOK,
        "Messages to owners",
        (
            Query(
                rate("bridgetender_webhook_messages_total", "result", _I), "{{result}}", unit="ops"
            ),
            Query(
                f"max by (bridge) (bridgetender_webhook_waiting_seconds{_B})",
                "{{bridge}}, how long the oldest is sent in vain",
            ),
        ),
        unit="s",
        says="By webhook, if one is set.",
    ),
    Chart(
        Panel.UNREADABLE,
        "Rows that are amiss",
        (
            Query(f"max (bridgetender_null_updated_at_rows{_I})", "without updated_at"),
            Query(
                f"sum (bridgetender_connectors_reason{_UNDECRYPTABLE})",
                "undecryptable",
            ),
        ),
    ),
)
_OWN_BRIDGE = (
    Chart(
        Panel.OWN_BRIDGE_CONNECTORS,
        "Connectors it holds, by how their last call ended",
        (Query(f"sum by (state) (bridge_connectors{_X})", "{{state}}"),),
        stacked=True,
    ),
    Chart(
        Panel.OWN_BRIDGE_OUTCOMES,
        "What exchanges answered",
        (Query(rate("bridge_exchange_requests_total", "outcome", _X), "{{outcome}}"),),
        unit="ops",
        stacked=True,
    ),
    Chart(
        Panel.OWN_BRIDGE_LATENCY,
        "How long exchanges take",
        quantiles("bridge_exchange_request_duration_seconds", "exchange", _X, 0.5, 0.95),
        unit="s",
    ),
    Chart(
        Panel.OWN_BRIDGE_WAITS,
        "How long requests wait for their turn",
        quantiles("bridge_throttle_wait_seconds", "exchange", _X, 0.95),
        unit="s",
        width=12,
    ),
    Chart(
        Panel.OWN_BRIDGE_LAG,
        "How late its event loop is",
        quantiles("bridge_event_loop_lag_seconds", "instance", _N, 0.5, 0.99),
        unit="s",
        width=12,
    ),
)
ROWS = {
    "The objective": _OBJECTIVE,
    "Connectors": _CONNECTORS,
    "The Trading Bridge, as the daemon sees it": _BRIDGE,
    "The daemon": _DAEMON,
    "Our Trading Bridge (empty for another's)": _OWN_BRIDGE,
}
CHARTS = [chart for row in ROWS.values() for chart in row]
VARIABLES = {
    "job": "label_values(bridgetender_build_info, job)",
    "namespace": "label_values(bridgetender_build_info, namespace)",
    "bridge": f"label_values(bridgetender_lease_held{_I}, bridge)",
    "exchange": f"label_values(bridgetender_init_attempts_total{_B}, exchange)",
}
