"""The call: one job is tried once, and what comes of it is an outcome."""

import anyio
import structlog
from structlog.contextvars import bound_contextvars

from reconciler.desk import Desk
from reconciler.fence import fenced
from reconciler.jobs import Ended, Job, history
from reconciler.pacing import Holdoffs
from reconciler.records import Action, Outcome
from reconciler.verdicts import (
    LeaseLost,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Verdict,
)

log = structlog.get_logger()


class Attempter:
    """Tries jobs, and lets the bridge's breaker and the exchanges' holdoffs know how it went."""

    def __init__(self, desk: Desk, holdoffs: Holdoffs) -> None:
        self._desk = desk
        self._ports = desk.ports
        self._holdoffs = holdoffs

    async def attempt(self, job: Job) -> Ended:
        """Raises LeaseLost before anything, or anything more, is sent."""
        self._desk.require_lease()
        at, started = self._ports.clock.now(), anyio.current_time()
        name = self._desk.next_attempt()
        # The name is in whatever is logged by whoever is asked.
        with bound_contextvars(attempt=name), fenced(self._desk.require_lease):
            outcome = await self._outcome(job)
        attempt = history(name, job.record, outcome, at, anyio.current_time() - started)
        self._ports.meter.attempted(attempt)
        self._pace(job.record.exchange, outcome.verdict or outcome.unproven)
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
                return Outcome(Action.VERIFY, verified=await bridge.verify(record.slot))
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
            verified = await bridge.verify(slot)
        except Refused as verdict:
            return Outcome(Action.INITIALIZE, verdict, applied=True)
        except Verdict as unproven:
            return Outcome(Action.INITIALIZE, applied=True, unproven=unproven)
        return Outcome(Action.INITIALIZE, applied=True, verified=verified)

    def _pace(self, exchange: str, verdict: Verdict | None) -> None:
        breaker, lookout = self._desk.breaker, self._desk.lookout
        rules = self._ports.rules
        if isinstance(verdict, Unavailable):
            if breaker.failed():
                lookout.within(breaker.next_probe(self._ports.draw).total_seconds())
            return
        breaker.answered()
        if isinstance(verdict, Throttled):
            wait = verdict.retry_after or rules.backoff.first
            self._holdoffs.hold(exchange, self._ports.clock.now() + wait)
        if isinstance(verdict, Unclear | NotThere):  # observe before acting again
            lookout.within(rules.second_look.total_seconds())
