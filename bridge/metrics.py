"""Every Prometheus series of the bridge, in one list."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_WAITS = (0.001, 0.01, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_DIRECT = "direct"


class Metrics:
    """A registry of its own, so that two bridges in one process do not meet."""

    def __init__(self, boot_id: str) -> None:
        self._registry = CollectorRegistry()
        self._connectors = Gauge(
            "bridge_connectors", "Connectors held.", ["exchange"], registry=self._registry
        )
        self._requests = Counter(
            "bridge_exchange_requests",
            "Authenticated calls to exchanges, by what came of them.",
            ["exchange", "outcome"],
            registry=self._registry,
        )
        self._waits = Histogram(
            "bridge_throttle_wait_seconds",
            "How long calls waited for their turn at an exchange.",
            ["exchange", "egress"],
            registry=self._registry,
            buckets=_WAITS,
        )
        self._sent_away = Counter(
            "bridge_throttle_sent_away",
            "Calls that were not sent, since their turn was too far off.",
            ["exchange", "egress"],
            registry=self._registry,
        )
        boot = Gauge("bridge_boot_info", "This process.", ["boot_id"], registry=self._registry)
        boot.labels(boot_id).set(1)

    def asked(self, exchange: str, outcome: str) -> None:
        self._requests.labels(exchange, outcome).inc()

    def waited(self, exchange: str, egress: str, seconds: float) -> None:
        self._waits.labels(exchange, egress or _DIRECT).observe(seconds)

    def sent_away(self, exchange: str, egress: str) -> None:
        self._sent_away.labels(exchange, egress or _DIRECT).inc()

    def render(self, connectors: Mapping[str, int]) -> bytes:
        """Return the text format; *connectors* are the counts by exchange."""
        self._connectors.clear()
        for exchange, count in connectors.items():
            if count:
                self._connectors.labels(exchange).set(count)
        return generate_latest(self._registry)
