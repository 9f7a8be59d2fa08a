"""The numbers of the engine, all settable."""

from dataclasses import dataclass, field
from datetime import timedelta

from reconciler.backoff import Backoff

LONGEST_REQUEST = timedelta(seconds=80)
"""Connect, add and verify at their timeouts: past it, an open intent is nobody's."""


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
    concurrency: int = 32
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
