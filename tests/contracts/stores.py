"""What the suites of the store's ports ask for: `tests.fakes.FakeStore`, or PostgreSQL."""

from collections.abc import Sequence
from typing import Protocol

from daemon.store.pauses import Scope
from reconciler.model import (
    Attempt,
    BridgeName,
    ClientId,
    Instant,
    KeyId,
    Record,
    Slot,
    Transition,
)
from reconciler.ports import Keys, Leases, Ledger


class World(Protocol):
    """People's rows. Each method commits."""

    async def add_client(
        self, name: str, status: str = "ACTIVE", account: str | None = None
    ) -> ClientId:
        """Each is younger than the one before."""
        ...

    async def add_key(
        self,
        client: ClientId,
        exchange: str,
        *,
        api_key: str | None = None,
        active: bool = True,
        testnet: bool = False,
        created_at: Instant | None = None,
    ) -> KeyId:
        """Without *created_at* each is younger than the one before."""
        ...

    async def rotate_key(self, key: KeyId, api_key: str | None = None) -> None: ...
    async def reencrypt_key(self, key: KeyId) -> None: ...
    async def touch_key(self, key: KeyId) -> None: ...
    async def set_key_active(self, key: KeyId, *, active: bool) -> None: ...
    async def delete_key(self, key: KeyId) -> None: ...
    async def delete_client(self, client: ClientId) -> None: ...
    async def set_client_status(self, client: ClientId, status: str) -> None: ...
    async def rename_client(self, client: ClientId, name: str) -> None: ...
    async def wish(self, key: KeyId) -> None: ...
    async def pause(self, scope: Scope, subject: object = "") -> None: ...
    async def resume(self, scope: Scope, subject: object = "") -> None: ...


class Store(Protocol):
    """*leases* and *rival* are of two holders, with terms longer than any test."""

    @property
    def world(self) -> World: ...
    @property
    def ledger(self) -> Ledger: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def leases(self) -> Leases: ...
    @property
    def rival(self) -> Leases: ...

    async def record(self, slot: Slot) -> Record | None: ...
    async def attempts(self) -> Sequence[Attempt]: ...
    async def transitions(self) -> Sequence[Transition]:
        """Return all that is told, the oldest first."""
        ...

    async def expire(self, bridge: BridgeName) -> None: ...
