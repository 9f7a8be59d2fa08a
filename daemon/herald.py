"""Tells owners when their keys are parked or have recovered: each bridge's holder, those of it.

It runs beside the loops and holds nothing of theirs, so a receiver that is dead slows none of them.
"""

from collections.abc import Iterable, Mapping

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.metrics import Metrics
from daemon.store.notices import Notice, Notices
from daemon.webhook import Sender, Webhook
from reconciler.backoff import Backoff, Draw
from reconciler.model import BridgeName
from reconciler.ports import Clock

log = structlog.get_logger()

BATCH = 50
"""Messages in a row, before the next bridge has its turn."""
_LOOK_ANYWAY = 60.0
"""Seconds after which keys are looked at even if nothing seems to have moved."""


class Herald:
    def __init__(self, engine: AsyncEngine, metrics: Metrics, clock: Clock, draw: Draw) -> None:
        self._notices = Notices(engine)
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._sender = Sender()
        self._backoff = Backoff()
        self._failures = 0
        self._quiet_until = 0.0
        self._seen: dict[BridgeName, tuple[int, float]] = {}
        """Of each bridge: how far the history was when its keys were looked at, and when."""

    async def round(
        self, webhook: Webhook, bridges: Iterable[BridgeName]
    ) -> Mapping[BridgeName, float]:
        """Tell what is due of *bridges*, which this replica holds. Raises StoreError.

        Returns for how many seconds the oldest message of each is sent in vain.
        """
        newest, waiting = await self._notices.newest(), {}
        for bridge in bridges:
            await self._note(bridge, newest)
            if self._clock.elapsed() >= self._quiet_until:
                await self._tell(webhook, bridge)
            waiting[bridge] = await self._notices.waiting(bridge, self._clock.now())
        return waiting

    async def _note(self, bridge: BridgeName, newest: int) -> None:
        seen, at = self._seen.get(bridge, (-1, 0.0))
        if newest != seen or self._clock.elapsed() - at > _LOOK_ANYWAY:
            await self._notices.note(bridge, self._clock.now())
            self._seen[bridge] = newest, self._clock.elapsed()

    async def _tell(self, webhook: Webhook, bridge: BridgeName) -> None:
        """Send what is due, one after the other, until one does not arrive."""
        for notice in await self._notices.due(bridge, self._clock.now(), BATCH):
            if not await self._deliver(webhook, notice):
                return

    async def _deliver(self, webhook: Webhook, notice: Notice) -> bool:
        if not await self._notices.attempted(notice, self._clock.now()):
            return True  # it changed just now, so its turn comes anew
        why = await self._sender.send(webhook, notice, self._clock.now())
        self._metrics.webhook_messages.labels("failed" if why else "ok").inc()
        if why is None:
            self._failures = 0
            await self._notices.told(notice, self._clock.now() + webhook.pause)
            log.info("owner_told", key=str(notice.key_id), state=notice.state)
            return True
        self._failures += 1
        wait = self._backoff.delay(self._failures, self._draw)
        self._quiet_until = self._clock.elapsed() + wait.total_seconds()
        await self._notices.again(notice, self._clock.now() + wait)
        log.warning(
            "owner_not_told", key=str(notice.key_id), reason=why, retry_in_s=wait.total_seconds()
        )
        return False
