"""Which replica should hold which bridge: a free one is for who holds the fewest."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.model import BridgeName

_SOON = timedelta(seconds=0.05)
"""Never ask again sooner than this."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """Whose lease a bridge's last one is, and how long it runs; negative once it is over."""

    holder: str
    left: timedelta


@dataclass(frozen=True, slots=True)
class Sharing:
    """Who holds which bridge and who waits for which, as the replica *me* sees it."""

    me: str
    tenures: Mapping[BridgeName, Tenure]
    waiting: frozenset[tuple[BridgeName, str]] = frozenset()

    def left(self, bridge: BridgeName) -> timedelta:
        """Return how long *bridge* is held still; how long it has been free, if negative."""
        return self.tenures[bridge].left if bridge in self.tenures else timedelta.min

    def is_free(self, bridge: BridgeName) -> bool:
        return self.left(bridge) <= timedelta(0)

    def held_by(self, replica: str) -> list[BridgeName]:
        mine = (b for b, tenure in self.tenures.items() if tenure.holder == replica)
        return sorted(b for b in mine if not self.is_free(b))

    def lacks_most(self, bridge: BridgeName) -> int | None:
        """Return how few bridges another replica holds that waits for *bridge*; None if none does.

        Of several the one that holds the fewest.
        """
        others = (who for at, who in self.waiting if at == bridge and who != self.me)
        return min((len(self.held_by(who)) for who in others), default=None)


def may_take(sharing: Sharing, bridge: BridgeName, courtesy: timedelta) -> bool:
    """Tell whether *bridge* is free, and either nobody who has fewer waits or none of them came."""
    if not sharing.is_free(bridge):
        return False
    fewest = sharing.lacks_most(bridge)
    poorer = fewest is not None and fewest < len(sharing.held_by(sharing.me))
    return not poorer or sharing.left(bridge) <= -courtesy


def gives_back(sharing: Sharing, bridge: BridgeName) -> bool:
    """Tell whether *bridge* is the one to give to a replica that holds at least two fewer.

    One after the other, so that never more go than are taken: a bridge that waits to be taken
    comes first. Each move brings the counts closer together, so there is an end to them.
    """
    mine = sharing.held_by(sharing.me)
    if any(sharing.is_free(wanted) for wanted, _ in sharing.waiting):
        return False
    counts = ((b, sharing.lacks_most(b)) for b in mine)
    wanted = (b for b, fewest in counts if fewest is not None and fewest + 2 <= len(mine))
    return next(wanted, None) == bridge


def ask_again(
    sharing: Sharing, bridge: BridgeName, courtesy: timedelta, poll: timedelta
) -> timedelta:
    """Return when to ask for *bridge* again: as soon as it can be free, at the latest after *poll*.

    A holder that died renews no more, so its end is known.
    """
    left = sharing.left(bridge)
    wait = left + courtesy if left <= timedelta(0) else left
    return min(max(wait, _SOON), poll)
