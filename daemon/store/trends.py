"""How attempts ended and how long keys took to be live, hour by hour. Read only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from reconciler.model import Phase, Reason


@dataclass(frozen=True, slots=True)
class Hour:
    """*median* and *slowest*: seconds that those took which became live; None if none did."""

    at: datetime
    done: int
    failed: int
    median: float | None
    slowest: float | None


_HOURS = text(f"""
WITH hours AS (
  SELECT at, at + interval '1 hour' AS ends FROM generate_series(
    date_trunc('hour', now()) - interval '23 hours', date_trunc('hour', now()), interval '1 hour'
  ) at
), tried AS (
  SELECT date_trunc('hour', at) AS hour, count(*) FILTER (WHERE verdict = 'done') AS done,
    count(*) FILTER (WHERE verdict <> 'done') AS failed
  FROM bridgetender.attempts WHERE at >= (SELECT min(at) FROM hours) GROUP BY 1
), moves AS (
  SELECT at, key_id, from_phase, to_phase, to_reason,
    max(at) FILTER (WHERE from_phase IS NULL OR from_phase = '{Phase.LIVE}') OVER (
      PARTITION BY bridge, account, connector ORDER BY at, id
    ) AS began
  FROM bridgetender.transitions WHERE at >= (SELECT min(at) FROM hours)
), arrived AS (
  SELECT date_trunc('hour', at) AS hour, extract(epoch FROM greatest(at -
    CASE WHEN from_phase IS NULL THEN nullif(k.created_at, '-infinity') ELSE began END,
    interval '0')) AS took
  FROM moves LEFT JOIN bridgetender.keys() k ON k.id = key_id
  WHERE to_phase = '{Phase.LIVE}' AND from_phase IS DISTINCT FROM '{Phase.LIVE}'
    AND to_reason <> '{Reason.ADOPTED}'
), took AS (
  SELECT hour, percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS median, max(took) AS slowest
  FROM arrived WHERE took IS NOT NULL GROUP BY 1
)
SELECT hours.at, coalesce(done, 0), coalesce(failed, 0),
  CAST(median AS double precision), CAST(slowest AS double precision)
FROM hours LEFT JOIN tried ON tried.hour = hours.at LEFT JOIN took ON took.hour = hours.at
ORDER BY hours.at
""")


async def last_day(engine: AsyncEngine) -> Sequence[Hour]:
    """Return the last 24 hours, the oldest first. Raises StoreError."""
    async with transaction(engine) as connection:
        return [Hour(*row) for row in await connection.execute(_HOURS)]
