"""Before the call: due records become jobs, with their intents written down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from reconciler.desk import Desk, Due
from reconciler.history import is_news
from reconciler.model import Attempt, Credentials, Instant, Phase, Reason, Record, SealedKey, Slot
from reconciler.records import Action, Outcome
from reconciler.turns import in_turns
from reconciler.verdicts import CredentialsTaken, Undecryptable, Verdict


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

    @property
    def moved(self) -> bool:
        """Tell whether more than its due time changed."""
        return self.attempt is not None or self.record.phase is not self.before.phase

    @property
    def news(self) -> Attempt | None:
        """The attempt, if the history is to keep it."""
        told = self.attempt and is_news(self.before, self.record, self.attempt)
        return self.attempt if told else None


class Preparer:
    """Reads the keys as they are now, opens them, and writes the intent to send them."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ports = desk.ports

    async def prepare(self, picked: Sequence[Due]) -> list[Job | Ended]:
        """Return a job, or what to write instead of one, for each that was *picked*."""
        sealed = await self._read([due.record for due in picked if due.sealed is None])
        prepared = [
            self._prepared(due.record, due.sealed or sealed.get(due.record.slot))
            async for due in in_turns(picked)
        ]
        return await self._intend(prepared)

    async def _read(self, records: Sequence[Record]) -> Mapping[Slot, SealedKey]:
        asked = [(r.slot, r.client_id) for r in records if action_of(r) is not Action.VERIFY]
        return await self._ports.keys.read(asked) if asked else {}

    def _prepared(self, record: Record, sealed: SealedKey | None) -> Job | Ended:
        match action_of(record):
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
        self._desk.afterwards(record.slot, None)
        return Ended(record, self._desk.scribe().postponed(record))

    def _opened(self, record: Record, sealed: SealedKey) -> Job | Ended:
        scribe = self._desk.scribe()
        try:
            credentials = self._ports.vault.open(sealed)
        except Undecryptable as verdict:
            read = replace(record, key_id=sealed.key.id, digest=sealed.key.digest)
            return self._untried(record, read, verdict)
        fingerprint = self._ports.vault.fingerprint(credentials)
        if same_credentials(record, fingerprint):
            return Ended(record, scribe.acknowledged(record, sealed))
        started = scribe.started(record, sealed, fingerprint, self._desk.lease)
        return Job(Action.INITIALIZE, record, started, credentials)

    async def _intend(self, prepared: list[Job | Ended]) -> list[Job | Ended]:
        adds = [p.record for p in prepared if isinstance(p, Job) and p.credentials]
        taken = await self._ports.ledger.intend(self._desk.lease, adds) if adds else {}
        return [self._unless(taken.get(p.record.slot), p) for p in prepared]

    def _unless(self, taken: Reason | None, prepared: Job | Ended) -> Job | Ended:
        match taken:
            case None:
                return prepared
            case Reason.ACCOUNT_TAKEN:  # the client got another one since the key was read
                return self._postponed(prepared.before)
            case _:
                verdict = CredentialsTaken("nothing was sent")
                return self._untried(prepared.before, prepared.before, verdict)

    def _untried(self, before: Record, record: Record, verdict: Verdict) -> Ended:
        scribe = self._desk.scribe()
        outcome = Outcome(Action.INITIALIZE, verdict)
        attempt = history(self._desk.next_attempt(), record, outcome, scribe.now, 0.0)
        self._ports.meter.attempted(attempt)
        return Ended(before, scribe.attempted(record, outcome), attempt)


def history(name: str, record: Record, outcome: Outcome, at: Instant, seconds: float) -> Attempt:
    """Return what the history keeps of an attempt."""
    return Attempt(
        slot=record.slot,
        key_id=record.key_id,
        exchange=record.exchange,
        action=outcome.action,
        cause=record.cause,
        verdict=outcome.verdict.name if outcome.verdict else "done",
        message=str(outcome.verdict or outcome.unproven or ""),
        at=at,
        seconds=seconds,
        id=name,
    )


def action_of(record: Record) -> Action:
    match record.phase:
        case Phase.LIVE:
            return Action.VERIFY
        case Phase.PARKED if record.reason is Reason.REFUSED and record.sent == record.fingerprint:
            return Action.VERIFY  # a recheck asks; it does not add again what is there and refused
        case Phase.REMOVING | Phase.UNREMOVABLE:
            return Action.REMOVE
        case _:
            return Action.INITIALIZE


def same_credentials(record: Record, fingerprint: str) -> bool:
    """The row was written anew, say by a change of encryption key, and nothing else changed."""
    was_live = record.reason is Reason.CHANGED and record.live_since is not None
    return was_live and fingerprint == record.fingerprint == record.sent
