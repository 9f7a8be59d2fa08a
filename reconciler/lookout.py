"""Where to look next: hints collapse into one, and of two times the earlier wins."""

from math import inf

import anyio

from reconciler.bell import Bell
from reconciler.model import ClientId
from reconciler.ports import Clients


class Lookout:
    """Starts with everything, since nothing is known yet.

    Whose slots were hinted at is asked for apart: a new key does not wait for a look at everything.
    """

    def __init__(self) -> None:
        self._everything = True
        self._at = inf
        self._clients: set[ClientId] = set()
        self._due, self._hint = Bell(), Bell()

    def look(self, clients: Clients) -> None:
        """Look at the slots of *clients* now; None means everybody's."""
        if clients is None:
            self._everything = True
            self._due.ring()
        else:
            self._clients |= clients
            self._hint.ring()

    def within(self, seconds: float) -> None:
        """Look at everything within *seconds* from now."""
        self._at = min(self._at, anyio.current_time() + seconds)
        self._due.ring()

    async def everything(self) -> None:
        """Wait until everything is to be looked at."""
        while not self._everything and anyio.current_time() < self._at:
            await self._due.wait(self._at - anyio.current_time())
        self._everything, self._at = False, inf

    async def hinted(self) -> frozenset[ClientId]:
        """Wait for hints; return whose slots they named."""
        while not self._clients:
            await self._hint.wait(inf)
        clients, self._clients = frozenset(self._clients), set()
        return clients
