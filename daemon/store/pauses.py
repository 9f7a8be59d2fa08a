"""What people told the daemon to leave as it is, until they say otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.audit import NOBODY, Actor, note
from daemon.store.engine import changing, transaction

Scope = Literal["all", "bridge", "client", "key"]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is paused; *name* is how people know it, *id* what stays when the name changes."""

    scope: Scope
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause in force: *by* whom, why, and *since* when."""

    scope: Scope
    id: str
    name: str
    by: str
    reason: str
    since: datetime

    def reaches(self, *, bridge: str, client_id: object, key_id: object) -> bool:
        """Tell whether a connector of these three is left as it is."""
        of = {"all": "", "bridge": bridge, "client": str(client_id), "key": str(key_id)}
        return self.id == of[self.scope]


class Pauses:
    """Begins, ends and lists pauses. May raise StoreError."""

    def __init__(self, engine: AsyncEngine, author: Actor = NOBODY) -> None:
        """What is changed is audited as done by the *author*."""
        self._engine = engine
        self._author = author

    async def begin(self, subject: Subject, by: str, reason: str) -> bool:
        """Pause it; False if it is paused already, which then stays as it was."""
        values = {"by": by, "reason": reason, "name": subject.name}
        return await self._change(_BEGIN, subject, **values)

    async def end(self, subject: Subject) -> bool:
        """Resume it; False if it was not paused."""
        return await self._change(_END, subject)

    async def all(self) -> Sequence[Pause]:
        async with transaction(self._engine) as connection:
            return [Pause(*row) for row in await connection.execute(_ALL)]

    async def _change(self, query: TextClause, subject: Subject, **values: str) -> bool:
        values |= {"scope": subject.scope, "id": subject.id}
        async with changing(self._engine) as connection:
            changed = (await connection.execute(query, values)).rowcount > 0
            if changed:
                await connection.execute(_HINT)
                action = "paused" if query is _BEGIN else "resumed"
                told = {"scope": subject.scope, "subject": subject.id, "name": subject.name}
                await note(connection, self._author, action, told)
        return changed

    async def hint(self) -> None:
        """Let every holder look at everything now."""
        async with transaction(self._engine) as connection:
            await connection.execute(_HINT)


_BEGIN = text("""
INSERT INTO bridgetender.pauses (scope, subject, name, by, reason)
VALUES (:scope, :id, :name, :by, :reason) ON CONFLICT DO NOTHING
""")
_END = text("DELETE FROM bridgetender.pauses WHERE scope = :scope AND subject = :id")
_ALL = text("""
SELECT scope, subject, name, by, reason, since FROM bridgetender.pauses ORDER BY since, scope
""")
_HINT = text("SELECT pg_notify('bridgetender', '*')")
