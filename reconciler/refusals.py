"""Tells a wrong key from a wrong address or clock of ours: many are refused at once. Pure."""

from dataclasses import dataclass, field

from reconciler.model import Record, Slot, Verified


@dataclass(frozen=True, slots=True)
class Heard:
    """The last that an exchange said of a slot's credentials. *worked*: they had been accepted."""

    at: float
    refused: bool
    worked: bool


@dataclass(slots=True)
class Refusals:
    """What one exchange said lately, each slot counted once.

    A firm's wrong keys come one by one and never worked; so most must be refused, at least *least*
    of them, and two of those must have worked before.
    """

    window: float = 300.0
    """Seconds that make "at once"."""
    least: int = 3
    _heard: dict[Slot, Heard] = field(default_factory=dict)

    def hear(self, slot: Slot, heard: Heard) -> None:
        self._heard[slot] = heard

    def en_masse(self, now: float) -> bool:
        self._heard = {s: h for s, h in self._heard.items() if now - h.at <= self.window}
        refused = [heard for heard in self._heard.values() if heard.refused]
        worked = sum(heard.worked for heard in refused)
        return len(refused) >= self.least and worked >= 2 and 2 * len(refused) > len(self._heard)

    def forget(self) -> None:
        self._heard.clear()


def worked(record: Record) -> bool:
    """Tell whether the credentials that *record* says were sent had been accepted before."""
    if record.verified is not Verified.UNKNOWN:
        return record.verified is Verified.OK
    return record.live_since is not None and (record.adopted or record.sent == record.fingerprint)
