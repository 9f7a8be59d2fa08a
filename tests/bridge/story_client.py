"""A Trading Bridge's client as backends in the field have it: written from their contract alone."""

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Balance:
    connector: str
    asset: str
    free: float
    total: float


class StoryError(Exception):
    """What a backend shows its administrator: `Trading Bridge connector initialization failed`."""


class StoryClient:
    """Knows `detail` of an error, `success` of an answer, and nothing of codes and labels."""

    def __init__(self, base_url: str, **more: Any) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=30, **more)

    def close(self) -> None:
        self._http.close()

    def healthy(self) -> bool:
        return self._http.get("/health").status_code == 200

    def accounts(self) -> dict[str, list[str]]:
        listed = self._http.get("/accounts/", follow_redirects=True)
        return {a["name"]: a["connectors"] for a in self._checked(listed)["accounts"]}

    def account(self, name: str) -> Any | None:
        answer = self._http.get(f"/accounts/{name}")
        return None if answer.status_code == 404 else self._checked(answer)

    def supported(self) -> list[str]:
        found: list[str] = self._checked(self._http.get("/connectors/supported"))[
            "supported_exchanges"
        ]
        return found

    def create_account(self, name: str) -> None:
        answer = self._http.post("/accounts/create", json={"account_name": name})
        if answer.status_code not in (200, 201, 409):
            self._checked(answer)

    def initialize(
        self,
        account: str,
        exchange: str,
        api_key: str,
        api_secret: str,
        passphrase: str | None = None,
    ) -> Any:
        """Do what a backend does after it has saved a key."""
        self.create_account(account)
        body = {
            "account_name": account,
            "connector_name": exchange,
            "api_key": api_key,
            "api_secret": api_secret,
        }
        if passphrase:
            body["memo" if exchange == "bitmart" else "password"] = passphrase
        said = self._checked(self._http.post("/connectors/add", json=body))
        if said["success"] is not True:
            raise StoryError(said["message"])
        return said

    def balances(self, account: str) -> tuple[list[Balance], dict[str, str]]:
        """Return what could be read, and the errors by exchange."""
        answer = self._http.get("/portfolio", params={"account": account})
        found, errors = [], {}
        for connector, held in self._checked(answer)["balances"].items():
            if "error" in held:
                errors[connector] = held["error"]
                continue
            for asset, amounts in held.items():
                found.append(Balance(connector, asset, amounts["free"], amounts["total"]))
        return found, errors

    def _checked(self, answer: httpx.Response) -> Any:
        if answer.status_code != 200:
            raise StoryError(f"HTTP {answer.status_code}: {answer.json()['detail']}")
        return answer.json()
