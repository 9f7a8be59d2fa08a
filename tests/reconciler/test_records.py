from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from reconciler.model import KeyId, Phase, Reason, Record, Rights, StoredKey, Urgency, Verified
from reconciler.records import REASONS, Action, Outcome
from reconciler.steps import Adopt, Confirm, Forget, Initialize, Park, Remove
from reconciler.verdicts import (
    ExchangeAway,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Undecryptable,
    Unsupported,
    Verdict,
)
from tests.reconciler.examples import (
    KEY,
    LEASE,
    NOW,
    OLD,
    OURS,
    RULES,
    SLOT,
    record,
    scribe,
    sealed,
    untried,
    wait,
)

HOUR = 3600.0
LONG_AGO = NOW - timedelta(days=30)
SENT = Outcome(Action.INITIALIZE, applied=True, verified=Verified.OK)
PROVED = Outcome(Action.VERIFY, verified=Verified.OK)
UNTOLD = Outcome(Action.VERIFY)
REMOVED = Outcome(Action.REMOVE)


def failed(
    verdict: Verdict, action: Action = Action.INITIALIZE, *, applied: bool = False
) -> Outcome:
    return Outcome(action, verdict, applied=applied)


def started(before: Record | None = None, fingerprint: str = OURS) -> Record:
    return scribe().started(before or untried(), sealed(), fingerprint, LEASE)


def lived(seconds: float, **values: object) -> Record:
    return replace(record(**values), live_since=NOW - timedelta(seconds=seconds))  # type: ignore[arg-type]


# -- planned -----------------------------------------------------------------------------------


def test_a_new_key_is_due_at_once_and_waits_since_now() -> None:
    pending = scribe().planned(SLOT, None, Initialize(KEY, Reason.NEW))

    assert (pending.phase, pending.reason, pending.cause) == (Phase.PENDING, Reason.NEW, Reason.NEW)
    assert (pending.due_at, pending.first_unready_at, pending.urgency) == (NOW, NOW, Urgency.NOW)


def changed(seconds: float) -> StoredKey:
    return replace(KEY, changed_at=NOW - timedelta(seconds=seconds))


@pytest.mark.parametrize("cause", [Reason.NEW, Reason.CHANGED])
def test_a_key_waits_since_its_row_changed_not_since_that_was_noticed(cause: Reason) -> None:
    pending = scribe().planned(SLOT, None, Initialize(changed(seconds=90), cause))
    assert pending.first_unready_at == NOW - timedelta(seconds=90)


@pytest.mark.parametrize("seconds", [-5, 86_400], ids=["a clock is wrong", "long ago"])
def test_a_row_whose_change_is_not_what_woke_its_key_is_no_beginning(seconds: float) -> None:
    pending = scribe().planned(SLOT, None, Initialize(changed(seconds), Reason.NEW))
    assert pending.first_unready_at == NOW


def test_a_key_that_its_bridge_lost_waits_since_that_was_seen() -> None:
    pending = scribe().planned(SLOT, record(), Initialize(changed(seconds=90), Reason.LOST))
    assert pending.first_unready_at == NOW


def test_a_change_waives_the_wait_and_forgives_the_failures() -> None:
    other = replace(KEY, digest="another")
    before = record(Phase.RETRYING, failures=7, first_unready_at=NOW - timedelta(hours=1))

    pending = scribe().planned(SLOT, before, Initialize(other, Reason.CHANGED))

    assert (pending.failures, pending.due_at, pending.digest) == (0, NOW, "another")
    assert pending.first_unready_at == before.first_unready_at


def test_a_wish_waives_the_wait_and_keeps_the_failures() -> None:
    before = record(Phase.RETRYING, failures=7)

    pending = scribe().planned(SLOT, before, Initialize(KEY, Reason.REINITIALIZE))

    assert (pending.failures, wait(pending)) == (7, 0)


@pytest.mark.parametrize("cause", [Reason.LOST, Reason.REPLACED])
def test_what_was_lost_after_a_long_life_is_initialized_at_once(cause: Reason) -> None:
    pending = scribe().planned(SLOT, lived(HOUR, failures=3), Initialize(KEY, cause))

    assert (pending.failures, wait(pending)) == (0, 0)


@pytest.mark.parametrize("cause", [Reason.LOST, Reason.REPLACED])
def test_a_flapping_connector_backs_off(cause: Reason) -> None:
    flapping, waits = lived(31), []
    for _ in range(11):
        pending = scribe().planned(SLOT, flapping, Initialize(KEY, cause))
        waits.append(wait(pending))
        live = scribe().attempted(started(pending), SENT)
        flapping = replace(live, live_since=NOW - timedelta(seconds=31))

    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_confirmed_is_live_and_is_verified_soon() -> None:
    unclear = record(Phase.RETRYING, fingerprint=OLD, adopted=True, intent_epoch=3, failures=2)

    live = scribe().planned(SLOT, unclear, Confirm(KEY))

    assert (live.phase, live.reason, live.fingerprint) == (Phase.LIVE, Reason.APPLIED, OURS)
    assert (live.adopted, live.intent_epoch, live.live_since) == (False, None, NOW)
    assert (live.urgency, wait(live)) == (Urgency.SOON, 0)


def test_adopted_is_live_and_is_verified_soon() -> None:
    live = scribe().planned(SLOT, None, Adopt(KEY))

    assert (live.phase, live.reason, live.adopted) == (Phase.LIVE, Reason.ADOPTED, True)
    assert (live.urgency, wait(live), live.fingerprint) == (Urgency.SOON, 0, None)


def test_parked_for_a_pause_is_not_due() -> None:
    parked = scribe().planned(SLOT, record(), Park(KEY, Reason.PAUSED))

    assert (parked.phase, parked.reason, parked.due_at) == (Phase.PARKED, Reason.PAUSED, None)


def test_a_removal_is_due_at_once_and_names_the_label_that_is_there() -> None:
    removing = scribe().planned(SLOT, record(fingerprint=OLD), Remove(OURS))

    assert (removing.phase, removing.fingerprint, wait(removing)) == (Phase.REMOVING, OURS, 0)
    assert scribe().planned(SLOT, record(), Remove()).fingerprint == OURS


def test_forgotten_is_removed() -> None:
    assert scribe().planned(SLOT, record(), Forget()).phase is Phase.REMOVED


# -- started -----------------------------------------------------------------------------------


def test_an_open_intent_is_due_when_the_longest_request_is_over() -> None:
    intent = started()

    assert (intent.phase, intent.intent_epoch, intent.intent_at) == (Phase.INITIALIZING, 3, NOW)
    assert wait(intent) == RULES.longest_request.total_seconds()


def test_other_credentials_have_proven_nothing_yet() -> None:
    before = record(Phase.PENDING, verified=Verified.OK, verified_at=NOW)

    assert started(before).verified is Verified.OK
    assert started(before, "fresh").verified is Verified.UNKNOWN
    assert started(before, "fresh").verified_at is None


def test_rights_are_those_last_told_of_these_credentials() -> None:
    rights, fewer = Rights(withdraw=True), Rights(withdraw=False)
    told = scribe().attempted(started(), replace(SENT, rights=rights))
    assert told.rights == rights
    assert scribe().attempted(told, PROVED).rights == rights
    assert scribe().attempted(told, replace(PROVED, rights=fewer)).rights == fewer
    pending = replace(told, phase=Phase.PENDING)
    assert started(pending).rights == rights
    assert started(pending, "fresh").rights is None


def test_a_row_written_anew_with_the_same_credentials_is_live_without_a_call() -> None:
    before = lived(9, reason=Reason.CHANGED)
    newer = replace(KEY, digest="another")

    live = scribe().acknowledged(replace(before, phase=Phase.PENDING), sealed(newer))

    assert (live.phase, live.digest, live.live_since) == (Phase.LIVE, "another", before.live_since)
    assert wait(live) == RULES.verify_every.total_seconds()


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.REMOVING, Phase.RETRYING])
def test_what_is_no_longer_as_written_waits_for_the_next_pass(phase: Phase) -> None:
    assert wait(scribe().postponed(record(phase))) == RULES.second_look.total_seconds()


def test_an_intent_that_nobody_is_at_is_no_longer_open_once_it_waits() -> None:
    after = scribe().postponed(started())

    assert (after.phase, after.reason, after.intent_epoch) == (
        Phase.RETRYING,
        Reason.UNCLEAR,
        None,
    )
    assert wait(after) == RULES.second_look.total_seconds()


@pytest.mark.parametrize("phase", [Phase.PARKED, Phase.CONFLICT, Phase.UNREMOVABLE])
def test_what_is_settled_and_cannot_be_tried_now_waits_for_its_next_recheck(phase: Phase) -> None:
    assert wait(scribe().postponed(record(phase, reason=Reason.UNSUPPORTED))) >= 300


# -- done --------------------------------------------------------------------------------------


def test_done_and_proven_is_live_until_the_next_verification() -> None:
    live = scribe(2).attempted(started(), SENT)

    assert (live.phase, live.reason, live.fingerprint) == (Phase.LIVE, Reason.APPLIED, OURS)
    assert (live.verified, live.live_since) == (Verified.OK, live.verified_at)
    assert (live.intent_epoch, live.intent_at, live.first_unready_at) == (None, None, None)
    assert (live.urgency, wait(live)) == (Urgency.PROOF, RULES.verify_every.total_seconds())


def test_done_but_unproven_is_live_and_asked_again_soon() -> None:
    outcome = Outcome(Action.INITIALIZE, applied=True, unproven=Unclear("read timeout"))

    live = scribe().attempted(started(), outcome)

    assert (live.phase, live.verified, live.message) == (
        Phase.LIVE,
        Verified.UNKNOWN,
        "read timeout",
    )
    assert (live.urgency, wait(live)) == (Urgency.SOON, 60)


def test_what_was_adopted_is_ours_once_applied() -> None:
    adopted = record(Phase.PENDING, adopted=True, sent=None, fingerprint=None)

    live = scribe().attempted(started(adopted), SENT)

    assert (live.adopted, live.reason, live.fingerprint) == (False, Reason.APPLIED, OURS)


def test_failures_are_forgotten_after_a_stable_life_and_not_before() -> None:
    live = scribe().attempted(started(record(Phase.RETRYING, failures=7)), SENT)
    assert live.failures == 7

    assert scribe(63).attempted(live, PROVED).failures == 7
    assert scribe(64).attempted(live, PROVED).failures == 0


def test_a_live_one_stays_live_since_it_was() -> None:
    before = lived(HOUR)

    assert scribe().attempted(before, PROVED).live_since == before.live_since
    assert scribe().attempted(before, UNTOLD).verified is Verified.UNKNOWN


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("applied", [False, True])
def test_a_new_key_that_is_refused_parks_at_once(applied: bool) -> None:  # noqa: FBT001
    parked = scribe().attempted(started(), failed(Refused("bad key"), applied=applied))

    assert (parked.phase, parked.reason, parked.message) == (
        Phase.PARKED,
        Reason.REFUSED,
        "bad key",
    )
    assert (parked.verified, wait(parked)) == (Verified.FAILED, 6 * HOUR)
    assert parked.urgency is Urgency.BULK


def test_changed_credentials_that_are_refused_park_at_once() -> None:
    before = record(Phase.PENDING, reason=Reason.CHANGED, fingerprint=OLD, sent=OLD)

    assert scribe().attempted(started(before), failed(Refused("no"))).phase is Phase.PARKED


def test_changed_credentials_that_cannot_be_proven_owe_nothing_to_the_life_of_those_before() -> (
    None
):
    lived = record(Phase.LIVE, live_since=LONG_AGO)
    changed = scribe().planned(SLOT, lived, Initialize(KEY, Reason.CHANGED, Urgency.NOW))
    tried = started(changed, "fresh")
    assert tried.live_since is None
    assert scribe().attempted(tried, failed(Refused("no"), applied=True)).phase is Phase.PARKED


def test_what_another_key_in_the_slot_was_proven_to_be_is_not_said_of_its_successor() -> None:
    proven = record(
        Phase.LIVE, verified=Verified.OK, verified_at=LONG_AGO, last_attempt_at=LONG_AGO
    )
    successor = replace(KEY, id=KeyId(UUID(int=99)))
    for key, verified in ((KEY, Verified.OK), (successor, Verified.UNKNOWN)):
        after = scribe().planned(SLOT, proven, Initialize(key, Reason.CHANGED, Urgency.NOW))
        assert after.verified is verified
        assert (after.verified_at, after.last_attempt_at) == (
            (LONG_AGO, LONG_AGO) if key is KEY else (None, None)
        )


def test_what_was_live_parks_after_a_second_refusal() -> None:
    first = scribe().attempted(started(record(Phase.PENDING)), failed(Refused("no")))
    assert (first.phase, first.failures, wait(first)) == (Phase.RETRYING, 1, 1)

    second = scribe().attempted(started(first), failed(Refused("no")))
    assert second.phase is Phase.PARKED


def test_a_live_one_parks_after_two_verifications_refused() -> None:
    first = scribe().attempted(lived(HOUR), failed(Refused("no"), Action.VERIFY))
    assert (first.phase, first.reason, first.verified, wait(first)) == (
        Phase.LIVE,
        Reason.APPLIED,
        Verified.FAILED,
        60,
    )

    second = scribe().attempted(first, failed(Refused("no"), Action.VERIFY))
    assert (second.phase, second.live_since) == (Phase.PARKED, None)


def test_a_verification_that_succeeds_takes_the_first_refusal_back() -> None:
    first = scribe().attempted(lived(HOUR), failed(Refused("no"), Action.VERIFY))
    well = scribe().attempted(first, PROVED)

    again = scribe().attempted(well, failed(Refused("no"), Action.VERIFY))

    assert again.phase is Phase.LIVE


def test_an_adopted_one_parks_after_a_second_refusal() -> None:
    adopted = record(adopted=True, sent=None, fingerprint=None)
    first = scribe().attempted(adopted, failed(Refused("no"), Action.VERIFY))

    second = scribe().attempted(first, failed(Refused("no"), Action.VERIFY))

    assert (first.phase, second.phase) == (Phase.LIVE, Phase.PARKED)


def test_where_nothing_can_be_proven_a_later_success_takes_a_refusal_back_too() -> None:
    blind = Outcome(Action.INITIALIZE, applied=True)
    doubted = scribe().attempted(started(record(Phase.PENDING)), failed(Refused("no")))

    assert scribe().attempted(started(doubted), blind).verified is Verified.UNKNOWN


# -- parked ------------------------------------------------------------------------------------


def test_a_recheck_that_succeeds_makes_it_live() -> None:
    parked = record(Phase.PARKED, reason=Reason.REFUSED, verified=Verified.FAILED)

    live = scribe().attempted(parked, PROVED)

    assert (live.phase, live.verified, live.live_since) == (Phase.LIVE, Verified.OK, NOW)


@pytest.mark.parametrize("verdict", [Unclear("?"), Unavailable("?"), ExchangeAway("?")])
def test_a_recheck_that_tells_nothing_leaves_it_parked_and_is_made_again(verdict: Verdict) -> None:
    parked = record(Phase.PARKED, reason=Reason.REFUSED, message="bad key")

    after = scribe().attempted(parked, failed(verdict, Action.VERIFY))

    assert (after.phase, after.reason, after.message) == (Phase.PARKED, Reason.REFUSED, "bad key")
    assert wait(after) == 60


@pytest.mark.parametrize(
    "outcome", [UNTOLD, failed(NotThere("gone"), Action.VERIFY)], ids=["cannot tell", "not there"]
)
def test_a_recheck_of_what_is_not_there_or_cannot_be_proven_adds_it_again(outcome: Outcome) -> None:
    parked = record(Phase.PARKED, reason=Reason.REFUSED, verified=Verified.FAILED)

    after = scribe().attempted(parked, outcome)

    assert (after.phase, after.verified) == (Phase.PENDING, Verified.FAILED)
    assert scribe().attempted(started(after), failed(Refused("no"))).phase is Phase.PARKED


@pytest.mark.parametrize("verdict", [Unsupported("no such"), Undecryptable("no key")])
def test_what_cannot_be_done_for_any_credentials_parks_for_a_day(verdict: Verdict) -> None:
    parked = scribe().attempted(untried(), failed(verdict))

    assert (parked.phase, wait(parked)) == (Phase.PARKED, 24 * HOUR)
    assert parked.reason is REASONS[type(verdict)]


# -- retried -----------------------------------------------------------------------------------


def test_unclear_and_away_exchanges_count_for_the_key() -> None:
    for verdict in (Unclear("?"), ExchangeAway("?"), Throttled("slow down")):
        record_, waits = started(), []
        for _ in range(4):
            record_ = scribe().attempted(record_, failed(verdict))
            assert (record_.phase, record_.reason) == (Phase.RETRYING, REASONS[type(verdict)])
            waits.append(wait(record_))
            record_ = started(record_)
        assert waits == [1, 2, 4, 8]


def test_an_unavailable_bridge_does_not_count_for_the_key() -> None:
    after = scribe().attempted(started(untried(failures=2)), failed(Unavailable("down")))

    assert (after.phase, after.failures) == (Phase.RETRYING, 2)
    assert after.reason is Reason.BRIDGE_UNAVAILABLE


def test_the_longer_a_bridge_is_unavailable_the_longer_its_keys_wait() -> None:
    seconds, waits = 0.0, []
    pending = scribe().planned(SLOT, None, Initialize(KEY, Reason.NEW))
    for _ in range(12):
        before = scribe(seconds).started(pending, sealed(), OURS, LEASE)
        pending = scribe(seconds).attempted(before, failed(Unavailable("down")))
        waits.append(wait(pending))
        seconds += waits[-1]

    assert waits == [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_throttled_waits_at_least_what_was_asked() -> None:
    asked = Throttled("slow down", retry_after=timedelta(minutes=9))

    assert wait(scribe(draw=0).attempted(started(), failed(asked))) == 540
    assert wait(scribe(draw=0).attempted(record(), failed(asked, Action.VERIFY))) == 540
    unproven = Outcome(Action.INITIALIZE, applied=True, unproven=asked)
    assert wait(scribe(draw=0).attempted(started(), unproven)) == 540
    parked = record(Phase.PARKED, reason=Reason.REFUSED)
    assert wait(scribe().attempted(parked, failed(asked, Action.VERIFY))) == 540
    removing = record(Phase.REMOVING)
    assert wait(scribe().attempted(removing, failed(asked, Action.REMOVE))) == 540


def test_a_retry_is_less_urgent_than_a_new_key() -> None:
    assert scribe().attempted(started(), failed(Unclear("?"))).urgency is Urgency.SOON


@pytest.mark.parametrize(
    "verdict", [Unclear("?"), Unavailable("?"), ExchangeAway("?"), NotThere("?"), Unsupported("?")]
)
def test_a_live_one_stays_live_when_its_verification_tells_nothing(verdict: Verdict) -> None:
    after = scribe().attempted(lived(HOUR), failed(verdict, Action.VERIFY))

    assert (after.phase, after.reason, wait(after)) == (Phase.LIVE, Reason.APPLIED, 60)


# -- removed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [REMOVED, failed(NotThere("gone"), Action.REMOVE)])
@pytest.mark.parametrize("phase", [Phase.REMOVING, Phase.UNREMOVABLE])
def test_what_is_gone_is_removed(outcome: Outcome, phase: Phase) -> None:
    assert scribe().attempted(record(phase), outcome).phase is Phase.REMOVED


def test_what_the_bridge_cannot_remove_is_said_so_and_tried_again_daily() -> None:
    for phase in (Phase.REMOVING, Phase.UNREMOVABLE):
        after = scribe().attempted(record(phase), failed(Unsupported("no"), Action.REMOVE))

        assert (after.phase, after.reason) == (Phase.UNREMOVABLE, Reason.REMOVAL_UNSUPPORTED)
        assert (after.urgency, wait(after)) == (Urgency.BULK, 24 * HOUR)


def test_a_removal_that_fails_backs_off() -> None:
    for verdict in (Unavailable("down"), Unclear("?"), Refused("no"), ExchangeAway("?")):
        after, waits = record(Phase.REMOVING), []
        for _ in range(4):
            after = scribe().attempted(after, failed(verdict, Action.REMOVE))
            waits.append(wait(after))

        assert (after.phase, after.sent, after.fingerprint) == (Phase.REMOVING, OURS, OURS)
        assert waits == [1, 2, 4, 8]


def test_a_new_key_that_was_only_seen_on_the_bridge_parks_at_its_first_refusal() -> None:
    sent = record(Phase.INITIALIZING, fingerprint=None)
    confirmed = scribe().planned(SLOT, sent, Confirm(KEY))
    assert confirmed.phase is Phase.LIVE
    refused = scribe(1).attempted(confirmed, failed(Refused("no"), Action.VERIFY))
    assert (refused.phase, refused.verified) == (Phase.PARKED, Verified.FAILED)
