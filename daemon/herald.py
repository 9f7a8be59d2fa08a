"""Tells owners when their keys are parked or have recovered: each bridge's holder, those of it.

It runs beside the loops and holds nothing of theirs, so a receiver that is dead slows none of them.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.metrics import Metrics
from daemon.store.notices import Notice, Notices
from daemon.webhook import Failure, Sender, Webhook
from reconciler.backoff import Backoff, Draw, spread
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
        """How many messages found no receiver since one was taken."""
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
        """Send what is due, one after the other, for as long as the receiver is there."""
        for notice in await self._notices.due(bridge, self._clock.now(), BATCH):
            if not await self._deliver(webhook, notice):
                return

    async def _deliver(self, webhook: Webhook, notice: Notice) -> bool:
        """Send it, and return whether the receiver is there for another."""
        if not await self._notices.attempted(notice, self._clock.now()):
            return True  # it changed just now, so its turn comes anew
        failure = await self._sender.send(webhook, notice, self._clock.now())
        self._metrics.webhook_messages.labels("failed" if failure else "ok").inc()
        if failure:
            return await self._put_back(notice, failure)
        self._failures = 0
        await self._notices.told(notice, self._clock.now() + webhook.pause)
        log.info("owner_told", key=str(notice.key_id), state=notice.state)
        return True

    async def _put_back(self, notice: Notice, failure: Failure) -> bool:
        wait = self._rest(notice)
        log.warning(
            "owner_not_told",
            key=str(notice.key_id),
            reason=failure.why,
            retry_in_s=wait.total_seconds(),
        )
        await self._notices.again(notice, self._clock.now() + wait)
        if failure.away:
            self._leave_alone(failure, another=notice.tried_since is None)
        return not failure.away

    def _rest(self, notice: Notice) -> timedelta:
        """Return as long as it has been tried by now, which doubles it each time."""
        now = self._clock.now()
        tried = now - (notice.tried_since or now)
        rest = min(max(tried, self._backoff.first), self._backoff.cap)
        return spread(rest, self._backoff.jitter, self._draw)

    def _leave_alone(self, failure: Failure, *, another: bool) -> None:
        """Send nothing for a while, which gets longer by each message that fails as well.

        One that fails time and again says nothing new of the receiver: the fault may be its own.
        """
        self._failures = max(1, self._failures + another)
        wait = max(self._backoff.delay(self._failures, self._draw), failure.wait)
        self._quiet_until = self._clock.elapsed() + wait.total_seconds()
