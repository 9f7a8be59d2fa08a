"""Feels a bridge's pulse between two listings, so that its death or restart is noticed at once."""

import anyio

from reconciler.desk import Desk
from reconciler.verdicts import Unavailable, Verdict


class Pulse:
    """A hint only: whatever it feels, the next listing decides."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def run(self) -> None:
        while True:
            await anyio.sleep(self._desk.ports.rules.pulse.total_seconds())
            if self._desk.breaker.closed and await self._changed():
                self._desk.lookout.look(None)

    async def _changed(self) -> bool:
        try:
            boot_id = await self._desk.ports.bridge.pulse()
        except Unavailable:
            return True
        except Verdict:  # one without a boot id may be blocked by an add; ours never is
            return self._desk.boot_id is not None
        return boot_id is not None and boot_id != self._desk.boot_id
