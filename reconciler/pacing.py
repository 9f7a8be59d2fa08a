"""When to leave a bridge or an exchange alone. Pure but for the clock it is handed."""

from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.backoff import Backoff, Draw
from reconciler.model import Instant


@dataclass(slots=True)
class Breaker:
    """Closed while the bridge answers. Open, one probe at a time finds out whether it does again.

    The probe is the listing: without one there is nothing to compare with, so nothing is attempted.
    A bridge may list and yet do nothing: closed again after attempts had opened it, it is on trial
    until one is answered; a failure then opens it at once, and for longer.
    """

    probe: Backoff
    opens_after: int
    closed: bool = False
    _probes: int = 0
    _in_a_row: int = 0

    def failed(self) -> bool:
        """Count an attempt that found the bridge unavailable; True if that opens the breaker."""
        self._in_a_row += 1
        if not self.closed or self._in_a_row < self.opens_after:
            return False
        self.closed = False
        self._probes += 1
        return True

    @property
    def on_trial(self) -> bool:
        return self._in_a_row >= self.opens_after

    def answered(self) -> None:
        self._in_a_row = 0

    def probed(self, *, well: bool) -> None:
        """Take note of how a listing went."""
        self.closed = well
        if not well:
            self._in_a_row = 0
            self._probes += 1
        elif not self.on_trial:
            self._probes = 0

    def next_probe(self, draw: Draw) -> timedelta:
        return self.probe.delay(self._probes, draw)


@dataclass(slots=True)
class Holdoffs:
    """Exchanges that asked for quiet, each until its own time."""

    _until: dict[str, Instant] = field(default_factory=dict)

    def hold(self, exchange: str, until: Instant) -> None:
        self._until[exchange] = max(until, self._until.get(exchange, until))

    def held(self, now: Instant) -> dict[str, Instant]:
        """Return the exchanges to spare at *now*, with the end of each one's quiet."""
        self._until = {name: until for name, until in self._until.items() if until > now}
        return self._until
