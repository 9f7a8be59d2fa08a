"""Every Prometheus series of the bridge, in one list.

An exchange's series begin with its first call and end with its last connector. A label is a name
that the bridge knows (exchanges, ways out, states, codes), never what a client sent.
"""

import platform
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import version
from typing import TypeVar

import ccxt
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.metrics_core import Metric

from bridge.connectors import Registry
from bridge.template import Template

M = TypeVar("M", bound=MetricWrapperBase)

_ANSWERS = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_WAITS = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAGS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_DIRECT = "direct"


class Metrics:
    """A registry of its own, so that two bridges in one process do not meet."""

    def __init__(
        self, boot_id: str, certificate_expires: Callable[[], float] | None = None
    ) -> None:
        disable_created_metrics()  # a second series for each, of which nobody asks
        self._registry = registry = CollectorRegistry()
        self._own: list[tuple[MetricWrapperBase, tuple[str, ...]]] = []

        def noted(metric: M, labels: tuple[str, ...]) -> M:
            self._own.append((metric, labels))
            return metric

        def counter(name: str, text: str, *labels: str) -> Counter:
            return noted(Counter(f"bridge_{name}", text, labels, registry=registry), labels)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return noted(Gauge(f"bridge_{name}", text, labels, registry=registry), labels)

        def histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            made = Histogram(f"bridge_{name}", text, labels, registry=registry, buckets=buckets)
            return noted(made, labels)

        self._connectors = gauge(
            "connectors", "Connectors held, by how their last call ended.", "exchange", "state"
        )
        self._requests = counter(
            "exchange_requests",
            "Balances and proofs asked of exchanges, by what came of them: ok, or an error's code.",
            *("exchange", "outcome"),
        )
        self._answers = histogram(
            "exchange_request_duration_seconds",
            "From sending one HTTP request to an exchange to its answer or failure.",
            _ANSWERS,
            "exchange",
        )
        self._waits = histogram(
            "throttle_wait_seconds",
            "How long requests waited for their turn before they were sent.",
            _WAITS,
            *("exchange", "egress"),
        )
        self._sent_away = counter(
            "throttle_sent_away",
            "Requests that were not sent, since their turn was too far off.",
            *("exchange", "egress"),
        )
        self._waiting = gauge(
            "throttle_waiting", "Requests that wait for their turn now.", "exchange", "egress"
        )
        self._quiet = gauge(
            "throttle_quiet_seconds",
            "How much longer nothing is sent, because the exchange asked for that.",
            *("exchange", "egress"),
        )
        self._ages = gauge("template_age_seconds", "Since markets were loaded.", "exchange")
        self._markets = gauge("template_markets", "Markets loaded, for all to share.", "exchange")
        self._lag = histogram(
            "event_loop_lag_seconds", "How late the event loop is for what is due.", _LAGS
        )
        self._longest = gauge("event_loop_lag_longest_seconds", "The longest since the start.")
        self._late = 0.0
        name, words = "certificate_expiry_timestamp_seconds", "When the certificate ends, with TLS."
        expiry = noted(Gauge(f"bridge_{name}", words, registry=None), ())
        if certificate_expires is not None:  # else a 0 would be one that ended long ago
            expiry.set_function(certificate_expires)
            registry.register(expiry)
        gauge("boot_info", "This process.", "boot_id").labels(boot_id).set(1)
        build = gauge("build_info", "What runs here.", "version", "ccxt", "python")
        ours = version("bridgetender")
        build.labels(ours, ccxt.__version__, platform.python_version()).set(1)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def lagged(self, seconds: float) -> None:
        self._lag.observe(seconds)
        self._late = max(self._late, seconds)
        self._longest.set(self._late)

    def asked(self, exchange: str, outcome: str) -> None:
        self._requests.labels(exchange, outcome).inc()

    def answered(self, exchange: str, seconds: float) -> None:
        self._answers.labels(exchange).observe(seconds)

    def waited(self, exchange: str, egress: str, seconds: float) -> None:
        self._waits.labels(exchange, egress or _DIRECT).observe(seconds)

    def sent_away(self, exchange: str, egress: str) -> None:
        self._sent_away.labels(exchange, egress or _DIRECT).inc()

    def render(self, registry: Registry, templates: Iterable[Template]) -> bytes:
        """Return the text format."""
        self._connectors.clear()
        for (exchange, state), count in registry.states().items():
            self._connectors.labels(exchange, state).set(count)
        for template in templates:
            self._show(template)
        for exchange, count in registry.counts.items():
            if not count:
                self._forget(exchange)
        return generate_latest(self._registry)

    def _show(self, template: Template) -> None:
        self._markets.labels(template.name).set(template.markets_loaded)
        if template.age_s is not None:
            self._ages.labels(template.name).set(template.age_s)
        for lane in template.lanes:
            where = template.name, lane.egress or _DIRECT
            self._waiting.labels(*where).set(len(lane.line))
            self._quiet.labels(*where).set(lane.quiet_s)

    def _forget(self, exchange: str) -> None:
        for metric, labels in self._own:
            if "exchange" in labels:
                metric.remove_by_labels({"exchange": exchange})

    def described(self) -> Iterator[tuple[Metric, tuple[str, ...]]]:
        """Yield our own series, each with its labels; others are of Python and of the process."""
        for metric, labels in self._own:
            for family in metric.describe():
                yield family, labels
