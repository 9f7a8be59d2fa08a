"""Waits for a turn at an exchange: what ccxt calls before and after every request.

`Paced` is mixed into ccxt's classes in place of their own throttle, which knows one object only.
"""

import asyncio
import math
import time
from collections.abc import Callable, Hashable
from typing import Any, Protocol, cast

import anyio
import structlog
from ccxt.base.errors import BaseError

from bridge.ask import raised
from bridge.classify import classify
from bridge.errors import Trouble
from bridge.pacing import ADDRESS_INTERVAL_S, COUNTS_ACCOUNTS, Call, Line

log = structlog.get_logger()

# Any of these makes a request somebody's own.
_CREDENTIALS = ("apiKey", "walletAddress", "login", "token")


class Watch(Protocol):
    """Hears how long calls waited and took, in seconds, and of those that were sent away."""

    def waited(self, exchange: str, egress: str, seconds: float) -> None: ...
    def sent_away(self, exchange: str, egress: str) -> None: ...
    def answered(self, exchange: str, seconds: float) -> None: ...


class Unwatched:
    """Nobody listens."""

    def waited(self, exchange: str, egress: str, seconds: float) -> None:
        pass

    def sent_away(self, exchange: str, egress: str) -> None:
        pass

    def answered(self, exchange: str, seconds: float) -> None:
        pass


class Lane:
    """The way of all calls to one exchange through one address.

    `patience_s` is how long a call without a deadline waits. One with a deadline waits for half of
    the time that is left: the other half is for the answer.
    """

    def __init__(
        self,
        exchange: str,
        interval_s: float,
        egress: str = "",
        *,
        patience_s: float = 10.0,
        watch: Watch | None = None,
    ) -> None:
        self.exchange, self.egress = exchange, egress
        self.line = Line(
            max(interval_s, ADDRESS_INTERVAL_S.get(exchange, 0.0)),
            account_s=interval_s if exchange in COUNTS_ACCOUNTS else None,
        )
        self._patience_s = patience_s
        self.watch = watch or Unwatched()
        self._home = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._events: dict[Call, anyio.Event] = {}

    @property
    def quiet_s(self) -> float:
        """How long no account may send anything."""
        return self.quiet_for(None)

    def quiet_for(self, who: Hashable | None) -> float:
        """Return for how many seconds an account may send nothing."""
        return max(0.0, self.line.quiet_until(who) - self._home.time())

    async def turn(self, who: Hashable | None, cost: float) -> None:
        """Return when a call may start. Raises `Trouble` throttled when that is too far off."""
        if self._is_here():
            await self._turn(who, cost)
        else:  # markets may be loaded in a thread of their own, and pay like everybody
            there = asyncio.run_coroutine_threadsafe(self._turn(who, cost), self._home)
            await asyncio.wrap_future(there)

    def told(self, who: Hashable | None, error: BaseError) -> None:
        """Slow down if that is what *error* asks for."""
        meant = classify(raised(self.exchange, error))
        if meant.code == "throttled":
            said, address = meant.retry_after, meant.address
            log.warning("told_to_wait", exchange=self.exchange, egress=self.egress, seconds=said)
            self._do(lambda: self._quieten(who, said, address=address))

    def eased(self, who: Hashable | None) -> None:
        """Note that a request was answered."""
        self._do(lambda: self.line.eased(who, self._home.time()))

    async def _turn(self, who: Hashable | None, cost: float) -> None:
        began = self._home.time()
        patience = self._patience(began)
        if self.line.wait(who, began) > patience:
            raise self._sent_away(who, cost)
        call = self.line.join(who, cost)
        self._advance()
        if not call.started:
            await self._started(call, patience)
        self.watch.waited(self.exchange, self.egress, self._home.time() - began)

    async def _started(self, call: Call, patience: float) -> None:
        event = self._events[call] = anyio.Event()
        served = False
        try:
            with anyio.move_on_after(patience):
                await event.wait()
                served = True
        finally:
            del self._events[call]
            if not served:  # out of patience, or cancelled, maybe just when its turn had come
                self.line.leave(call)
                self._advance()
        if not served:
            raise self._sent_away(call.who, call.cost)

    def _advance(self) -> None:
        """Start whose turn it is, and come back for the next."""
        for call in self.line.due(self._home.time()):
            if call in self._events:
                self._events[call].set()
        if self._timer is not None:
            self._timer.cancel()
        at = self.line.next_at()
        self._timer = None if at is None else self._home.call_at(at, self._advance)

    def _quieten(self, who: Hashable | None, said: float | None, *, address: bool) -> None:
        self.line.told(who, self._home.time(), said, address=address)
        self._advance()

    def _patience(self, now: float) -> float:
        left = anyio.current_effective_deadline() - now
        return self._patience_s if math.isinf(left) else max(0.0, left / 2)

    def _sent_away(self, who: Hashable | None, cost: float) -> Trouble:
        self.watch.sent_away(self.exchange, self.egress)
        after = self.line.promise(who, cost, self._home.time())
        why = (
            "it has told us to wait"
            if self.quiet_for(who)
            else "too many calls wait for their turn"
        )
        words = f"{self.exchange} asks for patience: {why}, so this call was not sent"
        return Trouble("throttled", words, retry_after=after)

    def _is_here(self) -> bool:
        return asyncio.get_running_loop() is self._home

    def _do(self, act: Callable[[], None]) -> None:
        if self._is_here():
            act()
        else:
            self._home.call_soon_threadsafe(act)


class Paced:
    """Mixed in front of a ccxt exchange class: its objects wait in the lane, not each for itself.

    ccxt asks `throttle` before a request when `enableRateLimit` is set.
    """

    lane: Lane

    def init_throttler(self, *_given: object) -> None:
        """Make none: nobody would ask it."""

    def quiet_s(self) -> float:
        """Return for how many seconds nothing may be sent with this object."""
        return self.lane.quiet_for(_who(self))

    async def throttle(self, cost: float | None = None) -> None:
        await self.lane.turn(_who(self), 1.0 if cost is None else cost)

    async def fetch(self, *request: Any, **more: Any) -> Any:
        who = _who(self)
        began = time.monotonic()
        try:
            answer = await cast("Any", super()).fetch(*request, **more)
        except BaseError as error:
            self.lane.told(who, error)
            raise
        finally:
            self.lane.watch.answered(self.lane.exchange, time.monotonic() - began)
        self.lane.eased(who)
        return answer


def _who(remote: Any) -> Hashable | None:
    """Return what stands for an account, None for a keyless object; it holds no secret."""
    credentials = tuple(getattr(remote, name, None) or "" for name in _CREDENTIALS)
    return hash(credentials) if any(credentials) else None
