"""Hold a bridge, and while it is held: observe, plan, act, record."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

import anyio
import structlog

from reconciler.backoff import spread
from reconciler.bell import Bell
from reconciler.desk import Desk, Ports
from reconciler.lookout import Lookout
from reconciler.model import BridgeName, Instant, Lease
from reconciler.pacing import Breaker
from reconciler.planning import Planner
from reconciler.ports import Clients
from reconciler.pulse import Pulse
from reconciler.sharing import Sharing, ask_again, gives_back, may_take
from reconciler.verdicts import LeaseLost, StoreError
from reconciler.working import Worker

log = structlog.get_logger()

_STORE_AWAY = 1.0
"""Seconds until the database is tried again."""


class Loop:
    """Keeps one bridge's connectors as they should be, whenever no other replica does."""

    def __init__(self, bridge: BridgeName, ports: Ports) -> None:
        self._bridge = bridge
        self._ports = ports
        self._lookout: Lookout | None = None
        self._worker: Worker | None = None
        self._free = Bell()

    def look(self, clients: Clients) -> None:
        """Look at *clients*' slots now; None means everybody's. A hint: nothing depends on it."""
        if self._lookout is not None:
            self._lookout.look(clients)
        if self._worker is not None and clients is None:  # it may be a pause
            self._worker.put_back()

    def ask(self) -> None:
        """Ask for the bridge now, since it may be free. A hint, too."""
        self._free.ring()

    async def run(self, stop: anyio.Event) -> None:
        """Hold the bridge whenever it is ours to hold, until *stop*; then end what is under way."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_when, stop, self._free.ring)
            while not stop.is_set():
                asked = self._ports.clock.elapsed()
                lease, wait = await self._acquire()
                if lease is None:
                    await self._free.wait(wait.total_seconds())
                else:
                    await self._hold(lease, asked, stop)
            tasks.cancel_scope.cancel()
        await self._leave()

    async def _acquire(self) -> tuple[Lease | None, timedelta]:
        """Return the lease, or when to ask again."""
        rules, leases = self._ports.rules, self._ports.leases
        lease, wait = None, rules.renew
        try:
            sharing = await leases.wait(self._bridge)
            if may_take(sharing, self._bridge, rules.courtesy):
                lease = await leases.acquire(self._bridge)
            else:
                wait = ask_again(sharing, self._bridge, rules.courtesy, rules.renew)
        except StoreError as error:
            log.warning("lease_unknown", bridge=self._bridge, reason=str(error))
        self._ports.meter.lease_held(self._bridge, held=lease is not None)
        self._ports.meter.progressed(self._bridge)
        return lease, spread(wait, rules.jitter, self._ports.draw)

    async def _hold(self, lease: Lease, asked: float, stop: anyio.Event) -> None:
        log.info("lease_acquired", bridge=lease.bridge, epoch=lease.epoch)
        try:
            await self._term(self._desk(lease, asked), stop)
        except* LeaseLost as lost:
            log.warning("lease_lost", bridge=lease.bridge, reason=_innermost(lost))
            self._ports.meter.lease_held(self._bridge, held=False)
        except* Exception:  # a mistake of ours must not end the watch: begin anew, not at once
            log.exception("term_crashed", bridge=lease.bridge)
            await _pause(stop, self._ports.rules.renew)
        finally:
            self._lookout = self._worker = None
            with anyio.move_on_after(self._ports.rules.renew.total_seconds(), shield=True):
                await self._give_back(lease)

    def _desk(self, lease: Lease, asked: float) -> Desk:
        rules = self._ports.rules
        self._lookout = Lookout()
        breaker = Breaker(rules.probe, rules.breaker_opens_after)
        ends = asked + rules.lease.total_seconds()
        return Desk(self._ports, lease, breaker, self._lookout, lease_ends=ends)

    async def _term(self, desk: Desk, stop: anyio.Event) -> None:
        """Plan and work until *stop*, until another replica should, or until the lease is lost."""
        ending = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_when, stop, ending.set)
            tasks.start_soon(self._keep, desk, ending)
            await self._claim(desk)
            planner, worker = Planner(desk), Worker(desk)
            self._worker = worker
            tasks.start_soon(planner.run)
            tasks.start_soon(worker.run)
            tasks.start_soon(Pulse(desk).run)
            tasks.start_soon(self._mind_the_clock, desk)
            await ending.wait()
            with anyio.move_on_after(self._ports.rules.grace.total_seconds()):
                await worker.run_dry()
            tasks.cancel_scope.cancel()

    async def _claim(self, desk: Desk) -> None:
        """Make what an earlier holder left ours, though its clock may have been wrong."""
        await self._insist(desk, self._ports.ledger.reclaim)
        await self._insist(desk, self._ports.ledger.redate)
        await self._insist(desk, partial(self._keep_quiet, desk))

    async def _keep_quiet(self, desk: Desk, lease: Lease, now: Instant) -> None:
        """Leave alone what asked an earlier holder for that."""
        elapsed = self._ports.clock.elapsed()
        for exchange, until in (await self._ports.ledger.quiets(lease.bridge, now)).items():
            wait = (until - now).total_seconds()
            log.info("exchange_quiet", bridge=lease.bridge, exchange=exchange, quiet_s=wait)
            desk.paces.keep_quiet(exchange, elapsed + wait)

    async def _mind_the_clock(self, desk: Desk) -> None:
        """Let nothing wait for a time that a clock which was set back reaches much later."""
        while True:
            await anyio.sleep(self._ports.rules.renew.total_seconds())
            if desk.stepping.was_set_back():
                log.warning("clock_set_back", bridge=self._bridge)
                await self._insist(desk, self._ports.ledger.redate)
                desk.work.ring()

    async def _insist(self, desk: Desk, write: Callable[[Lease, Instant], Awaitable[None]]) -> None:
        while True:
            try:
                await write(desk.lease, self._ports.clock.now())
            except StoreError as error:
                log.warning("store_away", bridge=self._bridge, reason=str(error))
                await anyio.sleep(_STORE_AWAY)
            else:
                return

    async def _keep(self, desk: Desk, ending: anyio.Event) -> None:
        """Renew the lease; raise LeaseLost once it may have ended."""
        rules, clock = self._ports.rules, self._ports.clock
        pause = rules.renew.total_seconds()
        while True:
            await anyio.sleep(pause)
            asked = clock.elapsed()
            try:
                with anyio.fail_after(max(desk.lease_ends - asked, 0)):
                    sharing = await self._ports.leases.renew(desk.lease)
            except (StoreError, TimeoutError) as error:
                log.warning("lease_not_renewed", bridge=self._bridge, reason=str(error))
                if clock.elapsed() + _STORE_AWAY >= desk.lease_ends:
                    raise LeaseLost("the database did not renew it in time") from error
                pause = _STORE_AWAY
            else:
                pause = rules.renew.total_seconds()
                desk.lease_ends = asked + rules.lease.total_seconds()
                self._ports.meter.progressed(self._bridge)
                self._share(sharing, ending)

    def _share(self, sharing: Sharing, ending: anyio.Event) -> None:
        if gives_back(sharing, self._bridge) and not ending.is_set():
            log.info("lease_shared", bridge=self._bridge)
            ending.set()

    async def _give_back(self, lease: Lease) -> None:
        try:
            await self._ports.leases.release(lease)
        except StoreError as error:
            log.warning("lease_not_released", bridge=lease.bridge, reason=str(error))
        self._ports.meter.lease_held(self._bridge, held=False)

    async def _leave(self) -> None:
        with anyio.move_on_after(self._ports.rules.renew.total_seconds()):
            with suppress(StoreError):  # it is forgotten by itself, too
                await self._ports.leases.leave(self._bridge)


async def _when(event: anyio.Event, tell: Callable[[], None]) -> None:
    await event.wait()
    tell()


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return str(error)


async def _pause(stop: anyio.Event, wait: timedelta) -> None:
    with anyio.move_on_after(wait.total_seconds()):
        await stop.wait()
