"""What the API takes and answers. Secrets are wrapped when they arrive, and never answered."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from daemon.entry import KeyEntry, key_entry
from daemon.rights import Warned
from reconciler.model import Rights

_LONGEST = 65_536
_EMPTY = SecretStr("")
Plain = Annotated[str, Field(max_length=1_000)]
Sealed = Annotated[SecretStr, Field(max_length=_LONGEST)]
Wait = Annotated[float, Field(ge=0, le=30)]


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewKey(Asked):
    """A key as an exchange issues it; `GET /api/admin/exchanges` tells what goes into which field.

    One that the exchange does not have is left out.
    """

    exchange: Plain
    api_key: Sealed = _EMPTY
    api_secret: Sealed = _EMPTY
    passphrase: Sealed | None = None
    label: Plain | None = None
    is_testnet: bool = False

    def entry(self) -> KeyEntry:
        """Raises BadEntry."""
        passphrase = self.passphrase.get_secret_value() if self.passphrase else None
        return key_entry(
            self.exchange,
            self.api_key.get_secret_value(),
            self.api_secret.get_secret_value(),
            passphrase,
            self.label,
            is_testnet=self.is_testnet,
        )


class NewKeyOf(NewKey):
    client_id: UUID


class KeyChange(Asked):
    """What is to be otherwise; what is left out stays. New credentials come all together."""

    api_key: Sealed | None = None
    api_secret: Sealed | None = None
    passphrase: Sealed | None = None
    label: Plain | None = None
    is_active: bool | None = None

    def secrets(self) -> dict[str, str | None]:
        """Return what was sent of the credentials; None is what was not."""
        sent = {name: getattr(self, name) for name in ("api_key", "api_secret", "passphrase")}
        return {
            name: each if each is None else each.get_secret_value() for name, each in sent.items()
        }


class NewClient(Asked):
    name: Plain
    account: Plain | None = None


class ClientChange(Asked):
    name: Plain | None = None
    account: Plain | None = None
    status: Literal["ACTIVE", "PAUSED", "SUSPENDED"] | None = None


class Standing(BaseModel):
    """One key and where it stands: `why` in words, `todo` what helps, `due_at` the next try.

    `rights` are what its exchange told when it was last proven, null if it told none. While
    `bridge_up` is false, the phase is that in which it was last seen.
    """

    id: UUID
    client_id: UUID
    client: str
    exchange: str
    label: str | None
    is_testnet: bool
    is_active: bool
    bridge: str
    bridge_up: bool
    account: str
    connector: str
    phase: str
    reason: str
    why: str
    todo: str
    failures: int
    due_at: datetime | None
    last_attempt_at: datetime | None
    live_since: datetime | None
    verified: str
    verified_at: datetime | None
    rights: Rights | None
    warnings: list[Warned]


class KeyState(Standing):
    """The same with the ends of the API key; null is one that this daemon cannot decrypt."""

    api_key: str | None


class Checked(BaseModel):
    """`verified`: "ok" if the exchange took the credentials, "unknown" if nobody can tell."""

    verified: Literal["ok", "unknown"]
    words: str
    bridge: str
    connector: str
    rights: Rights | None
    warnings: list[Warned]


class NewCheck(NewKey):
    """Credentials to try; `client_id` says whose way out is taken."""

    client_id: UUID | None = None


class AddedKey(BaseModel):
    """`trading_bridge_configured`: its connector is live. Where it is not, why not, yet.

    `verified` is null where that was not asked for; `warnings` are of the exchange, about the key.
    `key` is null if the database went out of reach as soon as it was stored.
    """

    message: str
    id: UUID
    trading_bridge_configured: bool
    trading_bridge_warning: str | None = None
    verified: Literal["ok", "unknown"] | None = None
    verified_words: str | None = None
    rights: Rights | None = None
    warnings: list[Warned] = []
    key: KeyState | None


class ChangedKey(KeyState):
    """The key as it is now, and what of it is otherwise: `credentials`, `label`, `is_active`.

    `check` is what came of new credentials that were to be verified before.
    """

    message: str
    changed: list[str]
    check: Checked | None = None


class ClientState(BaseModel):
    id: UUID
    name: str
    status: str
    account: str
    keys: int


class ChangedClient(ClientState):
    """`warning`: its account is another client's, too, so that only one of them can be served."""

    warning: str | None


class Keys(BaseModel):
    keys: list[KeyState]


class Clients(BaseModel):
    clients: list[ClientState]


class Reinitialized(BaseModel):
    """How many active keys are initialized again."""

    message: str
    keys: int
    states: list[KeyState] = []


class Done(BaseModel):
    message: str


class DeedState(BaseModel):
    id: int
    at: datetime
    actor: str
    role: str
    action: str
    client_id: UUID | None
    key_id: UUID | None
    detail: dict[str, Any]


class Deeds(BaseModel):
    """The newest first; `next` is the `before` of the next page, null at the end."""

    audit: list[DeedState]
    next: int | None
