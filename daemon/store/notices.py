"""What the owners of keys are to be told: one row for each key, of which the last state wins.

A notice is due while what was told differs from what is so, or while nobody knows whether it
arrived. Its *number* changes with what it says, so that number and key name one message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.desired import paused
from daemon.store.engine import transaction
from reconciler.model import BridgeName, Instant, Phase, Reason

TOLD = (Reason.REFUSED, Reason.UNSUPPORTED, Reason.UNDECRYPTABLE, Reason.CREDENTIALS_TAKEN)
"""Why a key may stay as it is until a person does something, without a person's wish."""
_REASONS = ", ".join(f"'{reason}'" for reason in TOLD)
_STUCK = f"c.phase IN ('{Phase.PARKED}', '{Phase.CONFLICT}') AND c.reason IN ({_REASONS})"
_STANDING = f"""bridgetender.connectors c
  JOIN bridgetender.keys() k ON k.id = c.key_id AND k.is_active
  JOIN bridgetender.clients() o ON o.id = k.client_id AND o.status = 'ACTIVE'
WHERE c.bridge = :bridge AND NOT {paused(":bridge", "k.client_id", "k.id")}
  AND NOT EXISTS (SELECT FROM bridgetender.wishes w WHERE w.key_id = k.id)"""
"""What may be told of: neither what is paused nor what is to be tried again at once, as everything
is after a restore, whose records are old."""
_PARKED = text(f"""
INSERT INTO bridgetender.notices AS n
  (key_id, client_id, bridge, exchange, state, reason, since, number, due_at)
SELECT DISTINCT ON (c.key_id)
  c.key_id, c.client_id, c.bridge, c.exchange, 'parked', c.reason, :now, 1, :now
FROM {_STANDING} AND {_STUCK}
ON CONFLICT (key_id) DO UPDATE SET
  client_id = excluded.client_id, bridge = excluded.bridge, exchange = excluded.exchange,
  state = excluded.state, reason = excluded.reason, since = excluded.since, number = n.number + 1,
  told_state = CASE WHEN n.client_id = excluded.client_id THEN n.told_state END
WHERE (n.state, n.reason, n.bridge, n.client_id)
  <> (excluded.state, excluded.reason, excluded.bridge, excluded.client_id)
""")
_RECOVERED = text(f"""
UPDATE bridgetender.notices n SET
  client_id = c.client_id, bridge = c.bridge, state = 'recovered', reason = '{Reason.APPLIED}',
  since = :now, number = n.number + 1
FROM {_STANDING} AND c.key_id = n.key_id AND c.phase = '{Phase.LIVE}' AND n.state = 'parked'
""")
_GONE = text("""
DELETE FROM bridgetender.notices n WHERE n.bridge = :bridge
  AND NOT EXISTS (SELECT FROM bridgetender.keys() k WHERE k.id = n.key_id AND k.is_active)
""")
_NEWEST = text("SELECT coalesce(max(id), 0) FROM bridgetender.transitions")
_OPEN = "n.attempted_at IS NOT NULL"
_STILL_SO = f"""EXISTS (SELECT FROM {_STANDING}
  AND c.key_id = n.key_id AND c.client_id = n.client_id
  AND CASE n.state WHEN 'parked' THEN c.reason = n.reason AND {_STUCK}
    ELSE c.phase = '{Phase.LIVE}' END)"""
_DUE = text(f"""
SELECT n.key_id, n.client_id, n.bridge, n.exchange, n.state, n.reason, n.since, n.number,
  n.attempted_at
FROM bridgetender.notices n
WHERE n.bridge = :bridge AND n.due_at <= :now AND ({_OPEN}
  OR (n.told_state, n.told_reason) IS DISTINCT FROM (n.state, n.reason)
    -- what passed before anybody heard of it is no news
    AND NOT (n.told_state IS NULL AND n.state = 'recovered'))
  AND {_STILL_SO}
ORDER BY ({_OPEN}) <> :again_first, n.due_at, n.key_id LIMIT :limit
""")
_ATTEMPTED = text("""
UPDATE bridgetender.notices n SET attempted_at = coalesce(n.attempted_at, :now)
FROM unnest(CAST(:keys AS uuid[]), CAST(:numbers AS bigint[])) AS sent (key_id, number)
WHERE (n.key_id, n.number) = (sent.key_id, sent.number) RETURNING n.key_id
""")
_TOLD = text("""
UPDATE bridgetender.notices SET told_state = :state, told_reason = :reason, attempted_at = NULL,
  due_at = :next
WHERE key_id = :key_id
""")
_AGAIN = text("UPDATE bridgetender.notices SET due_at = :next WHERE key_id = :key_id")
_WAITING = text(f"""
SELECT greatest(0, extract(epoch FROM CAST(:now AS timestamptz) - min(n.attempted_at)))
FROM bridgetender.notices n WHERE n.bridge = :bridge AND {_OPEN} AND {_STILL_SO}
""")


@dataclass(frozen=True, slots=True)
class Notice:
    """What one owner is to be told: *state* is parked or recovered, *since* when it was seen.

    *tried_since* is when something was sent of this key of which nobody knows that it arrived.
    """

    key_id: UUID
    client_id: UUID
    bridge: str
    exchange: str
    state: str
    reason: str
    since: datetime
    number: int
    tried_since: datetime | None = None


class Notices:
    """Each may raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def newest(self) -> int:
        """Return a number that changes whenever any slot came to stand otherwise."""
        async with transaction(self._engine) as connection:
            newest: int = (await connection.execute(_NEWEST)).scalar_one()
        return newest

    async def note(self, bridge: BridgeName, now: Instant) -> None:
        """Write down how the bridge's keys stand, where that is other than what is written."""
        values = {"bridge": bridge, "now": now}
        async with transaction(self._engine) as connection:
            await connection.execute(_PARKED, values)
            await connection.execute(_RECOVERED, values)
            await connection.execute(_GONE, values)

    async def due(
        self, bridge: BridgeName, now: Instant, limit: int, *, again_first: bool
    ) -> Sequence[Notice]:
        """Return what is to be sent now, either what was sent in vain first or what is new."""
        values = {"bridge": bridge, "now": now, "limit": limit, "again_first": again_first}
        async with transaction(self._engine) as connection:
            return [Notice(*row) for row in await connection.execute(_DUE, values)]

    async def attempted(self, notices: Sequence[Notice], now: Instant) -> Sequence[Notice]:
        """Write down that they are sent now; return those that still say the same."""
        keys, numbers = [each.key_id for each in notices], [each.number for each in notices]
        values = {"keys": keys, "numbers": numbers, "now": now}
        async with transaction(self._engine) as connection:
            same = set((await connection.execute(_ATTEMPTED, values)).scalars())
        return [notice for notice in notices if notice.key_id in same]

    async def told(self, notice: Notice, following: Instant) -> None:
        """Write down that it arrived; the key's next is not sent before *following*."""
        values = {"key_id": notice.key_id, "state": notice.state, "reason": notice.reason}
        async with transaction(self._engine) as connection:
            await connection.execute(_TOLD, values | {"next": following})

    async def again(self, notice: Notice, at: Instant) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(_AGAIN, {"key_id": notice.key_id, "next": at})

    async def waiting(self, bridge: BridgeName, now: Instant) -> float:
        """Return for how many seconds the oldest notice is tried in vain."""
        async with transaction(self._engine) as connection:
            values = {"bridge": bridge, "now": now}
            return float((await connection.execute(_WAITING, values)).scalar_one())
