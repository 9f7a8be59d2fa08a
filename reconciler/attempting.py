"""The call: one job is tried once, and what comes of it is an outcome."""

import structlog
from structlog.contextvars import bound_contextvars

from reconciler.desk import Desk
from reconciler.fence import fenced
from reconciler.jobs import Ended, Job, history
from reconciler.judging import Judge
from reconciler.records import Action, Outcome
from reconciler.verdicts import (
    ExchangeAway,
    LeaseLost,
    MassRefusal,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Verdict,
)

log = structlog.get_logger()


class Attempter:
    """Tries jobs, and lets the bridge's breaker and limit and the exchange's pace know of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ports = desk.ports
        self._judge = Judge(desk)

    async def attempt(self, job: Job) -> Ended:
        """Raises LeaseLost before anything, or anything more, is sent."""
        self._desk.require_lease()
        at, started = self._ports.clock.now(), self._ports.clock.elapsed()
        name = self._desk.next_attempt()
        # The name is in whatever is logged by whoever is asked.
        with bound_contextvars(attempt=name), fenced(self._desk.require_lease):
            outcome = await self._judge.judged(job.record, await self._outcome(job))
        attempt = history(name, job.record, outcome, at, self._ports.clock.elapsed() - started)
        self._ports.meter.attempted(attempt)
        self._pace(job.before.exchange, outcome.verdict or outcome.unproven, started)
        self._desk.tell_pace()
        return Ended(job.before, self._desk.scribe().attempted(job.record, outcome), attempt)

    async def _outcome(self, job: Job) -> Outcome:
        try:
            return await self._act(job)
        except Verdict as verdict:
            return Outcome(job.action, verdict)
        except LeaseLost:
            raise
        except Exception:  # one slot's surprise must not stop the others
            log.exception("attempt_crashed", slot=str(job.record.slot), action=job.action)
            return Outcome(job.action, Unclear("internal error, see the daemon's log"))

    async def _act(self, job: Job) -> Outcome:
        bridge, record = self._ports.bridge, job.record
        match job.action:
            case Action.INITIALIZE:
                return await self._initialize(job)
            case Action.VERIFY:
                proof = await bridge.verify(record.slot)
                return Outcome(Action.VERIFY, verified=proof.verified, rights=proof.rights)
            case Action.REMOVE:
                await bridge.remove(record.slot, record.fingerprint or record.sent)
                return Outcome(Action.REMOVE)

    async def _initialize(self, job: Job) -> Outcome:
        """Add, then prove: bridges report success for credentials that nobody checked."""
        bridge, slot = self._ports.bridge, job.record.slot
        if job.credentials is None or job.record.sent is None:
            raise ValueError("nothing to send")
        await bridge.initialize(slot, job.credentials, job.record.sent)
        try:
            proof = await bridge.verify(slot)
        except Refused as verdict:
            return Outcome(Action.INITIALIZE, verdict, applied=True)
        except Verdict as unproven:
            return Outcome(Action.INITIALIZE, applied=True, unproven=unproven)
        return Outcome(
            Action.INITIALIZE, applied=True, verified=proof.verified, rights=proof.rights
        )

    def _pace(self, exchange: str, verdict: Verdict | None, began: float) -> None:
        desk, rules = self._desk, self._ports.rules
        now = self._ports.clock.elapsed()
        if isinstance(verdict, Unavailable):
            desk.limit.went_badly(began, now, desk.paces.under_way)
            if desk.breaker.failed():
                desk.lookout.within(desk.breaker.next_probe(self._ports.draw).total_seconds())
            return
        desk.breaker.answered()
        desk.limit.went_well(desk.paces.under_way)
        pace = desk.paces.of(exchange)
        match verdict:
            case Throttled(retry_after=asked):
                least = asked.total_seconds() if asked else 0.0
                wait = pace.throttled(least, now, self._ports.draw)
                log.warning("exchange_throttled", exchange=exchange, quiet_s=round(wait, 3))
            case Unclear() | ExchangeAway():
                pace.limit.went_badly(began, now, pace.under_way)
            case MassRefusal():
                pass  # whoever judged it has slowed it
            case _:
                pace.went_well()
        if isinstance(verdict, Unclear | NotThere):  # observe before acting again
            desk.lookout.within(rules.second_look.total_seconds())
