"""What planning and work share while one lease lasts, so that neither writes over the other."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from reconciler.backoff import Draw
from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import Lease, Record, Slot, Urgency
from reconciler.pacing import Breaker
from reconciler.ports import Bridge, Clients, Clock, Keys, Leases, Ledger, Meter, Vault
from reconciler.records import Scribe
from reconciler.rules import Rules


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


@dataclass(slots=True, eq=False)
class Pass:
    """One that is under way, and the slots that *moved* since it began."""

    moved: set[Slot] = field(default_factory=set)


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
    """On anyio's clock: nothing may be sent after it."""
    boot_id: str | None = None
    """Of the bridge that was listed last."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    work: Bell = field(default_factory=Bell)
    idle: Bell = field(default_factory=Bell)
    busy: set[Slot] = field(default_factory=set)
    fresh: dict[Slot, Record] = field(default_factory=dict)
    """Records of the most urgent class that were just written, so that nobody asks for them."""
    _passes: list[Pass] = field(default_factory=list)
    _again: dict[Slot, Clients] = field(default_factory=dict)

    def scribe(self) -> Scribe:
        ports = self.ports
        return Scribe(ports.clock.now(), ports.draw, ports.rules)

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

    def defers(self, slot: Slot, clients: Clients, one: Pass) -> bool:
        """Tell whether a pass must leave *slot* alone; it then looks at *clients* afterwards."""
        if slot in self.busy:
            self.afterwards(slot, clients)
        elif slot in one.moved:
            self.lookout.look(clients)
        else:
            return False
        return True

    def written(self, records: Sequence[Record], by: Pass) -> None:
        """Hand what is due now to the worker, and let every other pass know what moved."""
        now = self.ports.clock.now()
        for record in records:
            self.fresh.pop(record.slot, None)
            if record.urgency is Urgency.NOW and record.due_at and record.due_at <= now:
                self.fresh[record.slot] = record
            self._move(record.slot, by)

    def take_fresh(self, limit: int, spared: Collection[str]) -> list[Record]:
        """Return what was handed, *spared* exchanges aside; the rest is found as due."""
        records = [r for r in self.fresh.values() if r.exchange not in spared]
        self.fresh.clear()
        return records[:limit]

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
            self._move(slot)
        if slot in self._again:
            self.lookout.look(self._again.pop(slot))
        self.work.ring()
        if not self.busy:
            self.idle.ring()
