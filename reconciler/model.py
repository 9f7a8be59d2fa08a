"""What should be, what we wrote down and what a bridge shows, as frozen values."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntEnum, StrEnum
from typing import NewType, NoReturn
from uuid import UUID

BridgeName = NewType("BridgeName", str)
ClientId = NewType("ClientId", UUID)
KeyId = NewType("KeyId", UUID)
Instant = datetime
"""A moment of the wall clock; always aware."""


class Secret:
    """Text that shows itself to nobody who does not ask: no repr, format or pickle holds it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled")


class Phase(StrEnum):
    """Where a connector stands."""

    PENDING = "pending"
    INITIALIZING = "initializing"
    LIVE = "live"
    RETRYING = "retrying"
    PARKED = "parked"
    CONFLICT = "conflict"
    REMOVING = "removing"
    UNREMOVABLE = "unremovable"
    REMOVED = "removed"


SETTLED = frozenset({Phase.LIVE, Phase.PARKED, Phase.CONFLICT, Phase.UNREMOVABLE, Phase.REMOVED})


class Reason(StrEnum):
    """Why a connector stands where it stands."""

    NEW = "new"
    CHANGED = "changed"
    LOST = "lost"
    REPLACED = "replaced"
    REINITIALIZE = "reinitialize"
    RESUMED = "resumed"
    APPLIED = "applied"
    ADOPTED = "adopted"
    REFUSED = "refused"
    UNSUPPORTED = "unsupported"
    UNDECRYPTABLE = "undecryptable"
    BRIDGE_UNAVAILABLE = "bridge_unavailable"
    EXCHANGE_AWAY = "exchange_away"
    THROTTLED = "throttled"
    UNCLEAR = "unclear"
    SLOT_TAKEN = "slot_taken"
    ACCOUNT_TAKEN = "account_taken"
    CREDENTIALS_TAKEN = "credentials_taken"
    PAUSED = "paused"
    ORPHAN = "orphan"
    MASS_REFUSAL = "mass_refusal"
    REMOVAL_UNSUPPORTED = "removal_unsupported"


class Verified(StrEnum):
    """What an authenticated call said of a connector, apart from its phase."""

    UNKNOWN = "unknown"
    OK = "ok"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do; None is what its exchange does not tell."""

    read: bool | None = None
    trade: bool | None = None
    withdraw: bool | None = None
    ip_restricted: bool | None = None
    expires_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What a verification found. *rights* is None where the bridge told none."""

    verified: Verified
    rights: Rights | None = None


class Urgency(IntEnum):
    """The classes of work; lower is sooner."""

    NOW = 0
    """A person's wish, a new or changed key."""
    SOON = 1
    """Retries."""
    BULK = 2
    """Lost after a restart, rechecks."""
    PROOF = 3
    """Verification of what is live."""


Lane = tuple[str, Urgency]
"""What is due of one exchange in one class."""


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The place on a bridge that exactly one key may fill. Connector names are canonical."""

    bridge: BridgeName
    account: str
    connector: str

    def __str__(self) -> str:
        return f"{self.bridge}/{self.account}/{self.connector}"


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key that should be live in *slot*: the newest active one of the account's owner.

    *digest* tells whether the row changed. *held*: it or its client is paused, so nothing is
    started.
    *wished*: a person asked for it to be initialized again. *changed_at*: when its row last
    changed, by the store's clock.
    """

    id: KeyId
    client_id: ClientId
    slot: Slot
    exchange: str
    digest: str
    held: bool = False
    wished: bool = False
    changed_at: Instant | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A stored key with its ciphertexts, as the row is now."""

    key: StoredKey
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an exchange wants to see, in plaintext that does not print."""

    api_key: Secret
    api_secret: Secret
    passphrase: Secret | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What we wrote down about a slot. It outlives its key until the connector is gone.

    *reason* is why it stands in its phase, *cause* why it was to be initialized last.
    *digest* is that of the key row which *phase* speaks of. *sent* is the fingerprint last sent,
    *fingerprint* the one last applied. *adopted*: live, though we never applied it. An open
    intent is the epoch that started an attempt and has not written its outcome. *verified_at* is
    when an authenticated call last succeeded; *rights* are those last told of these credentials.
    """

    slot: Slot
    key_id: KeyId
    client_id: ClientId
    exchange: str
    digest: str
    phase: Phase
    reason: Reason
    cause: Reason = Reason.NEW
    message: str = ""
    urgency: Urgency = Urgency.NOW
    failures: int = 0
    due_at: Instant | None = None
    due_set_at: Instant | None = None
    fingerprint: str | None = None
    sent: str | None = None
    adopted: bool = False
    intent_epoch: int | None = None
    intent_at: Instant | None = None
    first_unready_at: Instant | None = None
    last_attempt_at: Instant | None = None
    live_since: Instant | None = None
    verified: Verified = Verified.UNKNOWN
    verified_at: Instant | None = None
    rights: Rights | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """An exchange connection that a bridge lists.

    *fingerprint* is the label it was added with; "" if it was added without one, None if this
    bridge keeps no labels.
    """

    slot: Slot
    fingerprint: str | None = None


class Absence(Enum):
    """Why a slot shows no connector."""

    UNKNOWN = "no listing speaks of it"
    DOUBTED = "one listing lacks it"
    BELIEVED = "a new boot id, or two listings in a row, lack it"


Sight = Connector | Absence


@dataclass(frozen=True, slots=True)
class Observation:
    """One whole listing of a bridge. It speaks only of the time before it was asked for."""

    connectors: Sequence[Connector]
    boot_id: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One slot that may need something: what should be, what we wrote, what is listed.

    *held*: what is recorded is paused, though its key may be gone. *sealed* is *want* with its
    ciphertexts, where they were read together.
    """

    slot: Slot
    want: StoredKey | None
    record: Record | None
    seen: Connector | None
    held: bool = False
    sealed: SealedKey | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """The cases of one pass; *unmanaged* counts listed connectors that are none of ours."""

    cases: Sequence[Case]
    unmanaged: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to act on a bridge. *epoch* counts its holders."""

    bridge: BridgeName
    holder: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a step, for the history. *seconds* is its duration.

    *id* is in the log lines of the attempt too; it is unique on its bridge.
    """

    slot: Slot
    key_id: KeyId
    exchange: str
    action: str
    cause: Reason
    verdict: str
    message: str
    at: Instant
    seconds: float
    id: str


@dataclass(frozen=True, slots=True)
class Transition:
    """That a slot came to stand otherwise, for the history.

    *was* is the phase and reason in which it stood, None if nothing was written down of it. The
    rest is of the record that moved it, whose key may be another; *at* is the store's time.
    """

    slot: Slot
    key_id: KeyId
    client_id: ClientId
    was: tuple[Phase, Reason] | None
    phase: Phase
    reason: Reason
    cause: Reason
    message: str
    at: Instant
