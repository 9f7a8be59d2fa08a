"""What planning and work share while one lease lasts, so that neither writes over the other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from reconciler.backoff import Draw
from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import Lease, Record, Slot
from reconciler.pacing import Breaker
from reconciler.ports import Bridge, Clients, Clock, Keys, Leases, Ledger, Meter, Vault
from reconciler.records import Scribe
from reconciler.rules import Rules
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


@dataclass(slots=True)
class Desk:
    """*busy* slots are being attempted; *moved* ones were, since the pass under way began.

    A pass speaks about neither: what it read of them may be outdated. *lock* is held wherever
    records are read to be written back.
    """

    ports: Ports
    lease: Lease
    breaker: Breaker
    lookout: Lookout
    lease_ends: float = 0.0
    """On the clock that counts what elapsed: nothing may be sent after it."""
    boot_id: str | None = None
    """Of the bridge that was listed last."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    work: Bell = field(default_factory=Bell)
    idle: Bell = field(default_factory=Bell)
    busy: set[Slot] = field(default_factory=set)
    moved: set[Slot] = field(default_factory=set)
    _again: dict[Slot, Clients] = field(default_factory=dict)

    def scribe(self) -> Scribe:
        ports = self.ports
        return Scribe(ports.clock.now(), ports.draw, ports.rules)

    def require_lease(self) -> None:
        """Raise LeaseLost if it may have ended, as while this process was frozen."""
        if self.ports.clock.elapsed() >= self.lease_ends:
            raise LeaseLost("the lease ended before the request was sent")

    def free(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that a pass may write; it looks at the others again afterwards."""
        return [r for r in records if not self.defers(r.slot, frozenset({r.client_id}))]

    def defers(self, slot: Slot, clients: Clients) -> bool:
        """Tell whether a pass must leave *slot* alone; it then looks at *clients* afterwards."""
        if slot in self.busy:
            self.afterwards(slot, clients)
        elif slot in self.moved:
            self.lookout.look(clients)
        else:
            return False
        return True

    def afterwards(self, slot: Slot, clients: Clients) -> None:
        """Look at *clients*' slots once this one is handed back; None means everybody's."""
        if self._again.setdefault(slot, clients) is not None:
            self._again[slot] = clients

    def done_with(self, slot: Slot, *, moved: bool) -> None:
        """Hand a slot back: its outcome is written."""
        self.busy.discard(slot)
        if moved:
            self.moved.add(slot)
        if slot in self._again:
            self.lookout.look(self._again.pop(slot))
        self.work.ring()
        if not self.busy:
            self.idle.ring()
