from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from reconciler.decide import decide, owns
from reconciler.model import (
    Absence,
    Connector,
    KeyId,
    Phase,
    Reason,
    Record,
    Sight,
    StoredKey,
    Urgency,
)
from reconciler.steps import Adopt, Confirm, Forget, Initialize, Park, Remove, Step
from tests.reconciler.examples import FOREIGN, KEY, LATER, NOW, OLD, OURS, SLOT, record, untried

UNKNOWN, DOUBTED, BELIEVED = Absence.UNKNOWN, Absence.DOUBTED, Absence.BELIEVED
LISTED, BLANK, BARE = Connector(SLOT, OURS), Connector(SLOT, ""), Connector(SLOT)
ELSEWISE = Connector(SLOT, FOREIGN)
HELD, WISHED = replace(KEY, held=True), replace(KEY, wished=True)
CHANGED = replace(KEY, digest="another")
UNDER_WAY = (Phase.PENDING, Phase.RETRYING, Phase.INITIALIZING)
AT_REST = (Phase.PARKED, Phase.CONFLICT)
GOING = (Phase.REMOVING, Phase.UNREMOVABLE)


def step(want: StoredKey | None, before: Record | None, seen: Sight) -> Step | None:
    """Decide at a time when everything that waits is due."""
    return decide(want, before, seen, LATER)


# -- new ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED, BELIEVED])
def test_a_new_key_is_initialized_whether_or_not_the_bridge_answers(seen: Sight) -> None:
    assert step(KEY, None, seen) == Initialize(KEY, Reason.NEW)


@pytest.mark.parametrize("seen", [BARE, BLANK])
def test_a_connector_that_was_there_before_its_key_is_adopted(seen: Sight) -> None:
    assert step(KEY, None, seen) == Adopt(KEY)
    assert step(KEY, untried(), seen) == Adopt(KEY)


def test_a_labelled_connector_is_not_adopted_but_applied_again() -> None:
    assert step(KEY, None, LISTED) == Initialize(KEY, Reason.NEW)


def test_a_connector_is_not_adopted_once_something_was_sent() -> None:
    assert step(KEY, record(Phase.RETRYING, fingerprint=None), BARE) is None


@pytest.mark.parametrize("seen", [UNKNOWN, BELIEVED, BARE, LISTED])
def test_a_paused_clients_new_key_is_parked(seen: Sight) -> None:
    assert step(HELD, None, seen) == Park(HELD, Reason.PAUSED)


def test_a_slot_that_nobody_wants_and_we_never_wrote_down_is_not_touched() -> None:
    assert step(None, None, ELSEWISE) is None


# -- changed and wished ------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.REMOVED])
@pytest.mark.parametrize("seen", [UNKNOWN, BELIEVED, BARE])
def test_a_changed_key_is_initialized_from_every_phase(phase: Phase, seen: Sight) -> None:
    assert step(CHANGED, record(phase), seen) == Initialize(CHANGED, Reason.CHANGED)


def test_a_newer_key_in_the_slot_is_a_change() -> None:
    newer = replace(KEY, id=KeyId(UUID(int=9)))

    assert step(newer, record(), LISTED) == Initialize(newer, Reason.CHANGED)


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.REMOVED])
def test_a_wish_is_granted_in_every_phase(phase: Phase) -> None:
    assert step(WISHED, record(phase), LISTED) == Initialize(WISHED, Reason.REINITIALIZE)


def test_a_paused_clients_wish_waits() -> None:
    held = replace(WISHED, held=True)

    assert step(held, record(), LISTED) is None
    assert step(held, None, UNKNOWN) == Park(held, Reason.PAUSED)


# -- lost, replaced, live ----------------------------------------------------------------------


def test_live_and_listed_needs_nothing() -> None:
    assert step(KEY, record(), LISTED) is None
    assert step(KEY, record(), BARE) is None


@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED])
def test_a_loss_is_not_believed_at_once(seen: Sight) -> None:
    assert step(KEY, record(), seen) is None


def test_a_believed_loss_is_initialized_when_there_is_room() -> None:
    assert step(KEY, record(), BELIEVED) == Initialize(KEY, Reason.LOST, Urgency.BULK)


def test_another_label_in_the_slot_is_replaced() -> None:
    expected = Initialize(KEY, Reason.REPLACED, Urgency.SOON)

    assert step(KEY, record(), ELSEWISE) == expected
    assert step(KEY, record(), BLANK) == expected


def test_an_adopted_connectors_label_says_nothing() -> None:
    adopted = record(adopted=True, fingerprint=None, sent=None)

    assert step(KEY, adopted, BLANK) is None


@pytest.mark.parametrize("phase", AT_REST)
@pytest.mark.parametrize("seen", [UNKNOWN, BELIEVED, LISTED, ELSEWISE])
def test_what_is_parked_or_in_conflict_stays_so(phase: Phase, seen: Sight) -> None:
    assert step(KEY, record(phase, reason=Reason.REFUSED), seen) is None


# -- paused clients ----------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED, LISTED, ELSEWISE])
def test_a_paused_clients_connector_stays_as_it_is(seen: Sight) -> None:
    assert step(HELD, record(), seen) is None
    assert step(replace(CHANGED, held=True), record(), seen) is None


def test_a_paused_clients_lost_connector_is_not_started_again() -> None:
    assert step(HELD, record(), BELIEVED) == Park(HELD, Reason.PAUSED)


@pytest.mark.parametrize("phase", [*UNDER_WAY, *GOING])
def test_what_is_under_way_for_a_paused_client_is_parked(phase: Phase) -> None:
    assert step(HELD, record(phase), UNKNOWN) == Park(HELD, Reason.PAUSED)


def test_a_client_that_is_paused_no_more_is_started() -> None:
    parked = record(Phase.PARKED, reason=Reason.PAUSED)

    assert step(KEY, parked, UNKNOWN) == Initialize(KEY, Reason.RESUMED)
    assert step(HELD, parked, UNKNOWN) is None


# -- orphans -----------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.LIVE, *UNDER_WAY, *AT_REST])
def test_a_connector_of_ours_that_no_key_wants_is_removed(phase: Phase) -> None:
    assert step(None, record(phase), LISTED) == Remove(OURS)
    assert step(None, record(phase), BARE) == Remove()


@pytest.mark.parametrize("phase", [p for p in Phase if p is not Phase.REMOVED])
@pytest.mark.parametrize("seen", [ELSEWISE, BLANK])
def test_another_ones_connector_is_never_removed(phase: Phase, seen: Sight) -> None:
    assert step(None, record(phase), seen) == Forget()


def test_an_adopted_connector_is_never_removed() -> None:
    assert step(None, record(adopted=True, sent=None, fingerprint=None), BARE) == Forget()
    assert step(None, record(adopted=True), BARE) == Forget()


def test_what_an_unclear_attempt_left_behind_is_removed_by_its_own_label() -> None:
    before = record(Phase.RETRYING, fingerprint=OLD, sent=OURS)

    assert step(None, before, Connector(SLOT, OLD)) == Remove(OLD)
    assert step(None, before, LISTED) == Remove(OURS)
    removing = record(Phase.REMOVING, fingerprint=OLD, sent=OURS)
    assert step(None, removing, LISTED) == Remove(OURS)


@pytest.mark.parametrize("phase", GOING)
def test_a_removal_is_planned_once(phase: Phase) -> None:
    assert step(None, record(phase), LISTED) is None
    assert step(None, record(phase), BARE) is None


@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED])
@pytest.mark.parametrize("phase", [Phase.LIVE, Phase.RETRYING, *GOING])
def test_nothing_is_removed_or_forgotten_on_doubt(phase: Phase, seen: Sight) -> None:
    assert step(None, record(phase), seen) is None


@pytest.mark.parametrize("phase", [Phase.LIVE, Phase.RETRYING, *AT_REST])
def test_of_an_orphan_that_is_not_listed_the_bridge_is_asked_whether_it_is_gone(
    phase: Phase,
) -> None:
    assert step(None, record(phase), BELIEVED) == Remove()
    assert step(None, record(Phase.REMOVING), BELIEVED) is None


def test_an_orphan_that_the_bridge_cannot_remove_is_forgotten_once_it_is_not_listed() -> None:
    assert step(None, record(Phase.UNREMOVABLE), BELIEVED) == Forget()


def test_a_key_that_went_before_anything_was_sent_is_forgotten_at_once() -> None:
    assert step(None, untried(), UNKNOWN) == Forget()


@pytest.mark.parametrize("phase", GOING)
def test_a_key_that_comes_back_while_its_connector_goes_is_initialized(phase: Phase) -> None:
    assert step(KEY, record(phase), LISTED) == Initialize(KEY, Reason.NEW)


def test_only_our_labels_are_ours() -> None:
    assert owns(record(), LISTED)
    assert owns(record(), BARE)
    assert not owns(record(), ELSEWISE)
    assert not owns(record(fingerprint=None, sent=None), BLANK)
    assert not owns(record(fingerprint=None, sent=None), BARE)
    assert not owns(record(fingerprint="", sent=None), BLANK)


# -- attempts under way ------------------------------------------------------------------------


@pytest.mark.parametrize("want", [None, KEY, CHANGED, WISHED, HELD])
@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED, BELIEVED, BARE, ELSEWISE])
def test_what_somebody_may_be_at_is_left_alone(want: StoredKey | None, seen: Sight) -> None:
    assert decide(want, record(Phase.INITIALIZING), seen, NOW) is None


def test_what_nobody_can_be_at_any_more_is_looked_at_again() -> None:
    before = record(Phase.INITIALIZING)

    assert step(KEY, before, UNKNOWN) is None
    assert step(CHANGED, before, UNKNOWN) == Initialize(CHANGED, Reason.CHANGED)
    assert step(None, before, LISTED) == Remove(OURS)
    assert step(None, before, BELIEVED) == Remove()


@pytest.mark.parametrize("phase", [Phase.INITIALIZING, Phase.RETRYING])
def test_an_unclear_attempt_is_settled_by_the_label_it_left(phase: Phase) -> None:
    assert decide(KEY, record(phase, fingerprint=OLD), LISTED, NOW) == Confirm(KEY)


@pytest.mark.parametrize("seen", [BARE, BLANK, ELSEWISE, Connector(SLOT, OLD)])
def test_no_other_label_settles_it(seen: Sight) -> None:
    assert step(KEY, record(Phase.RETRYING, fingerprint=OLD), seen) is None


def test_a_lost_connector_that_turns_up_again_is_confirmed() -> None:
    assert step(KEY, record(Phase.PENDING, reason=Reason.LOST), LISTED) == Confirm(KEY)


def test_the_label_of_before_settles_no_change_that_nobody_tried_yet() -> None:
    planned = record(Phase.PENDING, reason=Reason.CHANGED, cause=Reason.CHANGED)

    assert step(KEY, planned, LISTED) is None


@pytest.mark.parametrize("phase", [*UNDER_WAY])
def test_the_label_of_before_grants_no_wish(phase: Phase) -> None:
    asked = record(phase, reason=Reason.REINITIALIZE, cause=Reason.REINITIALIZE)

    assert step(KEY, asked, LISTED) is None
    assert step(WISHED, record(phase), LISTED) == Initialize(WISHED, Reason.REINITIALIZE)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RETRYING])
@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED, BELIEVED, BARE, ELSEWISE])
def test_what_waits_for_its_time_is_not_planned_again(phase: Phase, seen: Sight) -> None:
    assert step(KEY, record(phase), seen) is None


def test_a_request_that_was_given_up_is_not_forgotten_while_it_may_land() -> None:
    given_up = record(Phase.RETRYING, reason=Reason.UNCLEAR, last_attempt_at=NOW)
    assert decide(None, given_up, Absence.BELIEVED, NOW + timedelta(seconds=79)) is None
    assert decide(None, given_up, ELSEWISE, NOW + timedelta(seconds=79)) is None
    assert decide(None, given_up, ELSEWISE, NOW + timedelta(seconds=80)) == Forget()
    assert decide(None, given_up, Absence.BELIEVED, NOW + timedelta(seconds=80)) == Remove()


# -- paused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.LIVE, *UNDER_WAY, *AT_REST, *GOING])
@pytest.mark.parametrize("seen", [UNKNOWN, DOUBTED, BELIEVED, LISTED, BARE, ELSEWISE])
def test_of_a_paused_orphan_nothing_is_removed_and_nothing_forgotten(
    phase: Phase, seen: Sight
) -> None:
    assert decide(None, record(phase), seen, LATER, held=True) is None
