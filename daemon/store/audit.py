"""Who did what and when: rows that are only added, in the transaction of what they tell of."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.answers import Claim, changed
from daemon.store.engine import transaction
from reconciler.model import ClientId, Instant

Role = Literal["admin", "viewer", "client", "operator"]
"""Of a token, or of somebody with a shell: the operator."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a token's name, or the user of a command.

    *claim* is of a request that named itself; what is done under it is done once.
    """

    name: str
    role: Role = "operator"
    claim: Claim | None = None


NOBODY = Actor("bridgetender")
"""The program itself, as in its demo."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One row. *detail* holds no secret, and no credentials, masked or not."""

    id: int
    at: datetime
    actor: str
    role: str
    action: str
    client_id: UUID | None
    key_id: UUID | None
    detail: Mapping[str, Any]


async def note(
    connection: AsyncConnection,
    by: Actor,
    action: str,
    detail: Mapping[str, object],
    *,
    client_id: UUID | None = None,
    key_id: UUID | None = None,
) -> None:
    """Write down what is done in this transaction."""
    values = {
        "actor": by.name,
        "role": by.role,
        "action": action,
        "client_id": client_id,
        "key_id": key_id,
        "detail": json.dumps(detail, default=str),
    }
    await connection.execute(_NOTE, values)
    if by.claim:
        await changed(connection, by.claim)


class Audit:
    """Reads it. May raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(
        self, limit: int, *, client_id: ClientId | None = None, before: int | None = None
    ) -> Sequence[Deed]:
        """Return up to *limit* deeds, the newest first, older than the one with id *before*."""
        values = {"limit": limit, "client": client_id, "before": before}
        async with transaction(self._engine) as connection:
            return [Deed(*row) for row in await connection.execute(_NEWEST, values)]


async def forget(engine: AsyncEngine, before: Instant) -> int:
    """Drop what is older than *before*, and than a day by any clock; return how many."""
    async with transaction(engine) as connection:
        return (await connection.execute(_FORGET, {"before": before})).rowcount


_NOTE = text("""
INSERT INTO bridgetender.audit (actor, role, action, client_id, key_id, detail)
VALUES (:actor, :role, :action, :client_id, :key_id, CAST(:detail AS jsonb))
""")
_NEWEST = text("""
SELECT id, at, actor, role, action, client_id, key_id, detail FROM bridgetender.audit
WHERE (CAST(:client AS uuid) IS NULL OR client_id = :client)
  AND (CAST(:before AS bigint) IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit
""")
_FORGET = text("""
DELETE FROM bridgetender.audit WHERE at < :before AND at < now() - interval '1 day'
""")
