"""The survey that the next pass would make, for people to read; read-only in PostgreSQL's eyes."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.survey import LEFT, UNRECORDED, narrowed, to_case, unclaimed, unmanaged
from reconciler.model import BridgeName, Observation, Survey

_READ_ONLY = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
_OBSERVED = """observed AS (
  SELECT * FROM unnest(CAST(:seen_accounts AS text[]), CAST(:seen_connectors AS text[]),
    CAST(:seen_fingerprints AS text[])) AS seen(account, connector, fingerprint)
)"""
_CLAIMED = f"""kept AS (
  SELECT bridge, account, client_id FROM bridgetender.accounts
  WHERE bridge = :bridge AND account NOT IN ({LEFT})
), claimed AS (
  SELECT * FROM kept UNION ALL SELECT * FROM ({unclaimed(of_clients=False, accounts="kept")}) new
)"""


def _query(*, seen: bool) -> str:
    before = f"{_OBSERVED}, {_CLAIMED}," if seen else f"{_CLAIMED},"
    return narrowed(of_clients=False, seen=seen, before=before, accounts="claimed")


_QUERIES = {seen: text(_query(seen=seen)) for seen in (False, True)}
_UNRECORDED = text(f"WITH {_OBSERVED} {UNRECORDED}")


async def preview(engine: AsyncEngine, bridge: BridgeName, seen: Observation | None) -> Survey:
    """Return what `survey` would, as if account names were claimed. Raises StoreError."""
    values: dict[str, object] = {"bridge": bridge}
    listed = {} if seen is None else _listed(seen)
    async with transaction(engine) as connection:
        await connection.execute(_READ_ONLY)
        rows = (await connection.execute(_QUERIES[seen is not None], values | listed)).all()
        cases = [to_case(bridge, row) for row in rows]
        if seen is None:
            return Survey(cases)
        count = (await connection.execute(_UNRECORDED, values | listed)).scalar_one()
    return Survey(cases, unmanaged(cases, count))


def _listed(seen: Observation) -> dict[str, object]:
    return {
        "seen_accounts": [connector.slot.account for connector in seen.connectors],
        "seen_connectors": [connector.slot.connector for connector in seen.connectors],
        "seen_fingerprints": [connector.fingerprint for connector in seen.connectors],
    }
