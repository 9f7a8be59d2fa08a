"""How often somebody may fail to come in. Pure: the time is handed in."""

from collections import OrderedDict
from dataclasses import dataclass, field

_PLACES = 10_000
"""Addresses remembered at most; the one that failed longest ago is forgotten first."""


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
        """Return the seconds for which *address* is not even asked who it is."""
        return max(self._weight(address, now) - self.most + 1, 0.0) * self.every

    def _weight(self, address: str, now: float) -> float:
        debt, since = self._debt.get(address, (0.0, now))
        return max(debt - (now - since) / self.every, 0.0)
