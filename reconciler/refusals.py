"""Tells a wrong key from a wrong address or clock of ours: many are refused at once. Pure."""

from collections import OrderedDict
from dataclasses import dataclass, field, replace

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
    _heard: OrderedDict[Slot, Heard] = field(default_factory=OrderedDict)

    def hear(self, slot: Slot, heard: Heard) -> None:
        """Take note; a second refusal of what had worked does not make it a key that never did."""
        before = self._heard.pop(slot, None)
        again = heard.refused and before is not None and before.refused and before.worked
        self._heard[slot] = replace(heard, worked=heard.worked or again)
        self._unlearn(heard.at)

    def en_masse(self, now: float) -> bool:
        self._unlearn(now)
        refused = [heard for heard in self._heard.values() if heard.refused]
        worked = sum(heard.worked for heard in refused)
        return len(refused) >= self.least and worked >= 2 and 2 * len(refused) > len(self._heard)

    def _unlearn(self, now: float) -> None:
        while self._heard and now - next(iter(self._heard.values())).at > self.window:
            self._heard.popitem(last=False)

    def forget(self) -> None:
        self._heard.clear()


def worked(record: Record) -> bool:
    """Tell whether the credentials that *record* says were sent had been accepted before."""
    if record.verified is not Verified.UNKNOWN:
        return record.verified is Verified.OK
    return record.adopted or (record.sent is not None and record.sent == record.fingerprint)
