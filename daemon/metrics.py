"""Every Prometheus series, in one list."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from daemon.exchanges import KNOWN
from reconciler.model import Phase, Reason

M = TypeVar("M", bound=MetricWrapperBase)

VERDICTS = (
    *("done", "unavailable", "exchange_away", "throttled", "refused", "mass_refusal"),
    *("unsupported", "undecryptable", "unclear", "conflict", "not_there"),
)
RESULTS = ("ok", "bridge_down", "store_error")
CALLS = ("observe", "pulse", "initialize", "verify", "remove")
CAUSES = tuple(
    reason.value
    for reason in (
        *(Reason.NEW, Reason.CHANGED, Reason.LOST, Reason.REPLACED),
        *(Reason.REINITIALIZE, Reason.RESUMED),
    )
)
_REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 35)
_CONVERGENCE = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
_PREFIX = "bridgetender"


class Metrics:
    """The series of one daemon. No client, account or key is ever a label."""

    def __init__(self) -> None:
        disable_created_metrics()  # a second series for each, of which nobody asks
        self.registry = registry = CollectorRegistry()

        self._own: list[tuple[MetricWrapperBase, tuple[str, ...]]] = []

        def counter(name: str, text: str, *labels: str) -> Counter:
            return noted(Counter(f"{_PREFIX}_{name}", text, labels, registry=registry), labels)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return noted(Gauge(f"{_PREFIX}_{name}", text, labels, registry=registry), labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            name = f"{_PREFIX}_{name}"
            made = Histogram(name, text, labels, registry=registry, buckets=buckets)
            return noted(made, labels)

        def noted(metric: M, labels: tuple[str, ...]) -> M:
            self._own.append((metric, labels))
            return metric

        self.init_attempts = counter(
            "init_attempts", "Tries to initialize a connector.", "bridge", "exchange", "verdict"
        )
        self.init_duration = histogram(
            "init_duration_seconds", "Adding and proving.", _REQUEST, "bridge", "exchange"
        )
        self.convergence = histogram(
            "convergence_seconds",
            "From a row's change, or a loss seen, to live.",
            _CONVERGENCE,
            "bridge",
            "cause",
        )
        self.connectors = gauge("connectors", "Connectors by phase.", "bridge", "phase")
        self.connectors_reason = gauge(
            "connectors_reason", "Connectors that are not live, by reason.", "bridge", "reason"
        )
        self.unmanaged = gauge("unmanaged_connectors", "Listed, but not ours.", "bridge")
        self.orphans = gauge("orphans", "Ours, and their keys are gone.", "bridge")
        self.dropped = gauge(
            "dropped_connectors", "Ours, on bridges that the settings name no more."
        )
        self.keys = gauge("keys", "Stored keys.", "active")
        self.null_updated_at = gauge("null_updated_at_rows", "Keys whose updated_at is NULL.")
        self.oldest_unready = gauge(
            "oldest_unready_seconds",
            "Age of the oldest need that is not settled, by why it is not.",
            *("bridge", "reason"),
        )
        self.queue_due = gauge("queue_due", "Records whose time has come.", "bridge")
        self.queue_oldest_due = gauge(
            "queue_oldest_due_seconds", "How long the oldest of them has waited.", "bridge"
        )
        self.pass_duration = histogram("pass_duration_seconds", "Passes.", _REQUEST, "bridge")
        self.passes = counter("passes", "Passes by result.", "bridge", "result")
        self.last_pass_success = gauge(
            "last_pass_success_timestamp_seconds",
            "When a pass over everything last succeeded.",
            "bridge",
        )
        self.bridge_up = gauge(
            "bridge_up", "1 if the bridge answered its holder's last listing.", "bridge"
        )
        self.bridge_request_duration = histogram(
            "bridge_request_duration_seconds", "Calls to the bridge.", _REQUEST, "bridge", "call"
        )
        self.breaker_state = gauge(
            "bridge_breaker_state", "1 while nothing is tried: the breaker is open.", "bridge"
        )
        self.concurrency_limit = gauge(
            "bridge_concurrency_limit", "How many may be tried at once now.", "bridge"
        )
        self.mass_refusal = gauge(
            "mass_refusal", "1 while an exchange refuses nearly everything.", "bridge", "exchange"
        )
        self.paused = gauge("paused", "Pauses in force, of whatever reach.", "bridge")
        self.lease_held = gauge("lease_held", "1 if this replica holds the bridge.", "bridge")
        self.lease_takeovers = counter("lease_takeovers", "Leases taken.", "bridge")
        self.webhook_messages = counter(
            "webhook_messages", "Messages sent to owners, by what came of it.", "result"
        )
        self.webhook_waiting = gauge(
            "webhook_waiting_seconds", "How long the oldest is sent in vain.", "bridge"
        )
        self.decrypt_failures = counter("decrypt_failures", "Rows that no key reads.")
        self.listen_connected = gauge("listen_connected", "1 if the database's hints are heard.")
        self.db_pool_size = gauge("db_pool_connections", "Open connections to PostgreSQL.")
        self.db_pool_used = gauge("db_pool_connections_in_use", "Of them, in use.")
        for result in ("ok", "failed"):
            self.webhook_messages.labels(result)
        self.zero_keys()
        build = gauge("build_info", "This version.", "version")
        build.labels(version("bridgetender")).set(1)

    def described(self) -> Iterator[tuple[Metric, tuple[str, ...]]]:
        """Yield every series, with its labels."""
        for metric, labels in self._own:
            for family in metric.describe():
                yield family, labels

    def start_at_zero(self, bridge: str) -> None:
        """Create the label sets of *bridge* that are known in advance.

        Not `bridge_up`: whether it answers is known once it was asked.
        """
        for cause in CAUSES:
            self.convergence.labels(bridge, cause)
        for result in RESULTS:
            self.passes.labels(bridge, result)
        for call in CALLS:
            self.bridge_request_duration.labels(bridge, call)
        for phase in Phase:
            self.connectors.labels(bridge, phase)
        for reason in Reason:
            self.connectors_reason.labels(bridge, reason)
            self.oldest_unready.labels(bridge, reason)
        for each in (self.lease_held, self.unmanaged):
            each.labels(bridge)
        for each in (self.queue_due, self.queue_oldest_due, self.orphans, self.last_pass_success):
            each.labels(bridge)
        for each in (self.paused, self.breaker_state, self.concurrency_limit):
            each.labels(bridge)
        self.webhook_waiting.labels(bridge)
        self.lease_takeovers.labels(bridge)
        self.pass_duration.labels(bridge)
        self.start_exchange(bridge, "other")

    def zero(self, bridge: str) -> None:
        """Take back the gauges that only a bridge's holder exports."""
        for phase in Phase:
            self.connectors.labels(bridge, phase).set(0)
        for reason in Reason:
            self.connectors_reason.labels(bridge, reason).set(0)
            self.oldest_unready.labels(bridge, reason).set(0)
        for each in (self.unmanaged, self.orphans):
            each.labels(bridge).set(0)
        self.bridge_up.remove_by_labels({"bridge": bridge})  # neither up nor down: not known
        for each in (self.queue_due, self.queue_oldest_due, self.paused):
            each.labels(bridge).set(0)
        for each in (self.breaker_state, self.concurrency_limit, self.webhook_waiting):
            each.labels(bridge).set(0)
        self.mass_refusal.remove_by_labels({"bridge": bridge})
        self.mass_refusal.labels(bridge, "other")

    def zero_keys(self) -> None:
        """Take back the gauges of all keys, which the default bridge's holder exports."""
        for active in ("true", "false"):
            self.keys.labels(active).set(0)
        self.null_updated_at.set(0)
        self.dropped.set(0)

    def drop(self, bridge: str) -> None:
        """Let every series of *bridge* vanish."""
        for metric, labels in self._own:
            if "bridge" in labels:
                metric.remove_by_labels({"bridge": bridge})

    def start_exchange(self, bridge: str, exchange: str) -> None:
        """Let every verdict of *exchange* start at 0, so that a first one counts in a rate."""
        self.init_duration.labels(bridge, label_of(exchange))
        self.mass_refusal.labels(bridge, label_of(exchange))
        for verdict in VERDICTS:
            self.init_attempts.labels(bridge, label_of(exchange), verdict)


def label_of(exchange: str) -> str:
    """Return *exchange* as a label: bounded, whatever people type."""
    return exchange if exchange in KNOWN else "other"
