"""The registry: which accounts there are and which connectors they hold, in memory alone."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bridge.credentials import Offered
from bridge.errors import Code, Trouble

Now = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True, eq=False, repr=False)
class Connector:
    """An exchange connection filed under an account.

    `state` is "added", "verified", or the code of the last failed call.
    """

    account: str
    name: str
    offered: Offered
    remote: Any
    fingerprint: str | None
    added_at: datetime
    verified_at: datetime | None = None
    state: Code | str = "added"


@dataclass(slots=True)
class Account:
    name: str
    created_at: datetime
    connectors: dict[str, Connector] = field(default_factory=dict)


class Registry:
    """`version` moves with every change that a listing shows."""

    def __init__(self, now: Now = utc_now) -> None:
        self._now = now
        self._accounts: dict[str, Account] = {}
        self.version = 0
        self.boot_id = secrets.token_hex(8)
        self.counts: Counter[str] = Counter()

    def create(self, account: str) -> bool:
        """Make sure that *account* exists; True if it did not."""
        if account in self._accounts:
            return False
        self._accounts[account] = Account(account, self._now())
        self.version += 1
        return True

    def accounts(self) -> list[Account]:
        return [self._accounts[name] for name in sorted(self._accounts)]

    def account(self, name: str) -> Account:
        """Return an account, or raise `Trouble` not_found."""
        if name not in self._accounts:
            raise Trouble("not_found", f"Account '{name}' not found")
        return self._accounts[name]

    def connector(self, account: str, name: str) -> Connector:
        """Return a connector, or raise `Trouble` not_found."""
        found = self.account(account).connectors.get(name)
        if found is None:
            raise Trouble("not_found", f"Account '{account}' has no connector '{name}'")
        return found

    def holds(self, account: str, name: str, fingerprint: str | None) -> bool:
        """Tell whether the slot has a connector with exactly this fingerprint."""
        held = self._accounts.get(account)
        found = held.connectors.get(name) if held else None
        return fingerprint is not None and found is not None and found.fingerprint == fingerprint

    def put(
        self, account: str, name: str, offered: Offered, remote: Any, fingerprint: str | None
    ) -> Connector:
        """File a connector, in place of the one that was there."""
        self.create(account)
        connectors = self._accounts[account].connectors
        self.counts[name] += name not in connectors
        made = Connector(account, name, offered, remote, fingerprint, self._now())
        connectors[name] = made
        self.version += 1
        return made

    def remove(self, account: str, name: str, fingerprint: str | None = None) -> bool:
        """Drop a connector, True if there was one.

        Raises `Trouble` conflict when *fingerprint* is given and another one is held.
        """
        held = self._accounts.get(account)
        if held is None or name not in held.connectors:
            return False
        if fingerprint is not None and held.connectors[name].fingerprint != fingerprint:
            raise Trouble("conflict", "The connector there has another fingerprint; nothing done")
        del held.connectors[name]
        self.counts[name] -= 1
        self.version += 1
        return True

    def proved(self, connector: Connector) -> datetime:
        """Note that an authenticated call has just succeeded."""
        connector.state, connector.verified_at = "verified", self._now()
        self.version += 1
        return connector.verified_at

    def failed(self, connector: Connector, code: Code) -> None:
        """Note how the last call failed."""
        if connector.state != code:
            connector.state = code
            self.version += 1

    def listing(self) -> Iterator[Connector]:
        """Every connector, by account, then by name."""
        for account in self.accounts():
            for name in sorted(account.connectors):
                yield account.connectors[name]
