"""Tells owners when their keys are parked or have recovered: each bridge's holder, those of it.

It runs beside the loops and holds nothing of theirs, so a receiver that is dead slows none of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import anyio
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.metrics import Metrics
from daemon.store.notices import Notice, Notices
from daemon.webhook import Failure, Sender, Webhook
from reconciler.backoff import Backoff, Draw, spread
from reconciler.model import BridgeName, Instant
from reconciler.ports import Clock

log = structlog.get_logger()

BATCH = 200
"""Messages in a row, before the next bridge has its turn."""
AT_ONCE = 8
"""Of them, to a receiver that takes them."""
_LOOK_ANYWAY = 60.0
"""Seconds after which keys are looked at even if nothing seems to have moved."""


class Herald:
    def __init__(self, engine: AsyncEngine, metrics: Metrics, clock: Clock, draw: Draw) -> None:
        self._notices = Notices(engine)
        self._metrics = metrics
        self._clock = clock
        self._draw = draw
        self._backoff = Backoff()
        self._failures = 0
        """How often, with another message, no receiver was found since one was taken."""
        self._quiet_until = 0.0
        self._seen: dict[BridgeName, tuple[int, float]] = {}
        """Of each bridge: how far the history was when its keys were looked at, and when."""
        self.more = False
        """Whether the last round left something that may be sent at once."""

    async def round(
        self, webhook: Webhook | None, bridges: Iterable[BridgeName]
    ) -> Mapping[BridgeName, float]:
        """Tell what is due of *bridges*, which this replica holds. Raises StoreError.

        Returns for how many seconds the oldest message of each is sent in vain.
        """
        self.more = False
        if webhook is None:
            return dict.fromkeys(bridges, 0.0)
        newest, waiting = await self._notices.newest(), {}
        for bridge in bridges:
            await self._note(bridge, newest)
            if self._clock.elapsed() >= self._quiet_until:
                self.more |= await self._tell(webhook, bridge)
            waiting[bridge] = await self._notices.waiting(bridge, self._clock.now())
        return waiting

    async def _note(self, bridge: BridgeName, newest: int) -> None:
        seen, at = self._seen.get(bridge, (-1, 0.0))
        if newest != seen or self._clock.elapsed() - at > _LOOK_ANYWAY:
            await self._notices.note(bridge, self._clock.now())
            self._seen[bridge] = newest, self._clock.elapsed()

    async def _tell(self, webhook: Webhook, bridge: BridgeName) -> bool:
        """Send what is due while the receiver is there; return whether there may be more."""
        now, well = self._clock.now(), not self._failures
        due = await self._notices.due(bridge, now, BATCH, again_first=well)
        if not due:
            return False
        left = due
        async with Sender(webhook) as sender:
            while left:
                size = 1 if self._failures else AT_ONCE
                if not await self._deliver(webhook, sender, left[:size]):
                    return False
                left = left[size:]
        return len(due) == BATCH

    async def _deliver(self, webhook: Webhook, sender: Sender, flight: Sequence[Notice]) -> bool:
        """Send these at once; return whether the receiver is there for others."""
        now = self._clock.now()
        sent = await self._notices.attempted(flight, now)  # what says otherwise by now comes anew
        failures = await _send(sender, sent, now)
        for notice in sent:
            if failure := failures.get(notice.key_id):
                await self._put_back(notice, failure)
            else:
                await self._told(notice, webhook.pause)
        return self._is_there(sent, {key: why for key, why in failures.items() if why.away})

    def _is_there(self, sent: Sequence[Notice], away: Mapping[UUID, Failure]) -> bool:
        if away:
            fresh = {notice.key_id for notice in sent if notice.tried_since is None}
            asked = max(failure.wait for failure in away.values())
            self._leave_alone(asked, another=not fresh.isdisjoint(away))
        return not away

    async def _told(self, notice: Notice, pause: timedelta) -> None:
        self._failures = 0
        self._metrics.webhook_messages.labels("ok").inc()
        await self._notices.told(notice, self._clock.now() + pause)
        log.info("owner_told", key=str(notice.key_id), state=notice.state)

    async def _put_back(self, notice: Notice, failure: Failure) -> None:
        self._metrics.webhook_messages.labels("failed").inc()
        wait = self._rest(notice)
        await self._notices.again(notice, self._clock.now() + wait)
        log.warning(
            "owner_not_told",
            key=str(notice.key_id),
            reason=failure.why,
            retry_in_s=wait.total_seconds(),
        )

    def _rest(self, notice: Notice) -> timedelta:
        """Return as long as it has been tried by now, which doubles it each time."""
        now = self._clock.now()
        tried = now - (notice.tried_since or now)
        rest = min(max(tried, self._backoff.first), self._backoff.cap)
        return spread(rest, self._backoff.jitter, self._draw)

    def _leave_alone(self, asked: timedelta, *, another: bool) -> None:
        """Send nothing for a while, which gets longer each time that *another* message fails.

        One that fails time and again says nothing new of the receiver: the fault may be its own.
        """
        self._failures = max(1, self._failures + another)
        wait = max(self._backoff.delay(self._failures, self._draw), asked)
        self._quiet_until = self._clock.elapsed() + wait.total_seconds()


async def _send(sender: Sender, notices: Sequence[Notice], now: Instant) -> Mapping[UUID, Failure]:
    """Return what did not arrive, by key."""
    failures: dict[UUID, Failure] = {}

    async def send(notice: Notice) -> None:
        if failure := await sender.send(notice, now):
            failures[notice.key_id] = failure

    async with anyio.create_task_group() as tasks:
        for notice in notices:
            tasks.start_soon(send, notice)
    return failures
