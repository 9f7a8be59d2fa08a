"""Where to look next: hints collapse into one, and of two times the earlier wins."""

from math import inf

import anyio

from reconciler.bell import Bell
from reconciler.model import ClientId
from reconciler.ports import Clients


class Lookout:
    """Starts with everything, since nothing is known yet."""

    def __init__(self) -> None:
        self._everything = True
        self._clients: set[ClientId] = set()
        self._at = inf
        self._bell = Bell()

    def look(self, clients: Clients) -> None:
        """Look at the slots of *clients* now; None means everybody's."""
        if clients is None:
            self._everything = True
        else:
            self._clients |= clients
        self._bell.ring()

    def within(self, seconds: float) -> None:
        """Look at everything within *seconds* from now."""
        self._at = min(self._at, anyio.current_time() + seconds)
        self._bell.ring()

    async def next(self) -> Clients:
        """Wait for a reason to look; None means: at everything."""
        while not self._everything_due() and not self._clients:
            await self._bell.wait(self._at - anyio.current_time())
        clients, self._clients = frozenset(self._clients), set()
        if not self._everything_due():
            return clients
        self._everything, self._at = False, inf
        return None

    def _everything_due(self) -> bool:
        return self._everything or anyio.current_time() >= self._at
