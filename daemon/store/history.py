"""What happened: attempts and transitions, for people; and how they are forgotten in the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.tables import attempts, transitions
from reconciler.model import Instant, KeyId, Phase

BATCH = 5_000
"""Rows that are forgotten at once: others wait for no more than that."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Which part of the history is asked for; None is no limit.

    *keys* and the parts of a slot each narrow it. With a *verdict* only attempts that ended so are
    wanted.
    """

    keys: Sequence[KeyId] | None = None
    bridge: str | None = None
    account: str | None = None
    connector: str | None = None
    since: Instant | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt; *attempt* names it in the log, *seconds* is how long it took."""

    at: datetime
    bridge: str
    account: str
    connector: str
    key_id: UUID
    action: str
    cause: str
    verdict: str
    message: str
    seconds: float
    attempt: str


@dataclass(frozen=True, slots=True)
class TransitionRow:
    """A slot came to stand otherwise; from None where nothing was written down of it before."""

    at: datetime
    bridge: str
    account: str
    connector: str
    key_id: UUID
    from_phase: str | None
    from_reason: str | None
    to_phase: str
    to_reason: str
    cause: str
    message: str


Event = AttemptRow | TransitionRow
T = TypeVar("T", AttemptRow, TransitionRow)


@dataclass(frozen=True, slots=True)
class Totals:
    """What an excerpt amounts to, however many of its events are shown.

    *failed* counts by verdict, *left_live* by the reason why what was live was so no more, or had
    to be made so anew. *slots*, *live* and what follows are as of now.
    """

    done: int = 0
    failed: Mapping[str, int] = field(default_factory=dict)
    moves: int = 0
    went_live: int = 0
    left_live: Mapping[str, int] = field(default_factory=dict)
    last_left_live: datetime | None = None
    slots: int = 0
    live: int = 0
    live_since: datetime | None = None
    last_proof: datetime | None = None

    @property
    def attempts(self) -> int:
        return self.done + sum(self.failed.values())


_OF_ATTEMPTS = """
SELECT verdict, count(*) FROM bridgetender.attempts WHERE {where} GROUP BY 1
"""
_OF_TRANSITIONS = f"""
SELECT coalesce(from_phase, ''), to_phase,
  CASE WHEN to_phase = '{Phase.LIVE}' THEN cause ELSE to_reason END, count(*), max(at)
FROM bridgetender.transitions WHERE {{where}} GROUP BY 1, 2, 3
"""
_OF_SLOTS = f"""
SELECT count(*), count(*) FILTER (WHERE phase = '{Phase.LIVE}'),
  max(live_since) FILTER (WHERE phase = '{Phase.LIVE}'), max(verified_at)
FROM bridgetender.connectors WHERE {{where}}
"""
_CONDITIONS = {
    "keys": "key_id = ANY(:keys)",
    "bridge": "bridge = :bridge",
    "account": "account = :account",
    "connector": "connector = :connector",
    "since": "at >= :since",
    "verdict": "verdict = :verdict",
}
_FORGET = """
DELETE FROM bridgetender.{table} WHERE ctid = ANY(ARRAY(
  SELECT ctid FROM bridgetender.{table} WHERE at < :before ORDER BY at LIMIT :batch
))
"""


class History:
    """Answers what happened. Read only; may raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def events(self, excerpt: Excerpt, limit: int) -> Sequence[Event]:
        """Return the newest *limit* events, the newest last."""
        found: list[Event] = [
            *await self._newest("attempts", AttemptRow, excerpt, limit),
            *await self._newest("transitions", TransitionRow, excerpt, limit),
        ]
        return sorted(found, key=lambda event: event.at)[-limit:]

    async def totals(self, excerpt: Excerpt) -> Totals:
        tried = await self._ask(_OF_ATTEMPTS, excerpt)
        moved = await self._ask(_OF_TRANSITIONS, replace(excerpt, verdict=None))
        standing = replace(excerpt, since=None, verdict=None)
        ((slots, live, since, proof),) = await self._ask(_OF_SLOTS, standing)
        now = {"slots": slots, "live": live, "live_since": since, "last_proof": proof}
        return replace(_total(tried, moved), **now)

    async def _newest(self, table: str, kind: type[T], excerpt: Excerpt, limit: int) -> Sequence[T]:
        if excerpt.verdict is not None and kind is TransitionRow:
            return []
        query = f"""
SELECT {", ".join(field.name for field in fields(kind))} FROM bridgetender.{table}
WHERE {{where}} ORDER BY at DESC, id DESC LIMIT {limit:d}
"""
        return [kind(*row) for row in reversed(await self._ask(query, excerpt))]

    async def _ask(self, query: str, excerpt: Excerpt) -> Sequence[Any]:
        where, values = _narrowed(excerpt)
        async with transaction(self._engine) as connection:
            return (await connection.execute(text(query.format(where=where)), values)).all()


async def forget(engine: AsyncEngine, before: Instant) -> int:
    """Drop attempts and transitions older than *before*; return how many. Raises StoreError."""
    tried = await _forget(engine, attempts.name, before)
    return tried + await _forget(engine, transitions.name, before)


async def _forget(engine: AsyncEngine, table: str, before: Instant) -> int:
    query, values = text(_FORGET.format(table=table)), {"before": before, "batch": BATCH}
    gone = 0
    while True:
        async with transaction(engine) as connection:
            count = (await connection.execute(query, values)).rowcount
        gone += count
        if count < BATCH:
            return gone


def _narrowed(excerpt: Excerpt) -> tuple[str, dict[str, Any]]:
    """Return the condition as SQL, and its values."""
    values = {name: getattr(excerpt, name) for name in _CONDITIONS}
    said = {name: value for name, value in values.items() if value is not None}
    return " AND ".join(("true", *(_CONDITIONS[name] for name in said))), said


def _total(tried: Sequence[Any], moved: Sequence[Any]) -> Totals:
    """Count rows of _OF_ATTEMPTS and of _OF_TRANSITIONS."""
    ends = Counter[str]({verdict: count for verdict, count in tried})  # noqa: C416 - rows
    left = Counter[str]()
    leaving = [row for row in moved if row[0] == Phase.LIVE]
    for _, _, why, count, _ in leaving:
        left[why] += count
    done = ends.pop("done", 0)
    return Totals(
        done=done,
        failed=dict(ends.most_common()),
        moves=sum(row[3] for row in moved),
        went_live=sum(row[3] for row in moved if row[1] == Phase.LIVE),
        left_live=dict(left.most_common()),
        last_left_live=max((row[4] for row in leaving), default=None),
    )
