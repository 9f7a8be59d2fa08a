"""What planning and work share while one lease lasts, so that neither writes over the other."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from reconciler.backoff import Draw
from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import ClientId, Lease, Record, Slot
from reconciler.pacing import Breaker
from reconciler.ports import Bridge, Clock, Keys, Leases, Ledger, Meter, Vault
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
    """On anyio's clock: nothing may be sent after it."""
    boot_id: str | None = None
    """Of the bridge that was listed last."""
    lock: anyio.Lock = field(default_factory=anyio.Lock)
    work: Bell = field(default_factory=Bell)
    idle: Bell = field(default_factory=Bell)
    busy: set[Slot] = field(default_factory=set)
    moved: set[Slot] = field(default_factory=set)
    _again: dict[Slot, ClientId] = field(default_factory=dict)

    def scribe(self) -> Scribe:
        ports = self.ports
        return Scribe(ports.clock.now(), ports.draw, ports.rules)

    def free(self, records: Iterable[Record]) -> list[Record]:
        """Return the records that a pass may write; it looks at the others again afterwards."""
        free = []
        for record in records:
            if record.slot in self.busy:
                self._again[record.slot] = record.client_id
            elif record.slot in self.moved:
                self.lookout.look(frozenset({record.client_id}))
            else:
                free.append(record)
        return free

    def done_with(self, slot: Slot) -> None:
        """Hand a slot back: its outcome is written."""
        self.busy.discard(slot)
        self.moved.add(slot)
        if client := self._again.pop(slot, None):
            self.lookout.look(frozenset({client}))
        self.work.ring()
        if not self.busy:
            self.idle.ring()
