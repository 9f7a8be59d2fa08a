"""How many calls and writes the rules allow, and how long settling may take: derived from Rules."""

from datetime import timedelta
from math import floor

from reconciler.backoff import Backoff
from reconciler.model import Phase, Reason, Record
from reconciler.rules import Rules


def tries_within(backoff: Backoff, seconds: float) -> int:
    """Return how often a slot that always fails may be tried within *seconds*, the first included.

    Every wait is taken to be as short as its jitter makes it.
    """
    shortest, tries, spent = 1 - backoff.jitter, 0, 0.0
    while spent <= seconds:
        tries += 1
        spent += backoff.plain(tries).total_seconds() * shortest
    return tries


def rounds_within(every: timedelta, jitter: float, seconds: float) -> int:
    """Return how often what is done *every* so often may be done within *seconds*."""
    return floor(seconds / (every.total_seconds() * (1 - jitter)))


def looks_again_after(record: Record, rules: Rules) -> timedelta:
    """Return how long a settled record is left alone at least, but for jitter."""
    match record.phase, record.reason:
        case Phase.LIVE, _:
            return rules.verify_every
        case Phase.PARKED, Reason.REFUSED:
            return rules.recheck_refused
        case Phase.CONFLICT, Reason.CREDENTIALS_TAKEN:
            return rules.recheck_conflict
        case Phase.UNREMOVABLE, _:
            return rules.recheck_removal
        case _:
            return rules.recheck_unsupported


def longest_to_settle(rules: Rules) -> float:
    """Return seconds in which all is settled after the last fault and change.

    A false refusal is asked about once more after its recheck; what failed waits its longest
    backoff; a takeover waits for a lease's end; what is lost is believed at the second listing.
    """
    longest = 1 + rules.jitter
    backoff = rules.backoff.cap * (1 + rules.backoff.jitter)
    probe = rules.probe.cap * (1 + rules.probe.jitter)
    listings = 4 * rules.resync * longest
    takeover = rules.lease + rules.courtesy + rules.renew * longest + rules.longest_request
    rechecks = (rules.recheck_refused + rules.recheck_conflict + rules.verify_every) * longest
    return (rechecks + 4 * backoff + probe + listings + takeover).total_seconds()
