"""What was answered to a request that named itself, so that its repetition changes nothing."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.engine import transaction
from reconciler.model import Instant
from reconciler.verdicts import StoreError

CHANGED = 0
"""The status of a request that has changed something and whose answer is not known yet."""
LONGEST = 300.0
"""Seconds after which a request that has changed nothing is taken for dead."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to carry out a request that named itself; who claims it later has another *at*."""

    token_id: UUID
    key: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """*request* is a digest of what was asked; *status* is None before that changed anything."""

    request: str
    status: int | None
    body: str | None


async def changed(connection: AsyncConnection, claim: Claim) -> None:
    """Write down, in the transaction of a change, that it is made.

    Raises StoreError if the claim is somebody else's by now.
    """
    if not (await connection.execute(_CHANGED, _row(claim))).rowcount:
        raise StoreError("the same request was begun anew meanwhile")


class Answers:
    """One for each token and key. May raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def begin(self, token_id: UUID, key: str, request: str) -> Claim | Answer:
        """Claim *key* for this request if it is new, else return what is known of the first one."""
        values = {"token": token_id, "key": key, "request": request, "longest": LONGEST}
        async with transaction(self._engine) as connection:
            at = (await connection.execute(_BEGIN, values)).scalar()
            if at is not None:
                return Claim(token_id, key, at)
            return Answer(*(await connection.execute(_KNOWN, values)).one())

    async def end(self, claim: Claim, status: int, body: str) -> None:
        values = {**_row(claim), "status": status, "body": body}
        async with transaction(self._engine) as connection:
            await connection.execute(_END, values)

    async def drop(self, claim: Claim) -> None:
        """It failed; if it changed nothing, it may be tried again.

        A change that nobody knows whether it was committed is waited for: it holds the row.
        """
        async with transaction(self._engine) as connection:
            await connection.execute(_DROP, _row(claim))

    async def forget(self, before: Instant) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_FORGET, {"before": before})


def _row(claim: Claim) -> dict[str, object]:
    return {"token": claim.token_id, "key": claim.key, "at": claim.at}


_BEGIN = text("""
INSERT INTO bridgetender.answers AS known (token_id, key, request)
VALUES (:token, :key, :request)
ON CONFLICT (token_id, key) DO UPDATE SET at = excluded.at
WHERE known.status IS NULL AND known.request = excluded.request
  AND known.at < now() - make_interval(secs => :longest)
RETURNING at
""")
_OURS = "token_id = :token AND key = :key AND at = :at"
_CHANGED = text(f"UPDATE bridgetender.answers SET status = {CHANGED} WHERE {_OURS}")
_KNOWN = text("""
SELECT request, status, body FROM bridgetender.answers WHERE token_id = :token AND key = :key
""")
_END = text(f"UPDATE bridgetender.answers SET status = :status, body = :body WHERE {_OURS}")
_DROP = text(f"DELETE FROM bridgetender.answers WHERE {_OURS} AND status IS NULL")
_FORGET = text("DELETE FROM bridgetender.answers WHERE at < :before")
