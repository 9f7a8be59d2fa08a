"""A connector's life as one table: phase and event -> phase. The docs' picture is drawn from it."""

from collections.abc import Mapping
from enum import StrEnum

from reconciler.model import Phase


class Event(StrEnum):
    """What can happen to a record: a step is planned, an attempt starts or ends."""

    INITIALIZE = "initialize"
    CONFIRM = "confirm"
    ADOPT = "adopt"
    PARK = "park"
    REMOVE = "remove"
    FORGET = "forget"
    START = "start"
    DONE = "done"
    WAIT = "wait"
    """It ended unavailable, throttled or unclear: neither yes nor no."""
    DOUBT = "doubt"
    """Credentials that worked before were refused for the first time."""
    REFUSE = "refuse"
    UNSUPPORTED = "unsupported"
    TAKEN = "taken"
    NOT_THERE = "not_there"


_PLANNED = {
    Event.INITIALIZE: Phase.PENDING,
    Event.PARK: Phase.PARKED,
    Event.REMOVE: Phase.REMOVING,
    Event.FORGET: Phase.REMOVED,
}
_WAITING = {
    Event.START: Phase.INITIALIZING,
    Event.WAIT: Phase.RETRYING,
    Event.UNSUPPORTED: Phase.PARKED,
    Event.TAKEN: Phase.CONFLICT,
}
_REMOVAL = {
    Event.DONE: Phase.REMOVED,
    Event.NOT_THERE: Phase.REMOVED,
    Event.WAIT: Phase.REMOVING,
    Event.REFUSE: Phase.REMOVING,
    Event.DOUBT: Phase.REMOVING,
    Event.UNSUPPORTED: Phase.UNREMOVABLE,
}

TRANSITIONS: Mapping[Phase, Mapping[Event, Phase]] = {
    Phase.PENDING: _PLANNED | _WAITING | {Event.CONFIRM: Phase.LIVE, Event.ADOPT: Phase.LIVE},
    Phase.RETRYING: _PLANNED | _WAITING | {Event.CONFIRM: Phase.LIVE},
    Phase.INITIALIZING: _PLANNED
    | _WAITING
    | {
        Event.CONFIRM: Phase.LIVE,
        Event.DONE: Phase.LIVE,
        Event.DOUBT: Phase.RETRYING,
        Event.REFUSE: Phase.PARKED,
        Event.NOT_THERE: Phase.RETRYING,
    },
    Phase.LIVE: _PLANNED
    | {
        Event.DONE: Phase.LIVE,
        Event.WAIT: Phase.LIVE,
        Event.DOUBT: Phase.LIVE,
        Event.UNSUPPORTED: Phase.LIVE,
        Event.NOT_THERE: Phase.LIVE,
        Event.REFUSE: Phase.PARKED,
    },
    Phase.PARKED: _PLANNED
    | {
        Event.START: Phase.INITIALIZING,
        Event.DONE: Phase.LIVE,
        Event.WAIT: Phase.PARKED,
        Event.DOUBT: Phase.PARKED,
        Event.REFUSE: Phase.PARKED,
        Event.UNSUPPORTED: Phase.PARKED,
        Event.TAKEN: Phase.CONFLICT,
        Event.NOT_THERE: Phase.PENDING,
    },
    Phase.CONFLICT: _PLANNED | _WAITING,
    Phase.REMOVING: _PLANNED | _REMOVAL,
    Phase.UNREMOVABLE: _PLANNED | _REMOVAL | {Event.WAIT: Phase.UNREMOVABLE},
    Phase.REMOVED: {},
}


def follow(phase: Phase, event: Event) -> Phase:
    """Return the phase after *event*. Raises ValueError for what must never happen."""
    try:
        return TRANSITIONS[phase][event]
    except KeyError:
        raise ValueError(f"no transition from {phase} by {event}") from None
