"""What the bridge answers, for its OpenAPI description; `views` and `routes` make the real ones."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bridge.errors import Code

Name = Annotated[str, Field(examples=["client_acme"])]
Exchange = Annotated[str, Field(examples=["binance"])]
Boot = Annotated[str, Field(description="Another after each start: then everything is forgotten.")]


class Problem(BaseModel):
    """An error as RFC 9457 has it; nothing in it repeats what was sent."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Field(description="For people; holds no secret.")]
    code: Annotated[Code | Literal["unauthorized"], Field(description="For programs; stable.")]
    retry_after: Annotated[int, Field(description="Seconds, when somebody said so.")] = 0


class Alive(BaseModel):
    status: str
    boot_id: Boot


class Account(BaseModel):
    name: Name
    connectors: list[Exchange]
    created_at: Annotated[str, Field(description="UTC, without a zone.")]


class Accounts(BaseModel):
    accounts: list[Account]
    boot_id: Boot
    next_cursor: str | None = None


class Created(BaseModel):
    success: Literal[True]
    account_name: Name
    message: str


class OwnCopy(BaseModel):
    """What connectors do not share, since ccxt writes into it: each costs more memory."""

    of: Annotated[list[str], Field(description="Attributes of ccxt's object.")]
    why: str


class Offer(BaseModel):
    """What one exchange needs, and what can be had of it."""

    fields: Annotated[list[str], Field(description="The fields of an add that must be filled.")]
    requires: Annotated[list[str], Field(description="The same by ccxt's names.")]
    sandbox: bool
    testnet: Annotated[str | None, Field(description="The connector's name on the testnet.")]
    proves: Annotated[bool, Field(description="False: anybody may read its balances.")]
    unproven: Annotated[list[str], Field(description="Fields that a balance proves nothing of.")]
    own_copy: Annotated[OwnCopy | None, Field(description="Null: connectors share all they can.")]


class Supported(BaseModel):
    supported_exchanges: list[str]
    exchanges: dict[str, Offer]
    left_out: Annotated[dict[str, str], Field(description="ccxt's other exchanges, and why.")]


class Failure(BaseModel):
    code: Code
    at: datetime
    detail: str


class Connector(BaseModel):
    account: Name
    connector: Exchange
    fingerprint: Annotated[str | None, Field(description="The label that came with the add.")]
    added_at: datetime
    verified_at: Annotated[datetime | None, Field(description="The last authenticated answer.")]
    state: Annotated[str, Field(description="added, verified, or the code of the last failure.")]
    last_error: Failure | None


class Connectors(BaseModel):
    boot_id: Boot
    connectors: list[Connector]
    next_cursor: str | None = None


class Rights(BaseModel):
    """Null is what the exchange does not tell."""

    read: bool | None
    trade: bool | None
    withdraw: bool | None
    ip_restricted: bool | None
    expires_at: datetime | None


class Warned(BaseModel):
    code: str
    text: str


class Proven(BaseModel):
    success: Literal[True]
    verified_at: Annotated[
        datetime | None, Field(description="Null where the exchange answers anybody.")
    ]
    rights: Rights | None
    rights_note: str | None
    warnings: list[Warned]


class Checked(Proven):
    connector: Exchange


class Added(BaseModel):
    """With `verify=true` also what a proof tells: verified_at, rights, rights_note, warnings."""

    success: Literal[True]
    connector: Exchange
    message: str
    markets_loaded: int


class Removed(BaseModel):
    success: Literal[True]
    removed: Annotated[bool, Field(description="False: there was none, which is no error.")]


class Amounts(BaseModel):
    total: float | None
    free: float | None
    used: float | None


class Unread(BaseModel):
    """Balances that could not be read are never an empty list."""

    error: str
    code: Code | Literal["timeout"]


class Portfolio(BaseModel):
    account: Name
    balances: Annotated[
        dict[str, Unread | dict[str, Amounts]], Field(description="By exchange, then by asset.")
    ]
