"""What the reconciler needs from the world, in its own words."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from reconciler.model import (
    Attempt,
    BridgeName,
    ClientId,
    Credentials,
    Instant,
    Lane,
    Lease,
    Observation,
    Proof,
    Reason,
    Record,
    SealedKey,
    Slot,
    Survey,
)
from reconciler.sharing import Sharing

Clients = frozenset[ClientId] | None
"""Whose slots to look at; None means everybody's."""


class Clock(Protocol):
    """Tells the wall clock's time, and how much of it went by. Waits run on anyio's clock."""

    def now(self) -> Instant: ...

    def elapsed(self) -> float:
        """Return seconds since some moment, those that the machine slept included."""
        ...


class Leases(Protocol):
    """Who may act on a bridge. Any call may raise StoreError."""

    async def wait(self, bridge: BridgeName) -> Sharing:
        """Let others know that we would like to have it, for a while; return how things stand."""
        ...

    async def leave(self, bridge: BridgeName) -> None:
        """Wait for it no more."""
        ...

    async def acquire(self, bridge: BridgeName) -> Lease | None:
        """Take the bridge if nobody holds it, with an epoch of its own; None if somebody does."""
        ...

    async def renew(self, lease: Lease) -> Sharing:
        """Hold on to it for another term; return how things stand. Raises LeaseLost."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give it back, so that the next holder need not wait for its end."""
        ...


class Keys(Protocol):
    """The stored keys. People and backends write them; we only read. May raise StoreError."""

    async def read(self, slots: Collection[tuple[Slot, ClientId]]) -> Mapping[Slot, SealedKey]:
        """Return the key that now should be live in each slot; a slot that none wants is absent."""
        ...


class Ledger(Protocol):
    """What we wrote down, one record per slot. Any call may raise StoreError.

    Writes are guarded by the lease's epoch: they raise LeaseLost, and nothing is written, once
    somebody else has taken the bridge. Whatever is written, `reconciler.history.transition` says
    what the history keeps of it.
    """

    async def survey(
        self, bridge: BridgeName, observation: Observation | None, clients: Clients
    ) -> Survey:
        """Return every slot that may need something.

        It compares set-wise, so it may return slots that need nothing; it leaves out none for
        which `decide` would return a step. Of few *clients* it brings the ciphertexts along. Reads
        only, but for claims of account names.
        """
        ...

    async def plan(self, lease: Lease, records: Sequence[Record]) -> None:
        """Write planned records, drop the removed ones, take note of granted wishes."""
        ...

    async def due(
        self, bridge: BridgeName, now: Instant, limit: int, most: Mapping[Lane, int]
    ) -> Sequence[Record]:
        """Return the records whose time has come, most urgent first, those of a pause left out.

        Up to *limit* of a class, the exchanges in turns; of a lane up to *most* where that is said.
        """
        ...

    async def next_due(self, bridge: BridgeName, after: Instant) -> Instant | None:
        """Return the first due time later than *after*, of those that `due` would return then."""
        ...

    async def intend(self, lease: Lease, records: Sequence[Record]) -> Mapping[Slot, Reason]:
        """Write open intents; return, and do not write, those that would mix two clients' money.

        ACCOUNT_TAKEN: the account is not the client's, or no longer. CREDENTIALS_TAKEN: a slot of
        another client was sent the same fingerprint before.
        """
        ...

    async def settle(self, lease: Lease, ended: Sequence[tuple[Record, Attempt | None]]) -> None:
        """Write outcomes and history.

        A record that says live while the key's row has changed since is written as pending.
        """
        ...

    async def reclaim(self, lease: Lease, now: Instant) -> None:
        """Make intents that an earlier epoch left open due now, where the key is unchanged.

        Sending the same credentials twice is harmless; others wait until the request is over.
        """
        ...

    async def redate(self, lease: Lease, now: Instant) -> None:
        """Write what `reconciler.stepping.redated` makes of each record, where that differs."""
        ...

    async def waive(self, lease: Lease, now: Instant) -> None:
        """Make due what only waited because the bridge was unavailable."""
        ...

    async def recheck(self, lease: Lease, exchange: str, since: Instant, now: Instant) -> None:
        """Make due what is parked as refused by *exchange* and was attempted *since* then."""
        ...

    async def hush(self, lease: Lease, quiets: Mapping[str, Instant], now: Instant) -> None:
        """Write down until when exchanges are left alone, so that the next holder does so, too."""
        ...

    async def quiets(self, bridge: BridgeName, now: Instant) -> Mapping[str, Instant]:
        """Return what is written down of that and not over.

        Nothing that was written more than CLOCK_SKEW later than *now*.
        """
        ...

    async def report(self, lease: Lease, *, up: bool, reason: str, now: Instant) -> None:
        """Write down whether the bridge answers, and since when."""
        ...


class Bridge(Protocol):
    """Where connectors live. Any call may raise a Verdict, and any may be repeated."""

    async def observe(self) -> Observation:
        """Return one whole listing."""
        ...

    async def pulse(self) -> str | None:
        """Return the boot id, at the least cost; None if this bridge has none."""
        ...

    async def initialize(self, slot: Slot, credentials: Credentials, fingerprint: str) -> None:
        """Add the connector, or replace what is there."""
        ...

    async def verify(self, slot: Slot) -> Proof:
        """Prove the connector by an authenticated call; UNKNOWN if this bridge cannot tell.

        Raises Refused if the exchange says no, NotThere if there is no connector.
        """
        ...

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        """Remove the connector if it still is the one with *fingerprint*.

        Raises Unsupported if this bridge cannot remove, NotThere if there is nothing to remove,
        Unclear if another one is there.
        """
        ...


class Vault(Protocol):
    """Reads ciphertexts."""

    def open(self, sealed: SealedKey) -> Credentials:
        """Raises Undecryptable."""
        ...

    def fingerprint(self, credentials: Credentials) -> str:
        """Return a keyed hash of the plaintexts: equal for equal credentials only."""
        ...


class Meter(Protocol):
    """Counts what happens, for those who watch."""

    def attempted(self, attempt: Attempt) -> None: ...
    def converged(self, record: Record, seconds: float) -> None: ...
    def passed(self, bridge: BridgeName, result: str, seconds: float, *, everything: bool) -> None:
        """A pass has ended: *result* is ok, bridge_down or store_error.

        One that was not over *everything* has not asked the bridge.
        """
        ...

    def bridge_up(self, bridge: BridgeName, *, up: bool, reason: str) -> None: ...
    def lease_held(self, bridge: BridgeName, *, held: bool) -> None: ...
    def unmanaged(self, bridge: BridgeName, count: int) -> None: ...
    def paced(self, bridge: BridgeName, *, limit: int, breaker_open: bool) -> None:
        """How many may be tried at once now, and whether nothing is tried at all."""
        ...

    def mass_refusal(self, bridge: BridgeName, exchange: str, *, on: bool) -> None:
        """An exchange refuses nearly everything, or does so no more."""
        ...

    def progressed(self, bridge: BridgeName) -> None:
        """A lease was asked for or renewed, with whatever result: the loop is alive."""
        ...
