"""Work: pick what is due, write the intent, attempt it, write the outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

import anyio
import structlog
from anyio.abc import TaskGroup

from reconciler.desk import Desk
from reconciler.model import Attempt, Credentials, Instant, Phase, Reason, Record, SealedKey, Slot
from reconciler.pacing import Holdoffs
from reconciler.records import Action, Outcome
from reconciler.verdicts import (
    CredentialsTaken,
    LeaseLost,
    NotThere,
    Refused,
    StoreError,
    Throttled,
    Unavailable,
    Unclear,
    Undecryptable,
    Verdict,
)

log = structlog.get_logger()

_STORE_AWAY = 1.0
"""Seconds until the database is tried again."""
_LONGEST_NAP = 60.0
"""Seconds after which due times are read again though nothing rang: a wall clock may jump."""


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt to make: *before* is the record that was due, *record* the one written since."""

    action: Action
    before: Record
    record: Record
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """What to write of one due record; *attempt* is None where nothing was tried."""

    before: Record
    record: Record
    attempt: Attempt | None = None


class Worker:
    """Attempts what is due for as long as the lease lasts."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ports = desk.ports
        self._holdoffs = Holdoffs()
        self._ended, self._to_write = anyio.create_memory_object_stream[Ended](inf)
        self._stopping = False

    async def run(self) -> None:
        async with anyio.create_task_group() as tasks, self._ended, self._to_write:
            tasks.start_soon(self._write_outcomes)
            while True:
                await self._turn(tasks)

    async def run_dry(self) -> None:
        """Begin nothing new; return once every outcome is written."""
        self._stopping = True
        while self._desk.busy:
            await self._desk.idle.wait(_LONGEST_NAP)

    # -- what is due ---------------------------------------------------------------------------

    async def _turn(self, tasks: TaskGroup) -> None:
        try:
            jobs = await self._begin()
            nap = await self._until_due() if self._room() and not jobs else _LONGEST_NAP
        except StoreError as error:
            log.warning("store_away", bridge=self._desk.lease.bridge, reason=str(error))
            jobs, nap = [], _STORE_AWAY
        for job in jobs:
            tasks.start_soon(self._carry_out, job)
        if not jobs or not self._room():
            await self._desk.work.wait(nap)

    def _room(self) -> int:
        if self._stopping or not self._desk.breaker.closed:
            return 0
        return max(0, self._ports.rules.concurrency - len(self._desk.busy))

    async def _begin(self) -> list[Job]:
        """Write the intents of what is due, as far as there is room for it."""
        async with self._desk.lock:
            records = await self._pick(self._room())
            if not records:
                return []
            prepared = await self._prepare(records)
            jobs = await self._intend([p for p in prepared if isinstance(p, Job)])
            self._desk.busy.update(record.slot for record in records)
        for ended in (p for p in (*prepared, *jobs) if isinstance(p, Ended)):
            self._ended.send_nowait(ended)
        return [job for job in jobs if isinstance(job, Job)]

    async def _pick(self, room: int) -> list[Record]:
        if room <= 0:
            return []
        now, busy = self._ports.clock.now(), self._desk.busy
        spared = self._holdoffs.held(now)
        bridge = self._desk.lease.bridge
        records = await self._ports.ledger.due(bridge, now, room + len(busy), spared)
        return [record for record in records if record.slot not in busy][:room]

    async def _until_due(self) -> float:
        now = self._ports.clock.now()
        held = self._holdoffs.held(now)
        due = await self._ports.ledger.next_due(self._desk.lease.bridge, now, held)
        times = [*held.values(), *([due] if due else [])]
        waits = [(time - now).total_seconds() for time in times]
        return min(waits, default=_LONGEST_NAP)

    # -- before the call -----------------------------------------------------------------------

    async def _prepare(self, records: Sequence[Record]) -> list[Job | Ended]:
        asked = [(r.slot, r.client_id) for r in records if _action(r) is not Action.VERIFY]
        sealed: Mapping[Slot, SealedKey] = await self._ports.keys.read(asked) if asked else {}
        return [self._prepared(record, sealed.get(record.slot)) for record in records]

    def _prepared(self, record: Record, sealed: SealedKey | None) -> Job | Ended:
        match _action(record):
            case Action.VERIFY:
                return Job(Action.VERIFY, record, record)
            case Action.REMOVE:
                return self._postponed(record) if sealed else Job(Action.REMOVE, record, record)
            case Action.INITIALIZE if sealed is None or sealed.key.held:
                return self._postponed(record)
            case Action.INITIALIZE:
                return self._opened(record, sealed)

    def _postponed(self, record: Record) -> Ended:
        """The key is no longer what the record says: the next pass says what to do."""
        self._desk.lookout.within(0)
        return Ended(record, self._desk.scribe().postponed(record))

    def _opened(self, record: Record, sealed: SealedKey) -> Job | Ended:
        scribe = self._desk.scribe()
        try:
            credentials = self._ports.vault.open(sealed)
        except Undecryptable as verdict:
            read = replace(record, key_id=sealed.key.id, digest=sealed.key.digest)
            return self._untried(record, read, verdict)
        fingerprint = self._ports.vault.fingerprint(credentials)
        if _same_credentials(record, fingerprint):
            return Ended(record, scribe.acknowledged(record, sealed))
        started = scribe.started(record, sealed, fingerprint, self._desk.lease)
        return Job(Action.INITIALIZE, record, started, credentials)

    async def _intend(self, jobs: list[Job]) -> list[Job | Ended]:
        adds = [job.record for job in jobs if job.action is Action.INITIALIZE]
        taken = await self._ports.ledger.intend(self._desk.lease, adds) if adds else ()
        verdict = CredentialsTaken("another client's key has the same credentials")
        return [
            self._untried(job.before, job.before, verdict) if job.record.slot in taken else job
            for job in jobs
        ]

    def _untried(self, before: Record, record: Record, verdict: Verdict) -> Ended:
        outcome = Outcome(Action.INITIALIZE, verdict)
        attempt = self._attempt(record, outcome, self._ports.clock.now(), 0.0)
        return Ended(before, self._desk.scribe().attempted(record, outcome), attempt)

    # -- the call ------------------------------------------------------------------------------

    async def _carry_out(self, job: Job) -> None:
        if anyio.current_time() >= self._desk.lease_ends:
            raise LeaseLost("the lease ended before the request was sent")
        at, started = self._ports.clock.now(), anyio.current_time()
        outcome = await self._outcome(job)
        attempt = self._attempt(job.record, outcome, at, anyio.current_time() - started)
        self._pace(job.record.exchange, outcome.verdict or outcome.unproven)
        record = self._desk.scribe().attempted(job.record, outcome)
        self._ended.send_nowait(Ended(job.before, record, attempt))

    async def _outcome(self, job: Job) -> Outcome:
        try:
            return await self._act(job)
        except Verdict as verdict:
            return Outcome(job.action, verdict)
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
                lookout.look(None)
            return
        breaker.answered()
        if isinstance(verdict, Throttled):
            wait = verdict.retry_after or rules.backoff.first
            self._holdoffs.hold(exchange, self._ports.clock.now() + wait)
        if isinstance(verdict, Unclear | NotThere):  # observe before acting again
            lookout.within(rules.second_look.total_seconds())

    def _attempt(self, record: Record, outcome: Outcome, at: Instant, seconds: float) -> Attempt:
        verdict = outcome.verdict
        attempt = Attempt(
            slot=record.slot,
            key_id=record.key_id,
            exchange=record.exchange,
            action=outcome.action,
            cause=record.cause,
            verdict=verdict.name if verdict else "done",
            message=str(verdict or outcome.unproven or ""),
            at=at,
            seconds=seconds,
        )
        self._ports.meter.attempted(attempt)
        return attempt

    # -- after the call ------------------------------------------------------------------------

    async def _write_outcomes(self) -> None:
        async for first in self._to_write:
            waiting = self._to_write.statistics().current_buffer_used
            rest = min(waiting, self._ports.rules.batch - 1)
            await self._settle([first, *(self._to_write.receive_nowait() for _ in range(rest))])

    async def _settle(self, batch: list[Ended]) -> None:
        """Write the outcomes down, however long that takes; the lease's end ends it too."""
        while True:
            try:
                ended = [(e.record, e.attempt) for e in batch]
                await self._ports.ledger.settle(self._desk.lease, ended)
                break
            except StoreError as error:
                log.warning("outcomes_wait", count=len(batch), reason=str(error))
                await anyio.sleep(_STORE_AWAY)
        for ended_ in batch:
            self._desk.done_with(ended_.record.slot)
            self._tell(ended_)

    def _tell(self, ended: Ended) -> None:
        before, after = ended.before, ended.record
        if after.phase is Phase.LIVE and before.phase is not Phase.LIVE and before.first_unready_at:
            waited = self._ports.clock.now() - before.first_unready_at
            self._ports.meter.converged(before, max(waited.total_seconds(), 0.0))
        if ended.attempt is None:
            return
        done = ended.attempt.verdict == "done"
        tell = log.info if done else log.warning
        tell(
            f"{ended.attempt.action}_{'done' if done else 'failed'}",
            slot=str(after.slot),
            key=str(after.key_id),
            verdict=ended.attempt.verdict,
            phase=after.phase,
            reason=after.reason,
            message=ended.attempt.message,
            failures=after.failures,
            due_at=after.due_at.isoformat() if after.due_at else None,
        )


def _action(record: Record) -> Action:
    match record.phase:
        case Phase.LIVE:
            return Action.VERIFY
        case Phase.PARKED if record.reason is Reason.REFUSED:
            return Action.VERIFY  # a recheck asks; it does not add again what was refused
        case Phase.REMOVING | Phase.UNREMOVABLE:
            return Action.REMOVE
        case _:
            return Action.INITIALIZE


def _same_credentials(record: Record, fingerprint: str) -> bool:
    """The row was written anew, say by a change of encryption key, and nothing else changed."""
    was_live = record.reason is Reason.CHANGED and record.live_since is not None
    return was_live and fingerprint == record.fingerprint == record.sent
