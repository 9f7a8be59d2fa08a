"""When the next call to an exchange may start: one line per exchange and egress address.

Pure and clocked: *now* is seconds on a clock that never goes back. The figures are ccxt's own, a
`cost` for each call and `rateLimit` for a unit of it, which ccxt applies to each object by itself.
"""

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import islice
from math import inf

Who = Hashable

# Who counts private calls per key or user: a call pays its whole cost to its account, and one unit
# to the address, so that a thousand accounts are not as slow as one. Where nothing is known, all
# that a call costs is the address's. Each rule is the exchange's own:
# kraken: docs.kraken.com/exchange/guides/rest/ratelimits (a counter for each API key)
# okx: www.okx.com/docs-v5/en/#overview-rate-limits (private REST by User ID, of which each
#   sub-account has its own; public REST by address)
# bybit: bybit-exchange.github.io/docs/v5/rate-limit (by UID; an address has 600 calls in 5 s, which
#   ccxt's 50 a second stay below)
# kucoin: www.kucoin.com/docs/basic-info/request-rate-limit/rest-api (private by user, public by
#   address), www.kucoin.com/docs-new/rate-limit (each user's pools)
COUNTS_ACCOUNTS = frozenset(
    {"kraken", "okx", "myokx", "okxus", "bybit", "bybiteu", "bybitid", "kucoin"}
)
# Where an address has a limit of its own, of whatever calls, that ccxt's pace for one account is
# above. KuCoin, same page: its Cloudflare lets 500 in 10 s through.
ADDRESS_INTERVAL_S = {"kucoin": 0.02}
BURST = 1.0  # units that an idle line lets through at once: the capacity of ccxt's bucket
FIRST_QUIET_S = 10.0  # the quiet after a throttle that does not say how long; doubles each time
LONGEST_UNSAID_S = 900.0
LONGEST_SAID_S = 3 * 86400.0  # Binance's longest ban; more than that is a mistake
LONGEST_PROMISE_S = 300.0


@dataclass(slots=True)
class Quiet:
    """How long nothing may be sent, because the exchange was asked too much."""

    until: float = -inf
    strikes: int = 0

    def told(self, now: float, said: float | None) -> None:
        """Be quiet for the *said* seconds; when none are, longer each time."""
        if said:
            self.until = max(self.until, now + min(said, LONGEST_SAID_S))
        elif now >= self.until:  # what was under way is refused as well, and says nothing new
            length = min(FIRST_QUIET_S * 2**self.strikes, LONGEST_UNSAID_S)
            self.until, self.strikes = now + length, min(self.strikes + 1, 10)

    def eased(self, now: float) -> None:
        """Forget what was, since the exchange answers again."""
        if now >= self.until:
            self.strikes = 0


@dataclass(slots=True)
class Bucket:
    """A steady rate, as the time from which on the next call is paid for."""

    interval_s: float
    free_at: float = -inf
    quiet: Quiet = field(default_factory=Quiet)

    @property
    def ready_at(self) -> float:
        return max(self.free_at, self.quiet.until)

    def is_idle(self, now: float) -> bool:
        """Tell whether a new one would do as well."""
        remembered = LONGEST_UNSAID_S if self.quiet.strikes else 0.0
        rested = self.quiet.until + remembered <= now
        return rested and self.free_at <= now - BURST * self.interval_s

    def take(self, cost: float, now: float) -> "Token":
        before = self.free_at
        self.free_at = max(before, now - BURST * self.interval_s) + cost * self.interval_s
        return Token(self, before, self.free_at)


@dataclass(frozen=True, slots=True)
class Token:
    bucket: Bucket
    before: float
    after: float

    def give_back(self) -> None:
        """Undo the taking, unless somebody has started on the strength of it."""
        if self.bucket.free_at == self.after:
            self.bucket.free_at = self.before


@dataclass(slots=True, eq=False)
class Call:
    """One call that waits or has started; `who` is None when it needs no account."""

    who: Who | None
    cost: float
    tokens: tuple[Token, ...] | None = None

    @property
    def started(self) -> bool:
        return self.tokens is not None


class Line:
    """Calls to one exchange through one address, in turns: each account's next before any's second.

    *interval_s* is what a unit of cost takes. With *account_s*, which is what it takes one account,
    every account has a rate and a quiet of its own, too.
    """

    def __init__(self, interval_s: float, *, account_s: float | None = None) -> None:
        self.address = Bucket(interval_s)
        self._account_s = account_s
        self._waiting: dict[Who | None, deque[Call]] = {}  # in the order of turns
        self._accounts: OrderedDict[Who | None, Bucket] = OrderedDict()
        self._promised = -inf

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def wait(self, who: Who | None, now: float) -> float:
        """Return how long, at most, a call would wait if it joined now and nobody came after."""
        mine = self._waiting.get(who, ())
        turns = len(mine) + 1
        ahead = sum(
            self._price(call) for calls in self._waiting.values() for call in islice(calls, turns)
        )
        wait = max(0.0, self.address.ready_at - now) + ahead * self.address.interval_s
        if self._account_s is not None and who is not None:
            own, owed = self._accounts.get(who), sum(call.cost for call in mine)
            wait = max(wait, own.ready_at - now if own else 0.0)
            wait += owed * self._account_s
        return wait

    def join(self, who: Who | None, cost: float) -> Call:
        call = Call(who, cost)
        self._waiting.setdefault(who, deque()).append(call)
        return call

    def leave(self, call: Call) -> None:
        """Take back a call that was given up: its place, or what it has paid."""
        if call.tokens is not None:
            for token in call.tokens:
                token.give_back()
            return
        calls = self._waiting[call.who]
        calls.remove(call)
        if not calls:
            del self._waiting[call.who]

    def due(self, now: float) -> list[Call]:
        """Start every call whose turn has come, and return them."""
        started = []
        while (turn := self._next()) is not None and turn[0] <= now:
            started.append(self._start(turn[1], now))
        return started

    def next_at(self) -> float | None:
        """Return when the next call starts; None when nobody waits."""
        turn = self._next()
        return None if turn is None else turn[0]

    def promise(self, who: Who | None, cost: float, now: float) -> float:
        """Return after how many seconds to ask again; all who are sent away come back apart."""
        wait = self.wait(who, now)
        price = self._price(Call(who, cost)) * self.address.interval_s
        self._promised = max(self._promised, now + wait)
        after = min(self._promised - now, wait + LONGEST_PROMISE_S)
        self._promised = now + after + price
        return after

    def told(
        self, who: Who | None, now: float, said: float | None, *, address: bool = False
    ) -> None:
        """Note that the exchange asked for patience: for *said* seconds, or it did not say.

        What *address* says is the address's, and a time that was said; so is all where accounts do
        not count.
        """
        own = None if said or address else self._account(who)
        (own or self.address).quiet.told(now, said)

    def eased(self, who: Who | None, now: float) -> None:
        """Note that the exchange has answered."""
        self.address.quiet.eased(now)
        if who in self._accounts:
            self._accounts[who].quiet.eased(now)

    def quiet_until(self, who: Who | None) -> float:
        own = self._accounts.get(who)
        return max(self.address.quiet.until, own.quiet.until if own else -inf)

    def _start(self, who: Who | None, now: float) -> Call:
        calls = self._waiting.pop(who)
        call = calls.popleft()
        if calls:
            self._waiting[who] = calls  # behind all others
        tokens = [self.address.take(self._price(call), now)]
        if own := self._account(who):
            tokens.append(own.take(call.cost, now))
        call.tokens = tuple(tokens)
        self._forget(now)
        return call

    def _next(self) -> tuple[float, Who | None] | None:
        """Return who is next and when: the first in turn of those who can start the soonest."""
        found = None
        for who in self._waiting:
            own = self._accounts.get(who)
            at = max(self.address.ready_at, own.ready_at) if own else self.address.ready_at
            if at <= self.address.ready_at:
                return at, who
            if found is None or at < found[0]:
                found = at, who
        return found

    def _price(self, call: Call) -> float:
        """Return what a call costs the address."""
        by_account = self._account_s is not None and call.who is not None
        return min(call.cost, 1.0) if by_account else call.cost

    def _account(self, who: Who | None) -> Bucket | None:
        if self._account_s is None or who is None:
            return None
        if who not in self._accounts:
            self._accounts[who] = Bucket(self._account_s)
        return self._accounts[who]

    def _forget(self, now: float) -> None:
        """Drop accounts whose past has no bearing any more; two looks for each that came."""
        for who in list(islice(self._accounts, 2)):
            if self._accounts[who].is_idle(now):
                del self._accounts[who]
            else:
                self._accounts.move_to_end(who)
