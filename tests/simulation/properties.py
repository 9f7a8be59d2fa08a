"""What must hold, in words, and who notes where it does not."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

import anyio

from reconciler.model import SETTLED, Phase, Record, Slot
from tests.fakes import FakeWorld, Tables
from tests.simulation.tracing import Trace


class Property(StrEnum):
    SETTLES = "it settles once faults and changes end"
    STAYS = "it stays settled"
    ALONE = "one attempt per slot at a time within a holder"
    HOLDER = "nobody but the holder of a bridge sends anything to it"
    OWN = "never a client's credentials in another's account"
    CALLS = "no more calls than the schedule allows"
    QUIET = "no write when nothing changed"
    DUE = "every unsettled slot has a due time"
    ASKED = "an exchange that asked for quiet gets it"
    TRUTH = "an outcome says live only of the key as its row is"
    SOUND = "the engine makes no mistake that ends a term or an attempt"


@dataclass(frozen=True, slots=True)
class Violation:
    of: Property
    detail: str

    def __str__(self) -> str:
        return f"violated: {self.of}: {self.detail}"


@dataclass(slots=True)
class Request:
    """One request as it leaves a holder. *number* counts them all."""

    number: int
    who: str
    action: str
    slot: Slot
    at: float
    api_key: str | None = None


@dataclass(slots=True)
class Watch:
    """Sees every request leave and every record being written; notes what must not be."""

    world: FakeWorld
    tables: Tables
    trace: Trace
    violations: list[Violation] = field(default_factory=list)
    failed: anyio.Event = field(default_factory=anyio.Event)
    sent: list[Request] = field(default_factory=list)
    quiet: dict[tuple[str, int, str], tuple[float, float]] = field(default_factory=dict)
    """From when until when a holder, by its epoch, may begin nothing at an exchange."""
    jumped: bool = False
    """A wall clock jumped: what waits by it may wait too short, or too long."""
    _under_way: Counter[tuple[str, Slot]] = field(default_factory=Counter)

    def violated(self, prop: Property, detail: str) -> None:
        violation = Violation(prop, detail)
        self.trace.tell("PROPERTY", str(violation))
        self.violations.append(violation)
        self.failed.set()

    # -- requests

    def sends(self, who: str, action: str, slot: Slot, api_key: str | None) -> Request:
        """Take note of a request about *slot*, before anything can happen to it."""
        request = Request(len(self.sent), who, action, slot, anyio.current_time(), api_key)
        self.sent.append(request)
        self._under_way[who, slot] += 1
        if self._under_way[who, slot] > 1:
            self.violated(Property.ALONE, f"{who} sends {action} for {slot} during another")
        self._require_holder(request)
        self._require_quiet(request)
        if api_key is not None:
            self._require_owner(request, api_key)
        return request

    def ends(self, request: Request) -> None:
        self._under_way[request.who, request.slot] -= 1

    def asked_for_quiet(self, request: Request, seconds: float) -> None:
        """Take note that a holder has heard: nothing more for *seconds*."""
        place = self._place(request)
        now = anyio.current_time()
        if place is not None:
            self.quiet[place] = (now, max(now + seconds, self.quiet.get(place, (0.0, 0.0))[1]))

    def _place(self, request: Request) -> tuple[str, int, str] | None:
        lease = self.tables.leases.get(request.slot.bridge)
        if lease is None or lease.holder != request.who:
            return None
        place = f"{request.slot.bridge}/{request.slot.connector.removesuffix('_testnet')}"
        return (request.who, lease.epoch, place)

    def _require_holder(self, request: Request) -> None:
        lease = self.tables.leases.get(request.slot.bridge)
        if lease is None or lease.holder != request.who:
            holder = lease.holder if lease else "nobody"
            detail = f"{request.who} sends {request.action} for {request.slot}; {holder} holds it"
            self.violated(Property.HOLDER, detail)

    def _require_quiet(self, request: Request) -> None:
        place = self._place(request)
        since, until = self.quiet.get(place, (0.0, 0.0)) if place else (0.0, 0.0)
        within = since + _SAME_MOMENT < request.at < until - _SAME_MOMENT
        if request.action != "verify" and within and not self.jumped:
            detail = f"{request.action} for {request.slot}, {until - request.at:.1f} s too soon"
            self.violated(Property.ASKED, detail)

    def _require_owner(self, request: Request, api_key: str) -> None:
        slot = request.slot
        owner = self.tables.accounts.get((slot.bridge, slot.account))
        if owner not in self.world.issued[api_key]:
            self.violated(Property.OWN, f"{request.who} sends {api_key} to {slot} of {owner}")

    # -- records

    def written(self, record: Record) -> None:
        if record.phase not in SETTLED and record.due_at is None:
            self.violated(Property.DUE, f"{record.slot} is {record.phase} and never due")

    def outcome_written(self, slot: Slot) -> None:
        """Hold an outcome, just written, against the key's row."""
        record = self.tables.records.get(slot)
        row = self.world.keys.get(record.key_id) if record else None
        if record is None or row is None or record.phase is not Phase.LIVE:
            return
        if row.digest != record.digest:
            self.violated(Property.TRUTH, f"{slot} is live with a key that has changed since")


_SAME_MOMENT = 1e-6
"""Seconds: clocks of microseconds and of floats differ by less."""


@dataclass(slots=True)
class Journal(Tables):
    """Our tables, each write of which is watched."""

    watch: Watch | None = None

    def write(self, record: Record) -> None:
        Tables.write(self, record)
        if self.watch is not None:
            due = record.due_at.strftime("%H:%M:%S") if record.due_at else "-"
            what = f"{record.slot} {record.phase}/{record.reason} {record.failures} due {due}"
            self.watch.trace.tell("record", what)
            self.watch.written(record)
