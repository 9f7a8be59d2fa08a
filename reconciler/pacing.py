"""When to leave a bridge alone, how many at once, how fast. Pure: the time is handed in."""

from dataclasses import dataclass
from datetime import timedelta

from reconciler.backoff import Backoff, Draw


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
class Limit:
    """How many may be tried at once: more while all goes well, half as many at each trouble.

    Additive increase, multiplicative decrease: one more for each whole round that went well. Until
    the first trouble each success allows one more, so that a round doubles it. Failures of what was
    begun before the last cut tell nothing new.
    """

    floor: int
    ceiling: int
    value: float
    _doubling: bool = True
    _cut_at: float = float("-inf")

    @property
    def now(self) -> int:
        return int(self.value)

    def went_well(self, under_way: int) -> None:
        """Take note of a success while *under_way* were tried; an idle limit proves nothing."""
        if 2 * under_way >= self.now:
            more = 1.0 if self._doubling else 1.0 / self.now
            self.value = min(self.value + more, self.ceiling)

    def went_badly(self, began: float, now: float, under_way: int) -> None:
        """Halve what was *under_way*, when what *began* then failed at *now*, in seconds."""
        if began >= self._cut_at:
            self.value = max(min(self.value, under_way) / 2, self.floor)
            self._doubling, self._cut_at = False, now


@dataclass(frozen=True, slots=True)
class Rate:
    """How many attempts a second, and how many at once after a rest."""

    per_second: float
    burst: float

    @classmethod
    def of(cls, per_second: float) -> "Rate":
        """Return a rate whose burst is that of two seconds, or a single one of a slow rate."""
        return cls(per_second, max(2 * per_second, 1.0))

    def part(self, share: float) -> "Rate":
        return Rate(self.per_second * share, max(self.burst * share, 1.0))


@dataclass(slots=True)
class Bucket:
    """A token for each attempt; they come back at a rate, slower for a while after a throttling."""

    rate: Rate
    _tokens: float = float("inf")
    _at: float = float("-inf")
    _share: float = 1.0

    def level(self, now: float) -> float:
        """Return the tokens there are at *now*, in seconds of a clock that never goes back."""
        come_back = self.rate.per_second * self._share * max(now - self._at, 0.0)
        self._tokens = min(self._tokens + come_back, self.rate.burst)
        self._at = max(now, self._at)
        return self._tokens

    def take(self, now: float) -> None:
        self._tokens = self.level(now) - 1

    def slow_down(self, now: float) -> None:
        """Begin anew without a token, at half the rate; never below a sixteenth."""
        self.level(now)
        self._tokens, self._share = 0.0, max(self._share / 2, 1 / 16)

    def went_well(self) -> None:
        self._share = min(self._share + 1 / 64, 1.0)

    def wait(self, tokens: float, now: float) -> float:
        """Return the seconds until there are *tokens*."""
        missing = tokens - self.level(now)
        return max(missing, 0.0) / (self.rate.per_second * self._share)
