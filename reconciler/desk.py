"""What planning and work share while one lease lasts, so that neither writes over the other."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import anyio

from reconciler.backoff import Draw
from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import Instant, Lease, Phase, Reason, Record, SealedKey, Slot, Urgency
from reconciler.paces import Paces
from reconciler.pacing import Breaker, Limit
from reconciler.ports import Bridge, Clients, Clock, Keys, Leases, Ledger, Meter, Vault
from reconciler.records import Scribe
from reconciler.rules import Rules
from reconciler.stepping import Stepping
from reconciler.verdicts import LeaseLost


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world of one bridge's loop."""

    clock: Clock
    leases: Leases
    keys: Keys
    ledger: Ledger
    bridge: Bridge
    vault: Vault
    meter: Meter
    draw: Draw
    rules: Rules


_MOMENT = 1.0
"""Seconds for which a key that was read is taken to be what its row holds."""


@dataclass(slots=True, eq=False)
class Pass:
    """One that is under way, and the slots that *moved* since it began."""

    moved: set[Slot] = field(default_factory=set)
    began: float = field(default_factory=anyio.current_time)


@dataclass(frozen=True, slots=True)
class Due:
    """A record whose time has come, with its key where a pass that *began* just now has read it."""

    record: Record
    sealed: SealedKey | None = None
    began: float = 0.0


@dataclass(slots=True)
class Desk:
    """*busy* slots are being attempted.

    A pass speaks neither of them nor of those that moved since it began: what it read of them may
    be outdated. *lock* is held wherever records are read to be written back.
    """

    ports: Ports
    lease: Lease
    breaker: Breaker
    lookout: Lookout
    lease_ends: float = 0.0
    """On the clock that counts what elapsed: nothing may be sent after it."""
    boot_id: str | None = None
    """Of the bridge that was listed last."""
    missed: set[Slot] = field(default_factory=set)
    """What the last listing lacked, but for what was attempted since."""
    lock: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))
    work: Bell = field(default_factory=Bell)
    idle: Bell = field(default_factory=Bell)
    busy: set[Slot] = field(default_factory=set)
    fresh: dict[Slot, Due] = field(default_factory=dict)
    """Planned, most urgent and not written yet: the worker is about to write their intents."""
    room: Callable[[str], int] = lambda _: 0
    """How many more of an exchange the worker would take now."""
    stepping: Stepping = field(init=False)
    limit: Limit = field(init=False)
    paces: Paces = field(init=False)
    _passes: list[Pass] = field(default_factory=list)
    _again: dict[Slot, Clients] = field(default_factory=dict)
    _attempts: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        rules = self.ports.rules
        self.stepping = Stepping(self.ports.clock)
        self.limit = Limit(1, rules.concurrency, min(rules.concurrency_start, rules.concurrency))
        self.paces = Paces(rules)

    def tell_pace(self) -> None:
        now, closed = self.limit.now, self.breaker.closed
        self.ports.meter.paced(self.lease.bridge, limit=now, breaker_open=not closed)

    def scribe(self) -> Scribe:
        ports = self.ports
        self.stepping.note()
        return Scribe(ports.clock.now(), ports.draw, ports.rules)

    def next_attempt(self) -> str:
        """Return a name for an attempt that no other of this bridge has."""
        return f"{self.lease.epoch}-{next(self._attempts)}"

    def require_lease(self) -> None:
        """Raise LeaseLost if it may have ended, as while this process was frozen."""
        if self.ports.clock.elapsed() >= self.lease_ends:
            raise LeaseLost("the lease ended before the request was sent")

    @contextmanager
    def passing(self) -> Iterator[Pass]:
        """Yield a pass that hears which slots move while it is under way."""
        one = Pass()
        self._passes.append(one)
        try:
            yield one
        finally:
            self._passes.remove(one)

    def free(self, records: Iterable[Record], one: Pass) -> list[Record]:
        """Return the records that a pass may write; it looks at the others again afterwards."""
        return [r for r in records if not self.defers(r.slot, frozenset({r.client_id}), one)]

    def moving(self, slot: Slot, one: Pass) -> bool:
        """Tell whether *slot* is attempted now, or was since the pass began."""
        return slot in self.busy or slot in one.moved

    def defers(self, slot: Slot, clients: Clients, one: Pass) -> bool:
        """Tell whether a pass must leave *slot* alone; it then looks at *clients* afterwards."""
        if slot in self.busy:
            self.afterwards(slot, clients)
        elif slot in one.moved:
            self.lookout.look(clients)
        else:
            return False
        return True

    def hand(
        self, records: Sequence[Record], sealed: Mapping[Slot, SealedKey], by: Pass
    ) -> list[Record]:
        """Hand the worker what it has room for now; return the rest, which is to be written.

        What is handed is written first with its intent, and goes with its key if that is among
        the *sealed*. Every other pass hears of all of it.
        """
        now, rest = self.ports.clock.now(), []
        for record in records:
            self._move(record.slot, by)
            if self._is_fresh(record, now) and len(self.fresh) < self.room(record.exchange):
                self.fresh[record.slot] = Due(record, sealed.get(record.slot), by.began)
            else:
                self.fresh.pop(record.slot, None)
                rest.append(record)
        return rest

    def take_fresh(self) -> list[Due]:
        """Return what was handed; a key that was read a while ago is to be read again."""
        just_now = anyio.current_time() - _MOMENT
        handed = list(self.fresh.values())
        self.fresh.clear()
        return [due if due.began >= just_now else Due(due.record) for due in handed]

    @staticmethod
    def _is_fresh(record: Record, now: Instant) -> bool:
        """A wish is granted where the plan is written down, so that is never skipped."""
        due = record.due_at is not None and record.due_at <= now
        most_urgent = record.phase is Phase.PENDING and record.urgency is Urgency.NOW
        return due and most_urgent and record.reason is not Reason.REINITIALIZE

    def _move(self, slot: Slot, by: Pass | None = None) -> None:
        for one in self._passes:
            if one is not by:
                one.moved.add(slot)

    def afterwards(self, slot: Slot, clients: Clients) -> None:
        """Look at *clients*' slots once this one is handed back; None means everybody's."""
        if self._again.setdefault(slot, clients) is not None:
            self._again[slot] = clients

    def done_with(self, slot: Slot, *, moved: bool) -> None:
        """Hand a slot back: its outcome is written."""
        self.busy.discard(slot)
        if moved:
            self.missed.discard(slot)
            self._move(slot)
        if slot in self._again:
            self.lookout.look(self._again.pop(slot))
        self.work.ring()
        if not self.busy:
            self.idle.ring()
