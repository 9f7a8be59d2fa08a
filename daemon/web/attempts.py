"""How often somebody may fail to come in. Pure: the time is handed in."""

from collections import OrderedDict
from dataclasses import dataclass, field

_PLACES = 10_000
"""Remembered at most of either; what failed longest ago is forgotten first."""


@dataclass(slots=True)
class Failures:
    """Counts an address's failed logins: *most* of them, and one more each *every* seconds."""

    most: int = 10
    every: float = 6.0
    _debt: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """How many failures weigh on an address, and when that was so."""

    def failed(self, address: str, now: float) -> None:
        self._debt[address] = (self._weight(address, now) + 1, now)
        self._debt.move_to_end(address)
        if len(self._debt) > _PLACES:
            self._debt.popitem(last=False)

    def wait(self, address: str, now: float) -> float:
        """Return the seconds until *address* may send another wrong one; 0 if it may now."""
        return max(self._weight(address, now) - self.most + 1, 0.0) * self.every

    def _weight(self, address: str, now: float) -> float:
        debt, since = self._debt.get(address, (0.0, now))
        return max(debt - (now - since) / self.every, 0.0)


@dataclass(slots=True)
class Denied:
    """Remembers for *seconds* which digests opened nothing."""

    seconds: float = 20.0
    _at: OrderedDict[str, float] = field(default_factory=OrderedDict)

    def add(self, digest: str, now: float) -> None:
        self._at[digest] = now
        self._at.move_to_end(digest)
        if len(self._at) > _PLACES:
            self._at.popitem(last=False)

    def has(self, digest: str, now: float) -> bool:
        at = self._at.get(digest)
        return at is not None and now - at < self.seconds
