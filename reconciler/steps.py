"""What a slot may need: intended changes that planning writes down and work carries out."""

from dataclasses import dataclass

from reconciler.model import Reason, StoredKey, Urgency


@dataclass(frozen=True, slots=True)
class Initialize:
    """Send the key's credentials to the bridge."""

    key: StoredKey
    cause: Reason
    urgency: Urgency = Urgency.NOW


@dataclass(frozen=True, slots=True)
class Confirm:
    """The listing shows what we last sent: it is live, no call is needed."""

    key: StoredKey


@dataclass(frozen=True, slots=True)
class Adopt:
    """A connector is there that we never applied: take it as it is and have it verified."""

    key: StoredKey


@dataclass(frozen=True, slots=True)
class Park:
    """Leave it alone until something changes."""

    key: StoredKey
    cause: Reason


@dataclass(frozen=True, slots=True)
class Remove:
    """Take a connector of ours off the bridge: no key wants it any more.

    *fingerprint* is the label it is listed with, if any.
    """

    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing of ours is left in the slot: drop the record."""


Step = Initialize | Confirm | Adopt | Park | Remove | Forget
