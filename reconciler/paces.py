"""How fast each exchange of a bridge is asked, and when it is left alone: one pace for each."""

from dataclasses import dataclass, field
from math import inf

from reconciler.backoff import Backoff, Draw
from reconciler.fairness import SHARES, TURNS
from reconciler.model import Lane, Urgency
from reconciler.pacing import Bucket, Limit
from reconciler.refusals import Refusals
from reconciler.rules import Rules

RESERVES = {Urgency.NOW: 0.0, Urgency.SOON: 0.25, Urgency.BULK: 0.5, Urgency.PROOF: 0.5}
"""The part of a burst that each class leaves to more urgent ones."""
PROOFS = 0.5
"""The part of an exchange's rate that proofs of what is live may use."""
_ON_TRIAL = 2
"""Attempts at once while nobody knows whether an exchange refuses everything still."""
_LEAST = 4
"""Attempts at once on an exchange that does not answer: some keys may hang, and not the others."""
_ROUNDING = 1e-6


@dataclass(slots=True)
class Pace:
    """One exchange's. *prepared* wait to be sent, with a token for each; *under_way* are sent."""

    bucket: Bucket
    proofs: Bucket
    limit: Limit
    quiet: Backoff
    prepared: int = 0
    under_way: int = 0
    quiet_until: float = float("-inf")
    told_until: float = float("-inf")
    """How much of it is written down."""
    refusals: Refusals = field(default_factory=Refusals)
    refuses_all: bool = False
    refuses_since: float = 0.0
    refused_at: float = 0.0
    """When it last refused a key while it refused all, or could not have."""
    _quiets: int = 0
    _passed: dict[Urgency, int] = field(default_factory=dict)
    """How many of other classes were sent since the last of each."""

    def room(self, urgency: Urgency, now: float) -> int:
        """Return how many more of a class may be prepared."""
        if now < self.quiet_until:
            return 0
        tokens = self.bucket.level(now) - self.prepared - self._reserve(urgency)
        if urgency is Urgency.PROOF:
            tokens = min(tokens, self.proofs.level(now) - self.prepared)
        return max(min(self._places(), int(tokens + _ROUNDING)), 0)

    def wait(self, urgency: Urgency, now: float) -> float:
        """Return the seconds until there may be room; infinite until an attempt ends."""
        if self._places() <= 0:
            return inf
        tokens = 1 + self.prepared + self._reserve(urgency)
        waits = [self.quiet_until - now, self.bucket.wait(tokens, now), 0.0]
        if urgency is Urgency.PROOF:
            waits.append(self.proofs.wait(1 + self.prepared, now))
        return max(waits)

    @property
    def idle(self) -> bool:
        return not self.prepared and not self.under_way

    def must_wait(self, now: float) -> bool:
        """Tell whether what is prepared has to be put back: it asked for quiet, or was cut."""
        return now < self.quiet_until or self._places() < 0

    def _places(self) -> int:
        at_once = _ON_TRIAL if self.refuses_all else self.limit.now
        return at_once - self.prepared - self.under_way

    def _reserve(self, urgency: Urgency) -> float:
        """Return the tokens that a class leaves to others; none once these have had their share."""
        if self._passed.get(urgency, 0) >= TURNS // SHARES[urgency]:
            return 0.0
        return RESERVES[urgency] * (self.bucket.rate.burst - 1)

    def begin(self, urgency: Urgency, now: float) -> None:
        self.prepared -= 1
        self.under_way += 1
        self._passed = {u: self._passed.get(u, 0) + 1 for u in Urgency} | {urgency: 0}
        self.bucket.take(now)
        if urgency is Urgency.PROOF:
            self.proofs.take(now)

    def went_well(self) -> None:
        self._quiets = 0
        self.bucket.went_well()
        self.limit.went_well(self.under_way)

    def throttled(self, asked: float, now: float, draw: Draw) -> float:
        """Leave it alone for *asked* seconds or longer, and be slower then; return how long."""
        self.bucket.slow_down(now)
        return self.hush(asked, now, draw)

    def hush(self, asked: float, now: float, draw: Draw) -> float:
        """Leave it alone for *asked* seconds, longer each time in a row; return how long."""
        if now >= self.quiet_until:  # what was under way then is no new reason
            self._quiets += 1
        wait = max(asked, self.quiet.delay(self._quiets, draw).total_seconds())
        self.quiet_until = max(self.quiet_until, now + wait)
        return self.quiet_until - now


class Paces:
    """Every exchange's pace, made when it is first asked for; *under_way* is that of all."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._paces: dict[str, Pace] = {}
        self.under_way = 0

    def of(self, exchange: str) -> Pace:
        if exchange not in self._paces:
            self._paces[exchange] = self._new(exchange)
        return self._paces[exchange]

    def _new(self, exchange: str) -> Pace:
        rules = self._rules
        rate = rules.rate_of(exchange)
        limit = Limit(min(_LEAST, rules.concurrency), rules.concurrency, rules.concurrency)
        return Pace(Bucket(rate), Bucket(rate.part(PROOFS)), limit, rules.quiet)

    def untold(self, now: float) -> dict[str, float]:
        """Return for how many seconds exchanges are quiet still, where nothing says so yet."""
        quiet = {e: p for e, p in self._paces.items() if p.quiet_until > max(p.told_until, now)}
        return {exchange: pace.quiet_until - now for exchange, pace in quiet.items()}

    def tell(self, exchange: str, until: float) -> None:
        """Take note that it is written down that *exchange* is quiet *until* then."""
        self.of(exchange).told_until = until

    def keep_quiet(self, exchange: str, until: float) -> None:
        """Leave *exchange* alone *until* then, as an earlier holder wrote down."""
        pace = self.of(exchange)
        pace.quiet_until = pace.told_until = until

    def begin(self, exchange: str, urgency: Urgency, now: float) -> None:
        self.of(exchange).begin(urgency, now)
        self.under_way += 1

    def end(self, exchange: str) -> None:
        self.of(exchange).under_way -= 1
        self.under_way -= 1

    def room(self, exchange: str, urgency: Urgency, now: float) -> int:
        return self.of(exchange).room(urgency, now)

    def rooms(self, now: float) -> dict[Lane, int]:
        """Return the room in each lane of each exchange that was asked for before."""
        return {(e, u): pace.room(u, now) for e, pace in self._paces.items() for u in Urgency}

    def refusing_all(self) -> list[tuple[str, Pace]]:
        return [(exchange, pace) for exchange, pace in self._paces.items() if pace.refuses_all]

    def is_idle(self, exchange: str) -> bool:
        pace = self._paces.get(exchange)
        return pace is None or pace.idle

    def idle_but_prepared(self) -> set[str]:
        """Return the exchanges for which something is prepared and nothing under way."""
        return {e for e, pace in self._paces.items() if pace.prepared and not pace.under_way}
