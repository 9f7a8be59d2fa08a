"""The registry: which accounts there are and which connectors they hold, in memory alone."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bridge.credentials import Offered
from bridge.errors import Code, Trouble

Now = Callable[[], datetime]
EMPTY = 10_000  # accounts that have no connector yet


def utc_now() -> datetime:
    return datetime.now(UTC)


class Failure(NamedTuple):
    """How a call failed last; *detail* holds no secret."""

    code: Code
    at: datetime
    detail: str


@dataclass(slots=True, eq=False, repr=False)
class Connector:
    """An exchange connection filed under an account.

    `state` is "added"; "verified"; "unproven" where the exchange answers without looking at the
    credentials; or the code of the last call, if it failed. `last_error` outlives a success.
    """

    account: str
    name: str
    offered: Offered
    remote: Any
    fingerprint: str | None
    added_at: datetime
    verified_at: datetime | None = None
    state: Code | str = "added"
    last_error: Failure | None = None


@dataclass(slots=True)
class Account:
    name: str
    created_at: datetime
    connectors: dict[str, Connector] = field(default_factory=dict)


class Registry:
    """Accounts and connectors by name. Only a repeat waits for *quiet* until a listing shows it.

    An account goes with its last connector. Of those that never had one the newest *empty* stay:
    whose account was forgotten adds to it all the same.
    """

    def __init__(
        self, now: Now = utc_now, quiet: timedelta = timedelta(minutes=1), empty: int = EMPTY
    ) -> None:
        self.now = now
        self._quiet = quiet
        self._accounts: dict[str, Account] = {}
        self._empty, self._most_empty = dict[str, None](), empty  # the oldest first
        self._version, self._moved_at, self._repeated = 0, now(), False
        self.boot_id = secrets.token_hex(8)
        self.counts: Counter[str] = Counter()

    @property
    def version(self) -> int:
        """Name what a listing shows now.

        Ten thousand connectors are proven again all day: if each new time moved the version, no
        listing would ever be unchanged. So for repeats it moves once in a while.
        """
        if self._repeated and self.now() - self._moved_at >= self._quiet:
            self._move()
        return self._version

    def _move(self) -> None:
        self._version, self._moved_at, self._repeated = self._version + 1, self.now(), False

    def create(self, account: str) -> bool:
        """Make sure that *account* exists; True if it did not."""
        if account in self._accounts:
            return False
        self._accounts[account] = Account(account, self.now())
        self._empty[account] = None
        if len(self._empty) > self._most_empty:
            oldest = next(iter(self._empty))
            del self._empty[oldest], self._accounts[oldest]
        self._move()
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

    def repeats(
        self, account: str, name: str, offered: Offered, fingerprint: str | None, *, verify: bool
    ) -> bool:
        """Tell whether the slot has exactly what is offered.

        A fingerprint is believed to say so, but by who wants the credentials proven.
        """
        found = self.find(account, name)
        if fingerprint is None or found is None or found.fingerprint != fingerprint:
            return False
        return not verify or found.offered == offered

    def put(
        self, account: str, name: str, offered: Offered, remote: Any, fingerprint: str | None
    ) -> Connector:
        """File a connector, in place of the one that was there."""
        held = self._accounts.setdefault(account, Account(account, self.now()))
        self._empty.pop(account, None)
        connectors = held.connectors
        self.counts[name] += name not in connectors
        made = Connector(account, name, offered, remote, fingerprint, self.now())
        connectors[name] = made
        self._move()
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
        if not held.connectors:
            del self._accounts[account]
        self._move()
        return True

    def find(self, account: str, name: str) -> Connector | None:
        held = self._accounts.get(account)
        return held.connectors.get(name) if held else None

    def answered(self, connector: Connector, proven_at: datetime | None) -> None:
        """Note that the exchange has answered; None when it would have answered anybody."""
        connector.verified_at = proven_at
        self._stands(connector, "verified" if proven_at else "unproven")

    def failed(self, connector: Connector, trouble: Trouble) -> None:
        """Note how the last call failed."""
        connector.last_error = Failure(trouble.code, self.now(), trouble.detail)
        self._stands(connector, trouble.code)

    def _stands(self, connector: Connector, state: Code | str) -> None:
        if connector.state == state:
            self._repeated = True
        else:
            connector.state = state
            self._move()

    def states(self) -> Counter[tuple[str, str]]:
        """Count connectors by exchange and state."""
        held = (c for a in self._accounts.values() for c in a.connectors.values())
        return Counter((c.name, c.state) for c in held)

    def listing(self) -> Iterator[Connector]:
        """Every connector, by account, then by name."""
        for account in self.accounts():
            for name in sorted(account.connectors):
                yield account.connectors[name]
