"""Tells metrics and health what the loop does."""

from collections import Counter
from collections.abc import Iterable, Mapping
from time import monotonic

from prometheus_client import Gauge

from daemon.metrics import Metrics, label_of
from daemon.store.census import Census, KeyCount
from daemon.store.pauses import Pause
from daemon.vitals import Vitals
from reconciler.model import (
    Attempt,
    BridgeName,
    Credentials,
    Instant,
    Observation,
    Phase,
    Proof,
    Reason,
    Record,
    Slot,
)
from reconciler.ports import Bridge, Clock
from reconciler.records import Action


class Watch:
    """A `reconciler.ports.Meter`."""

    def __init__(self, metrics: Metrics, vitals: Vitals, clock: Clock) -> None:
        self._metrics = metrics
        self._vitals = vitals
        self._clock = clock
        self._started: set[tuple[str, str]] = set()
        self.main: BridgeName | None = None
        """The default bridge: whoever holds it exports the gauges of all keys."""

    def begin(self, bridge: BridgeName) -> None:
        """Show *bridge* from now on."""
        self._metrics.start_at_zero(bridge)
        self._vitals.of(bridge)

    def forget(self, bridge: BridgeName) -> None:
        """Show *bridge* no more: its series vanish with it."""
        self._metrics.drop(bridge)
        self._vitals.bridges.pop(bridge, None)
        self._started = {pair for pair in self._started if pair[0] != bridge}

    def attempted(self, attempt: Attempt) -> None:
        if attempt.action != Action.INITIALIZE:
            return
        bridge, exchange = attempt.slot.bridge, label_of(attempt.exchange)
        self._start(bridge, exchange)
        self._metrics.init_attempts.labels(bridge, exchange, attempt.verdict).inc()
        if attempt.verdict == "undecryptable":
            self._metrics.decrypt_failures.inc()
        else:
            self._metrics.init_duration.labels(bridge, exchange).observe(attempt.seconds)

    def _start(self, bridge: str, exchange: str) -> None:
        """Show every verdict of *exchange*, a label, from now on."""
        if (bridge, exchange) not in self._started:
            self._metrics.start_exchange(bridge, exchange)
            self._started.add((bridge, exchange))

    def converged(self, record: Record, seconds: float) -> None:
        self._metrics.convergence.labels(record.slot.bridge, record.cause).observe(seconds)

    def passed(self, bridge: BridgeName, result: str, seconds: float, *, everything: bool) -> None:
        self._metrics.passes.labels(bridge, result).inc()
        self._metrics.pass_duration.labels(bridge).observe(seconds)
        if not everything:  # a few keys looked at hide no look at all that hangs or fails
            return
        if result == "ok":
            self._metrics.last_pass_success.labels(bridge).set(self._clock.now().timestamp())
        self._vitals.of(bridge).turned = monotonic()

    def bridge_up(self, bridge: BridgeName, *, up: bool, reason: str) -> None:
        now, vitals = self._clock.now(), self._vitals.of(bridge)
        if vitals.up != up:
            vitals.since = now
        vitals.up, vitals.reason, vitals.seen_at = up, reason, now
        self._metrics.bridge_up.labels(bridge).set(up)

    def lease_held(self, bridge: BridgeName, *, held: bool) -> None:
        vitals = self._vitals.of(bridge)
        if held and not vitals.held:
            self._metrics.lease_takeovers.labels(bridge).inc()
        if vitals.held and not held:  # the next holder exports what the database and bridge say
            self._metrics.zero(bridge)
            if bridge == self.main:
                self._metrics.zero_keys()
        vitals.held, vitals.turned = held, monotonic()
        self._vitals.started = True
        self._metrics.lease_held.labels(bridge).set(held)

    def told(self, bridge: BridgeName, *, up: bool, reason: str, since: Instant | None) -> None:
        """Take over what the holder has written down of a bridge."""
        vitals = self._vitals.of(bridge)
        if not vitals.held:
            vitals.up, vitals.reason, vitals.since = up, reason, since
            vitals.seen_at = self._clock.now()

    def paused(self, bridge: BridgeName, pauses: Iterable[Pause]) -> None:
        """Take over which pauses are in force."""
        vitals = self._vitals.of(bridge)
        of_bridge = [p for p in pauses if p.scope != "bridge" or p.id == bridge]
        vitals.pauses = len(of_bridge)
        vitals.paused = any(pause.scope in ("all", "bridge") for pause in of_bridge)

    def unmanaged(self, bridge: BridgeName, count: int) -> None:
        self._metrics.unmanaged.labels(bridge).set(count)

    def paced(self, bridge: BridgeName, *, limit: int, breaker_open: bool) -> None:
        self._metrics.concurrency_limit.labels(bridge).set(limit)
        self._metrics.breaker_state.labels(bridge).set(breaker_open)

    def mass_refusal(self, bridge: BridgeName, exchange: str, *, on: bool) -> None:
        self._metrics.mass_refusal.labels(bridge, label_of(exchange)).set(on)

    def progressed(self, bridge: BridgeName) -> None:
        vitals = self._vitals.of(bridge)
        if not vitals.held:  # a holder's loop is alive by its passes alone
            vitals.turned = monotonic()

    def counted(self, bridge: BridgeName, census: Census) -> None:
        """Set the gauges of what the database says of *bridge*."""
        for exchange in census.exchanges:
            self._start(bridge, label_of(exchange))
        phases, reasons = Counter[str](), Counter[str]()
        for (phase, reason), count in census.by_phase_and_reason.items():
            phases[phase] += count
            reasons[reason] += 0 if phase == Phase.LIVE else count
        metrics = self._metrics
        _fill(metrics.connectors, bridge, Phase, phases)
        _fill(metrics.connectors_reason, bridge, Reason, reasons)
        _fill(metrics.oldest_unready, bridge, Reason, census.oldest_unready)
        metrics.orphans.labels(bridge).set(phases[Phase.REMOVING] + phases[Phase.UNREMOVABLE])
        metrics.queue_due.labels(bridge).set(census.due)
        metrics.queue_oldest_due.labels(bridge).set(census.oldest_due)
        metrics.paused.labels(bridge).set(census.pauses)

    def counted_keys(self, count: KeyCount) -> None:
        """Set the gauges of what the database says of all keys."""
        self._metrics.keys.labels("true").set(count.active)
        self._metrics.keys.labels("false").set(count.inactive)
        self._metrics.null_updated_at.set(count.null_updated_at)
        self._metrics.dropped.set(count.dropped)


class TimedBridge:
    """A `reconciler.ports.Bridge` that passes every call on and measures it."""

    def __init__(self, bridge: Bridge, name: str, metrics: Metrics) -> None:
        self._bridge = bridge
        self._name = name
        self._durations = metrics.bridge_request_duration

    async def observe(self) -> Observation:
        with self._durations.labels(self._name, "observe").time():
            return await self._bridge.observe()

    async def pulse(self) -> str | None:
        with self._durations.labels(self._name, "pulse").time():
            return await self._bridge.pulse()

    async def initialize(self, slot: Slot, credentials: Credentials, fingerprint: str) -> None:
        with self._durations.labels(self._name, "initialize").time():
            await self._bridge.initialize(slot, credentials, fingerprint)

    async def verify(self, slot: Slot) -> Proof:
        with self._durations.labels(self._name, "verify").time():
            return await self._bridge.verify(slot)

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        with self._durations.labels(self._name, "remove").time():
            await self._bridge.remove(slot, fingerprint)


def _fill(gauge: Gauge, bridge: str, known: Iterable[str], values: Mapping[str, float]) -> None:
    """Set every *known* label, those of which nothing is known too."""
    for label in known:
        gauge.labels(bridge, label).set(values.get(label, 0))
