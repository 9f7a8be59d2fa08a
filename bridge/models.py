"""What clients send; secrets are wrapped the moment they arrive."""

from typing import Annotated, Self

from pydantic import BaseModel, SecretStr, StrictBool, StringConstraints, model_validator

from bridge.catalogue import TESTNET, canonical
from bridge.credentials import Offered

# No slash and no control character: the name travels in paths.
AccountName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^/\x00-\x1f\x7f]+$")
]
ConnectorName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Fingerprint = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[\x20-\x7e]+$")
]


class NewAccount(BaseModel):
    account_name: AccountName


class Named(BaseModel):
    """`is_testnet` says the same as a connector's name that ends in `_testnet`."""

    connector_name: ConnectorName
    is_testnet: StrictBool = False

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.is_testnet:
            self.connector_name = canonical(self.connector_name).removesuffix(TESTNET) + TESTNET
        return self


class Credentials(Named):
    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")
    password: SecretStr | None = None
    memo: SecretStr | None = None

    def offered(self) -> Offered:
        return Offered(
            self.api_key.get_secret_value(),
            self.api_secret.get_secret_value(),
            self.password.get_secret_value() if self.password else "",
            self.memo.get_secret_value() if self.memo else "",
        )


class NewConnector(Credentials):
    account_name: AccountName
    fingerprint: Fingerprint | None = None


class Check(Credentials):
    """`account_name` says whose way out is taken; nothing is filed under it."""

    account_name: AccountName | None = None


class Slot(Named):
    account_name: AccountName
