"""What we write down about a slot once a step is planned or an attempt has ended. Pure."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import assert_never

from reconciler.backoff import Draw, spread
from reconciler.decide import lands_before
from reconciler.model import (
    SETTLED,
    Instant,
    Lease,
    Phase,
    Reason,
    Record,
    Rights,
    SealedKey,
    Slot,
    StoredKey,
    Urgency,
    Verified,
)
from reconciler.phases import Event, follow
from reconciler.rules import Rules
from reconciler.steps import Adopt, Confirm, Forget, Initialize, Park, Remove, Step
from reconciler.verdicts import (
    CredentialsTaken,
    ExchangeAway,
    MassRefusal,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Undecryptable,
    Unsupported,
    Verdict,
)

_A_WHILE = timedelta(hours=1)
"""A row's change this long ago is why its key waits, not what woke it now."""


class Action(StrEnum):
    """What an attempt does."""

    INITIALIZE = "initialize"
    VERIFY = "verify"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: *verdict* is None if it is done.

    *applied*: the bridge took the credentials, whatever the exchange then said of them.
    *unproven*: why the call that should have proven them told neither yes nor no.
    """

    action: Action
    verdict: Verdict | None = None
    applied: bool = False
    verified: Verified = Verified.UNKNOWN
    rights: Rights | None = None
    unproven: Verdict | None = None

    @property
    def proof(self) -> bool:
        """Tell whether it ended in an authenticated call, not in the add before it."""
        return self.action is Action.VERIFY or self.applied


@dataclass(frozen=True, slots=True)
class Scribe:
    """Writes records: the moment, chance and the numbers it needs for that."""

    now: Instant
    draw: Draw
    rules: Rules

    def planned(self, slot: Slot, record: Record | None, step: Step) -> Record:
        """Return the record that holds *step*; phase REMOVED means: drop it."""
        match step:
            case Initialize():
                return self._to_initialize(slot, record, step)
            case Confirm(key):
                return self._confirmed(_of(slot, record, key))
            case Adopt(key):
                return self._adopted(_of(slot, record, key))
            case Park(key, cause):
                parked = self._move(_of(slot, record, key), Event.PARK, cause)
                return replace(parked, due_at=None, live_since=None, first_unready_at=None)
            case Remove(fingerprint):
                orphan = self._move(_known(record), Event.REMOVE, Reason.ORPHAN)
                return self._due(replace(orphan, fingerprint=fingerprint or orphan.fingerprint))
            case Forget():
                return self._move(_known(record), Event.FORGET, Reason.ORPHAN)
            case _:
                assert_never(step)

    def started(self, record: Record, sealed: SealedKey, fingerprint: str, lease: Lease) -> Record:
        """Return the open intent to send *sealed*; it is due again when nobody can be at it."""
        started = self._move(record, Event.START, record.reason)
        fresh = record.sent != fingerprint
        return self._due(
            replace(
                started,
                key_id=sealed.key.id,
                client_id=sealed.key.client_id,
                digest=sealed.key.digest,
                sent=fingerprint,
                intent_epoch=lease.epoch,
                intent_at=self.now,
                verified=Verified.UNKNOWN if fresh else record.verified,
                verified_at=None if fresh else record.verified_at,
                rights=None if fresh else record.rights,
                live_since=None if fresh else record.live_since,
            ),
            self.rules.longest_request,
        )

    def acknowledged(self, record: Record, sealed: SealedKey) -> Record:
        """Return the record of a row that was written anew with the same credentials."""
        live = self._move(record, Event.CONFIRM, Reason.APPLIED)
        key = sealed.key
        live = replace(live, key_id=key.id, digest=key.digest, first_unready_at=None)
        return self._due(live, self._until_verified(), Urgency.PROOF)

    def postponed(self, record: Record) -> Record:
        """Return *record* due later: it is for the next pass to say what it needs, if anything."""
        if record.phase in SETTLED:
            return self._due(record, self._until_recheck(record.reason))
        if record.phase is Phase.INITIALIZING:  # whoever was at it is so no more
            record = self._move(record, Event.WAIT, Reason.UNCLEAR)
        until = lands_before(record) or self.now
        return self._due(record, max(self.rules.second_look, until - self.now))

    def attempted(self, record: Record, outcome: Outcome) -> Record:
        """Return the record after an attempt has ended."""
        record = replace(record, last_attempt_at=self.now)
        if outcome.applied:
            applied = replace(record, fingerprint=record.sent, adopted=False)
        else:
            applied = record
        if outcome.action is Action.REMOVE:
            return self._removal(record, outcome)
        if outcome.verdict is None:
            return self._done(applied, outcome)
        return self._failed(record, applied, outcome.verdict, proof=outcome.proof)

    def _done(self, record: Record, outcome: Outcome) -> Record:
        if record.phase is Phase.PARKED and outcome.verified is Verified.UNKNOWN:
            verdict = NotThere("this bridge cannot prove a connector, so it is added again")
            return self._failed(record, record, verdict, proof=True)
        live = self._live(record, Event.DONE, outcome.verified, outcome.rights)
        if outcome.unproven is None:
            return self._due(live, self._until_verified(), Urgency.PROOF)
        live = replace(live, message=str(outcome.unproven))
        wait = self._asked(outcome.unproven, self.rules.verify_again)
        return self._due(live, wait, Urgency.SOON)

    def _to_initialize(self, slot: Slot, record: Record | None, step: Initialize) -> Record:
        known = _without_anothers(_of(slot, record, step.key), step.key)
        pending = self._move(known, Event.INITIALIZE, step.cause)
        waiting_since = None if known.phase in SETTLED else known.first_unready_at
        pending = replace(
            pending,
            digest=step.key.digest,
            key_id=step.key.id,
            client_id=step.key.client_id,
            cause=step.cause,
            urgency=step.urgency,
            first_unready_at=waiting_since or self._since(step),
            live_since=known.live_since if step.cause is Reason.CHANGED else None,
            fingerprint=None if step.cause is Reason.REPLACED else known.fingerprint,
        )
        if step.cause not in (Reason.LOST, Reason.REPLACED):
            kept = known.failures if step.cause is Reason.REINITIALIZE else 0
            return self._due(replace(pending, failures=kept))
        failures = self._failures_after_loss(known)
        return self._due(
            replace(pending, failures=failures), self.rules.backoff.delay(failures, self.draw)
        )

    def _since(self, step: Initialize) -> Instant:
        """Return since when it is needed: a change that we notice is a little older than that."""
        changed = step.key.changed_at
        if changed is None or step.cause not in (Reason.NEW, Reason.CHANGED):
            return self.now
        return changed if self.now - _A_WHILE <= changed <= self.now else self.now

    def _failures_after_loss(self, record: Record) -> int:
        """A connector that stayed as long as its backoff starts anew; a flapping one goes on.

        Only a listing shows a loss, so a life between two of them proves nothing.
        """
        lived = self.now - (record.live_since or self.now)
        needed = max(self.rules.backoff.plain(record.failures), 2 * self.rules.resync)
        return 0 if lived >= needed else record.failures + 1

    def _confirmed(self, record: Record) -> Record:
        live = self._live(replace(record, adopted=False), Event.CONFIRM, Verified.UNKNOWN)
        return self._due(live, urgency=Urgency.SOON)

    def _adopted(self, record: Record) -> Record:
        live = self._move(record, Event.ADOPT, Reason.ADOPTED)
        live = replace(live, adopted=True, live_since=self.now, first_unready_at=None)
        return self._due(live, urgency=Urgency.SOON)

    def _live(
        self, record: Record, event: Event, verified: Verified, rights: Rights | None = None
    ) -> Record:
        reason = Reason.ADOPTED if record.adopted else Reason.APPLIED
        live = self._move(record, event, reason)
        proven = verified is Verified.OK
        outdated = event is Event.DONE and record.verified is Verified.FAILED
        before = Verified.UNKNOWN if outdated else record.verified
        return replace(
            live,
            fingerprint=record.fingerprint if record.adopted else record.sent,
            failures=0 if record.phase is Phase.LIVE and self._stable(record) else record.failures,
            first_unready_at=None,
            live_since=record.live_since if record.phase is Phase.LIVE else self.now,
            verified=Verified.OK if proven else before,
            verified_at=self.now if proven else record.verified_at,
            rights=rights or record.rights,
        )

    def _stable(self, record: Record) -> bool:
        since = record.live_since or self.now
        return self.now - since >= self.rules.backoff.plain(record.failures)

    def _failed(self, before: Record, record: Record, verdict: Verdict, *, proof: bool) -> Record:
        event = self._event(before, verdict, proof=proof)
        after = self._move(record, event, REASONS[type(verdict)], str(verdict))
        if isinstance(verdict, Refused):
            after = replace(after, verified=Verified.FAILED)
        match after.phase:
            case Phase.PARKED if event is Event.WAIT:  # a recheck that told neither yes nor no
                kept = replace(after, reason=before.reason, message=before.message)
                return self._due(kept, self._asked(verdict, self.rules.verify_again))
            case Phase.LIVE:
                kept = replace(after, reason=record.reason)
                return self._due(kept, self._asked(verdict, self.rules.verify_again))
            case Phase.PARKED | Phase.CONFLICT:
                parked = replace(after, failures=record.failures + 1, live_since=None)
                return self._due(parked, self._until_recheck(after.reason), Urgency.BULK)
            case _:
                waiting_since = after.first_unready_at or self.now
                return self._retry(replace(after, first_unready_at=waiting_since), verdict)

    def _retry(self, record: Record, verdict: Verdict) -> Record:
        if isinstance(verdict, Unavailable) and record.phase is Phase.RETRYING:
            return self._due(record, self._as_long_again(record))
        failures = record.failures + 1
        wait = self._asked(verdict, self.rules.backoff.delay(failures, self.draw))
        urgency = max(record.urgency, Urgency.SOON)
        return self._due(replace(record, failures=failures), wait, urgency)

    def _as_long_again(self, record: Record) -> timedelta:
        """The bridge's failure is not counted as the key's, so its wait grows with the time."""
        backoff = self.rules.backoff
        waited = self.now - (record.first_unready_at or self.now)
        plain = max(backoff.plain(max(record.failures, 1)), min(waited, backoff.cap))
        return spread(plain, backoff.jitter, self.draw)

    def _removal(self, record: Record, outcome: Outcome) -> Record:
        verdict = outcome.verdict
        if verdict is None:
            return self._move(record, Event.DONE, Reason.ORPHAN)
        event = self._event(record, verdict, proof=False)
        after = self._move(record, event, Reason.ORPHAN, str(verdict))
        if after.phase is Phase.UNREMOVABLE:
            kept = replace(after, reason=Reason.REMOVAL_UNSUPPORTED)
            return self._due(kept, self.rules.recheck_removal, Urgency.BULK)
        return after if after.phase is Phase.REMOVED else self._retry(after, verdict)

    def _event(self, record: Record, verdict: Verdict, *, proof: bool) -> Event:
        match verdict:
            case Refused():
                return Event.DOUBT if self._worked_before(record, proof=proof) else Event.REFUSE
            case Unsupported():
                return Event.UNSUPPORTED
            case CredentialsTaken():
                return Event.TAKEN
            case NotThere():
                return Event.NOT_THERE
            case _:
                return Event.WAIT

    def _worked_before(self, record: Record, *, proof: bool) -> bool:
        """One refusal of credentials that worked may be the exchange's fault; a second is not.

        Where a *proof* was refused, being listed for a moment does not count as having worked.
        """
        if record.adopted or record.verified is not Verified.UNKNOWN:
            return record.verified is not Verified.FAILED
        if proof:
            lived = self.now - (record.live_since or self.now)
            return lived >= self.rules.verify_again
        return record.sent is not None and record.sent == record.fingerprint

    def _move(self, record: Record, event: Event, reason: Reason, message: str = "") -> Record:
        phase = follow(record.phase, event)
        return replace(
            record,
            phase=phase,
            reason=reason,
            message=message,
            intent_epoch=None,
            intent_at=None,
        )

    def _due(
        self, record: Record, wait: timedelta = timedelta(0), urgency: Urgency | None = None
    ) -> Record:
        at = self.now + wait
        urgency = record.urgency if urgency is None else urgency
        return replace(record, due_at=at, due_set_at=self.now, urgency=urgency)

    def _until_verified(self) -> timedelta:
        return spread(self.rules.verify_every, self.rules.jitter, self.draw)

    def _until_recheck(self, reason: Reason) -> timedelta:
        wait = {
            Reason.REFUSED: self.rules.recheck_refused,
            Reason.CREDENTIALS_TAKEN: self.rules.recheck_conflict,
        }.get(reason, self.rules.recheck_unsupported)
        return spread(wait, self.rules.jitter, self.draw)

    @staticmethod
    def _asked(verdict: Verdict, wait: timedelta) -> timedelta:
        if isinstance(verdict, Throttled) and verdict.retry_after is not None:
            return max(wait, verdict.retry_after)
        return wait


REASONS: dict[type[Verdict], Reason] = {
    Unavailable: Reason.BRIDGE_UNAVAILABLE,
    ExchangeAway: Reason.EXCHANGE_AWAY,
    Throttled: Reason.THROTTLED,
    Refused: Reason.REFUSED,
    MassRefusal: Reason.MASS_REFUSAL,
    Unsupported: Reason.UNSUPPORTED,
    Undecryptable: Reason.UNDECRYPTABLE,
    Unclear: Reason.UNCLEAR,
    CredentialsTaken: Reason.CREDENTIALS_TAKEN,
    NotThere: Reason.LOST,
}


def _of(slot: Slot, record: Record | None, key: StoredKey) -> Record:
    if record is not None:
        return record
    return Record(
        slot=slot,
        key_id=key.id,
        client_id=key.client_id,
        exchange=key.exchange,
        digest=key.digest,
        phase=Phase.PENDING,
        reason=Reason.NEW,
    )


def _without_anothers(record: Record, key: StoredKey) -> Record:
    """Return *record* without what another key, which had the slot, was proven to be."""
    if record.key_id == key.id:
        return record
    return replace(
        record, verified=Verified.UNKNOWN, verified_at=None, rights=None, last_attempt_at=None
    )


def _known(record: Record | None) -> Record:
    if record is None:
        raise ValueError("a step that removes or forgets needs a record")
    return record
