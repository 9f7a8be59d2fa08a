"""The numbers of the engine, all settable."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.backoff import Backoff
from reconciler.pacing import Rate

RATES: Mapping[str, float] = {"binance": 5.0}
"""Attempts a second where an exchange is known to allow fewer than most: of the 6,000 request
weight that Binance gives an address in a minute, reading an account takes 20."""
RATE = 10.0
"""Attempts a second for any other exchange; each attempt asks it at most once for a balance."""
OTHERS = "*"
"""In `Rules.rates`: every exchange that is not named there."""
_AS_FAST_AS_MAY_BE = 1_000_000.0

LONGEST_REQUEST = timedelta(seconds=80)
"""Connect, add and verify at their timeouts: past it, an open intent is nobody's."""
CLOCK_SKEW = timedelta(seconds=5)
"""What is dated further ahead than this was dated by a clock that was wrong then, or is now."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Defaults that suit a firm with a hundred keys as well as one with a hundred thousand."""

    resync: timedelta = timedelta(seconds=30)
    pulse: timedelta = timedelta(seconds=2)
    """How often a bridge is asked whether it still is the one that was listed."""
    second_look: timedelta = timedelta(seconds=1)
    """How soon a connector that one listing lacks is looked for again."""
    backoff: Backoff = field(default_factory=Backoff)
    probe: Backoff = field(default_factory=lambda: Backoff(cap=timedelta(seconds=30)))
    """How soon a bridge that is down is asked again."""
    breaker_opens_after: int = 5
    concurrency: int = 64
    """How many attempts at once a bridge gets at most."""
    concurrency_start: int = 8
    """And at first; more while all goes well."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Attempts a second by exchange, before RATES and RATE; 0 is as fast as may be."""
    quiet: Backoff = field(default_factory=lambda: Backoff(cap=timedelta(minutes=5)))
    """How long an exchange is left alone that was asked too fast and does not say for how long."""
    refuses_all: timedelta = timedelta(minutes=1)
    """How long, at first, an exchange is left alone that refuses nearly everything."""
    batch: int = 100
    lease: timedelta = timedelta(seconds=15)
    renew: timedelta = timedelta(seconds=5)
    """How often a lease is renewed, and asked for."""
    courtesy: timedelta = timedelta(seconds=10)
    """How long a free bridge is left to a replica that holds fewer."""
    longest_request: timedelta = LONGEST_REQUEST
    verify_every: timedelta = timedelta(minutes=15)
    verify_again: timedelta = timedelta(minutes=1)
    """When a verification told neither yes nor no."""
    recheck_refused: timedelta = timedelta(hours=6)
    recheck_unsupported: timedelta = timedelta(days=1)
    recheck_conflict: timedelta = timedelta(minutes=5)
    recheck_removal: timedelta = timedelta(days=1)
    grace: timedelta = timedelta(seconds=20)
    jitter: float = 0.1

    def rate_of(self, exchange: str) -> Rate:
        """Return how fast *exchange* may be asked."""
        usual = RATES.get(exchange, RATE)
        per_second = self.rates.get(exchange, self.rates.get(OTHERS, usual))
        return Rate.of(per_second or _AS_FAST_AS_MAY_BE)
