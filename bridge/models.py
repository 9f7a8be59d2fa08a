"""What clients send; secrets are wrapped the moment they arrive."""

from typing import Annotated, Self

from pydantic import BaseModel, SecretStr, StringConstraints, model_validator

from bridge.catalogue import TESTNET
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


class Credentials(BaseModel):
    """`is_testnet` says the same as a connector's name that ends in `_testnet`."""

    connector_name: ConnectorName
    is_testnet: bool = False
    api_key: SecretStr = SecretStr("")
    api_secret: SecretStr = SecretStr("")
    password: SecretStr | None = None
    memo: SecretStr | None = None

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.is_testnet and not self.connector_name.endswith(TESTNET):
            self.connector_name += TESTNET
        return self

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


class Slot(BaseModel):
    account_name: AccountName
    connector_name: ConnectorName
