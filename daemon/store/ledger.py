"""What we wrote down: one record per slot, in batches, guarded by the lease's epoch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store import survey as surveying
from daemon.store.desired import DIGEST, paused
from daemon.store.direct import ask
from daemon.store.engine import transaction
from daemon.store.leases import GUARD, guard, of, require
from daemon.store.rows import COLUMNS, columns, slot_row, to_json, to_record
from daemon.store.telling import same_slot, tell, tell_of_moves
from reconciler.model import (
    Attempt,
    BridgeName,
    Instant,
    Lane,
    Lease,
    Observation,
    Phase,
    Reason,
    Record,
    Slot,
    Survey,
    Urgency,
)
from reconciler.ports import Clients
from reconciler.rules import CLOCK_SKEW, LONGEST_REQUEST

OUTCOMES = "bridgetender_outcomes"
"""The channel that tells of attempts that ended."""
_ROWS = "json_populate_recordset(NULL::bridgetender.connectors, CAST(CAST(:rows AS text) AS json))"


def _upsert(source: str) -> str:
    return f"""
INSERT INTO bridgetender.connectors ({", ".join(COLUMNS)})
SELECT {", ".join(COLUMNS)} FROM {source}
ON CONFLICT (bridge, account, connector) DO UPDATE SET
  ({", ".join(COLUMNS[3:])}) = ROW({", ".join(f"excluded.{name}" for name in COLUMNS[3:])})
"""


_UPSERT = text(f"""
WITH given AS (SELECT * FROM {_ROWS}), written AS ({_upsert("given")})
{tell_of_moves("given")}
""")
_DROP = text(f"""
WITH given AS (SELECT * FROM {_ROWS}), dropped AS (
  DELETE FROM bridgetender.connectors r USING given g WHERE {same_slot("r", "g")} RETURNING g.*
)
{tell_of_moves("dropped")}
""")
_GRANT = text("DELETE FROM bridgetender.wishes WHERE key_id = ANY(:keys)")
_LANES = f"""
names AS (
  (SELECT c.exchange FROM bridgetender.connectors c
   WHERE c.bridge = :bridge ORDER BY c.exchange LIMIT 1)
  UNION ALL
  SELECT (SELECT c.exchange FROM bridgetender.connectors c
          WHERE c.bridge = :bridge AND c.exchange > n.exchange ORDER BY c.exchange LIMIT 1)
  FROM names n WHERE n.exchange IS NOT NULL
), lanes AS (
  SELECT n.exchange, class.urgency
  FROM names n, (VALUES {", ".join(f"({u:d})" for u in Urgency)}) AS class (urgency)
  WHERE n.exchange IS NOT NULL
)"""
"""Every exchange there is, found by a step through the index each, times every class."""
_OF_LANE = f"""
  c.bridge = :bridge AND c.exchange = l.exchange AND c.urgency = l.urgency
  AND NOT {paused("c.bridge", "c.client_id", "c.key_id")}"""
_DUE = text(f"""
WITH RECURSIVE {_LANES}, asked AS (
  SELECT * FROM unnest(CAST(:exchanges AS text[]), CAST(:urgencies AS int[]),
    CAST(:mosts AS int[])) AS a (exchange, urgency, most)
), due AS (
  SELECT r.*, row_number() OVER (PARTITION BY r.urgency ORDER BY r.rank, r.due_at) AS place
  FROM lanes l LEFT JOIN asked a USING (exchange, urgency), LATERAL (
    SELECT c.*, row_number() OVER (ORDER BY c.due_at) AS rank
    FROM bridgetender.connectors c WHERE {_OF_LANE} AND c.due_at <= :now
    ORDER BY c.due_at LIMIT :limit
  ) r
  WHERE r.rank <= coalesce(a.most, :limit)
)
SELECT {columns("d")} FROM due d WHERE d.place <= :limit ORDER BY d.urgency, d.place
""")
_NEXT_DUE = text(f"""
WITH RECURSIVE {_LANES}
SELECT min(r.due_at)
FROM lanes l, LATERAL (
  SELECT c.due_at FROM bridgetender.connectors c WHERE {_OF_LANE} AND c.due_at > :after
  ORDER BY c.due_at LIMIT 1
) r
""")
_INTEND = text(f"""
WITH held AS ({GUARD}), given AS MATERIALIZED (
  SELECT s.* FROM held, {_ROWS} s
), owned AS MATERIALIZED (
  SELECT o.account, o.client_id FROM given g, LATERAL (
    SELECT a.account, a.client_id FROM bridgetender.accounts a
    WHERE a.bridge = g.bridge AND a.account = g.account FOR KEY SHARE) o
), asked AS (
  SELECT g.*, CASE
    WHEN (g.account, g.client_id) NOT IN (SELECT account, client_id FROM owned)
      THEN '{Reason.ACCOUNT_TAKEN}'
    WHEN EXISTS (
      SELECT FROM bridgetender.connectors r
      WHERE r.sent = g.sent AND r.client_id <> g.client_id
        AND (r.bridge, r.account, r.connector) <> (g.bridge, g.account, g.connector))
      THEN '{Reason.CREDENTIALS_TAKEN}' END AS taken
  FROM given g
), written AS ({_upsert("asked WHERE taken IS NULL")})
SELECT a.account, a.connector, a.taken FROM held LEFT JOIN asked a ON a.taken IS NOT NULL
""")
"""One row that names no slot if none is taken; no row if the lease is lost.

Who releases an account waits for us, and sees our records then.
"""
_ATTEMPT = ("key_id", "exchange", "action", "cause", "verdict", "at", "seconds")
_COLUMNS = ", ".join(("bridge", "account", "connector", "message", "attempt", *_ATTEMPT))
_HISTORY = text(f"""
WITH kept AS (
  INSERT INTO bridgetender.attempts
    ({_COLUMNS})
  SELECT {_COLUMNS}
  FROM json_populate_recordset(NULL::bridgetender.attempts, CAST(CAST(:rows AS text) AS json))
)
SELECT pg_notify('{OUTCOMES}', '')
""")
"""Whoever waits for an outcome, in whatever replica, looks for it then."""
_RECALL = text(f"""
WITH recalled AS (
  UPDATE bridgetender.connectors r
  SET phase = '{Phase.PENDING}', reason = '{Reason.CHANGED}', cause = '{Reason.CHANGED}',
    urgency = 0, due_at = :now, due_set_at = :now,
    first_unready_at = coalesce(r.first_unready_at, :now)
  FROM {_ROWS} g, bridgetender.keys() k
  WHERE {same_slot("r", "g")} AND r.phase = '{Phase.LIVE}' AND k.id = r.key_id
    AND {DIGEST} <> r.digest
  RETURNING r.*, g.phase AS from_phase, g.reason AS from_reason
)
{tell("recalled r", "r", ("r.from_phase", "r.from_reason"), ("r.phase", "r.reason"))}
""")
_RECLAIM = text(f"""
UPDATE bridgetender.connectors r SET due_at = :now, due_set_at = :now
FROM bridgetender.keys() k
WHERE r.bridge = :bridge AND r.phase = '{Phase.INITIALIZING}' AND r.intent_epoch < :epoch
  AND k.id = r.key_id AND {DIGEST} = r.digest
""")
_REDATE = text(f"""
UPDATE bridgetender.connectors SET due_set_at = :now,
  due_at = CASE phase WHEN '{Phase.INITIALIZING}' THEN CAST(:over AS timestamptz) ELSE :now END,
  last_attempt_at = CASE WHEN last_attempt_at > :now THEN :now ELSE last_attempt_at END
WHERE bridge = :bridge AND due_set_at > :ahead
""")
_WAIVE = text(f"""
UPDATE bridgetender.connectors SET due_at = :now, due_set_at = :now
WHERE bridge = :bridge AND phase = '{Phase.RETRYING}' AND due_at > :now
  AND reason = '{Reason.BRIDGE_UNAVAILABLE}'
""")
_RECHECK = text(f"""
UPDATE bridgetender.connectors SET due_at = :now, due_set_at = :now
WHERE bridge = :bridge AND exchange = :exchange AND phase = '{Phase.PARKED}'
  AND reason = '{Reason.REFUSED}' AND last_attempt_at >= :since
""")
_HUSH = text("""
INSERT INTO bridgetender.quiets (bridge, exchange, until, set_at)
SELECT :bridge, q.exchange, q.until, :now
FROM unnest(CAST(:exchanges AS text[]), CAST(:untils AS timestamptz[])) AS q (exchange, until)
ON CONFLICT (bridge, exchange) DO UPDATE SET until = excluded.until, set_at = excluded.set_at
""")
_QUIETS = text("""
SELECT exchange, until FROM bridgetender.quiets
WHERE bridge = :bridge AND until > :now AND set_at <= :ahead
""")
_REPORT = text("""
INSERT INTO bridgetender.bridges AS b (bridge, up, reason, since)
VALUES (:bridge, :up, :reason, :now)
ON CONFLICT (bridge) DO UPDATE SET up = excluded.up, reason = excluded.reason,
  since = CASE WHEN b.up = excluded.up THEN b.since ELSE excluded.since END
""")


class PostgresLedger:
    """A `reconciler.ports.Ledger`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def survey(
        self, bridge: BridgeName, observation: Observation | None, clients: Clients
    ) -> Survey:
        if clients is not None and observation is None:
            return await surveying.survey_of(self._engine, bridge, clients)
        async with transaction(self._engine) as connection:
            return await surveying.survey(connection, bridge, observation, clients)

    async def plan(self, lease: Lease, records: Sequence[Record]) -> None:
        granted = [r.key_id for r in records if r.reason is Reason.REINITIALIZE]
        async with self._guarded(lease) as connection:
            await _write(connection, records)
            if granted:
                await connection.execute(_GRANT, {"keys": granted})

    async def due(
        self, bridge: BridgeName, now: Instant, limit: int, most: Mapping[Lane, int]
    ) -> Sequence[Record]:
        values = {
            "bridge": bridge,
            "now": now,
            "limit": limit,
            "exchanges": [exchange for exchange, _ in most],
            "urgencies": [urgency for _, urgency in most],
            "mosts": list(most.values()),
        }
        return [to_record(row) for row in await ask(self._engine, _DUE, values)]

    async def next_due(self, bridge: BridgeName, after: Instant) -> Instant | None:
        values = {"bridge": bridge, "after": after}
        first: Instant | None = (await ask(self._engine, _NEXT_DUE, values))[0][0]
        return first

    async def intend(self, lease: Lease, records: Sequence[Record]) -> Mapping[Slot, Reason]:
        taken: dict[Slot, Reason] = {}
        while records:
            first, records = _of_different_credentials(records)
            rows = await ask(self._engine, _INTEND, of(lease) | {"rows": to_json(first)})
            require(rows or None)
            taken |= {Slot(lease.bridge, *row[:2]): Reason(row[2]) for row in rows if row[2]}
        return taken

    async def settle(self, lease: Lease, ended: Sequence[tuple[Record, Attempt | None]]) -> None:
        records = [record for record, _ in ended]
        attempts = [attempt for _, attempt in ended if attempt]
        async with self._guarded(lease) as connection:
            await _write(connection, records)
            await _recall(connection, records)
            if attempts:
                await connection.execute(_HISTORY, {"rows": _history(attempts)})

    async def reclaim(self, lease: Lease, now: Instant) -> None:
        async with self._guarded(lease) as connection:
            values = {"bridge": lease.bridge, "epoch": lease.epoch, "now": now}
            await connection.execute(_RECLAIM, values)

    async def redate(self, lease: Lease, now: Instant) -> None:
        values = {"now": now, "over": now + LONGEST_REQUEST, "ahead": now + CLOCK_SKEW}
        async with self._guarded(lease) as connection:
            await connection.execute(_REDATE, values | {"bridge": lease.bridge})

    async def waive(self, lease: Lease, now: Instant) -> None:
        async with self._guarded(lease) as connection:
            await connection.execute(_WAIVE, {"bridge": lease.bridge, "now": now})

    async def recheck(self, lease: Lease, exchange: str, since: Instant, now: Instant) -> None:
        async with self._guarded(lease) as connection:
            values = {"bridge": lease.bridge, "exchange": exchange, "since": since, "now": now}
            await connection.execute(_RECHECK, values)

    async def hush(self, lease: Lease, quiets: Mapping[str, Instant], now: Instant) -> None:
        until = {"exchanges": list(quiets), "untils": list(quiets.values())}
        async with self._guarded(lease) as connection:
            await connection.execute(_HUSH, until | {"bridge": lease.bridge, "now": now})

    async def quiets(self, bridge: BridgeName, now: Instant) -> Mapping[str, Instant]:
        values = {"bridge": bridge, "now": now, "ahead": now + CLOCK_SKEW}
        return {row[0]: row[1] for row in await ask(self._engine, _QUIETS, values)}

    async def report(self, lease: Lease, *, up: bool, reason: str, now: Instant) -> None:
        async with self._guarded(lease) as connection:
            values = {"bridge": lease.bridge, "up": up, "reason": reason, "now": now}
            await connection.execute(_REPORT, values)

    @asynccontextmanager
    async def _guarded(self, lease: Lease) -> AsyncIterator[AsyncConnection]:
        async with transaction(self._engine) as connection:
            await guard(connection, lease)
            yield connection


async def _write(connection: AsyncConnection, records: Sequence[Record]) -> None:
    kept = [r for r in records if r.phase is not Phase.REMOVED]
    dropped = [r for r in records if r.phase is Phase.REMOVED]
    if kept:
        await connection.execute(_UPSERT, {"rows": to_json(kept)})
    if dropped:
        await connection.execute(_DROP, {"rows": to_json(dropped)})


async def _recall(connection: AsyncConnection, records: Sequence[Record]) -> None:
    """Live counts only while the key's row is the one that was sent."""
    live = [record for record in records if record.phase is Phase.LIVE]
    if live:
        now = live[0].due_set_at
        await connection.execute(_RECALL, {"rows": to_json(live), "now": now})


def _of_different_credentials(
    records: Sequence[Record],
) -> tuple[Sequence[Record], Sequence[Record]]:
    """Return the first record of each credentials, which keeps them, and the others."""
    first = {record.sent: record for record in reversed(records)}
    return list(first.values()), [r for r in records if first[r.sent] is not r]


def _history(attempts: Sequence[Attempt]) -> str:
    return msgspec.json.encode([_attempt_row(attempt) for attempt in attempts]).decode()


def _attempt_row(attempt: Attempt) -> dict[str, Any]:
    row = {name: getattr(attempt, name) for name in _ATTEMPT}
    said = {"message": attempt.message.replace("\x00", ""), "attempt": attempt.id}
    return row | said | slot_row(attempt.slot)
