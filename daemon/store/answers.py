"""What was answered to a request that named itself, so that its repetition changes nothing."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from reconciler.model import Instant


@dataclass(frozen=True, slots=True)
class Answer:
    """*request* is a digest of what was asked; *status* is None while that is under way."""

    request: str
    status: int | None
    body: str | None


class Answers:
    """One for each token and key. May raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, token_id: UUID, key: str, request: str) -> Answer | None:
        """Claim *key* for this request: None if it is new, else what is known of the first one."""
        values = {"token": token_id, "key": key, "request": request}
        async with transaction(self._engine) as connection:
            if (await connection.execute(_BEGIN, values)).rowcount:
                return None
            return Answer(*(await connection.execute(_KNOWN, values)).one())

    async def end(self, token_id: UUID, key: str, status: int, body: str) -> None:
        values = {"token": token_id, "key": key, "status": status, "body": body}
        async with transaction(self._engine) as connection:
            await connection.execute(_END, values)

    async def drop(self, token_id: UUID, key: str) -> None:
        """It failed and changed nothing, so it may be tried again."""
        async with transaction(self._engine) as connection:
            await connection.execute(_DROP, {"token": token_id, "key": key})

    async def forget(self, before: Instant) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_FORGET, {"before": before})


_BEGIN = text("""
INSERT INTO bridgetender.answers (token_id, key, request) VALUES (:token, :key, :request)
ON CONFLICT DO NOTHING
""")
_KNOWN = text("""
SELECT request, status, body FROM bridgetender.answers WHERE token_id = :token AND key = :key
""")
_END = text("""
UPDATE bridgetender.answers SET status = :status, body = :body
WHERE token_id = :token AND key = :key
""")
_DROP = text("DELETE FROM bridgetender.answers WHERE token_id = :token AND key = :key")
_FORGET = text("DELETE FROM bridgetender.answers WHERE at < :before")
