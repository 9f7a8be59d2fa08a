"""Where every key stands, for people and for metrics. Read only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.desired import BRIDGE, ROUTES, desired, paused
from daemon.store.direct import ask
from daemon.store.engine import transaction
from daemon.store.rows import columns, slot_row, to_record, to_rights
from reconciler.model import BridgeName, ClientId, KeyId, Record, Rights, Slot
from reconciler.routes import MAIN


class KeyStatus(NamedTuple):
    """One stored key and its connector. An inactive key has the phase "inactive".

    *holder_id* is the key that has the slot, where another does. A tuple, since ten thousand are
    made and compared for each look at them all.
    """

    key_id: KeyId
    client_id: ClientId
    client: str
    bridge: BridgeName
    exchange: str
    label: str | None
    is_testnet: bool
    is_active: bool
    account: str
    connector: str
    phase: str
    reason: str
    message: str
    failures: int
    due_at: datetime | None
    last_attempt_at: datetime | None
    live_since: datetime | None
    verified: str
    verified_at: datetime | None
    holder_id: UUID | None
    rights: Rights | None = None


class Leftover(NamedTuple):
    """A connector of ours whose key is gone, or whose bridge is; *held* if a pause keeps it."""

    bridge: BridgeName
    account: str
    connector: str
    phase: str
    reason: str
    message: str
    due_at: datetime | None
    held: bool


@dataclass(frozen=True, slots=True)
class BridgeStatus:
    """What the holder last saw of a bridge; *since* is None before it looked."""

    bridge: BridgeName
    up: bool
    reason: str
    since: datetime | None
    holder: str | None


def _standing(*, of_clients: bool) -> str:
    """Return where each key stands; only of the clients in the parameter :clients (uuid[])."""
    return f"""
WITH {desired(of_clients=of_clients, of_bridge=False)}
SELECT k.id, k.client_id, n.name, {BRIDGE} AS bridge,
  k.exchange, k.label, k.is_testnet, k.is_active,
  coalesce(p.account, n.account), coalesce(p.connector, lower(k.exchange)),
  CASE
    WHEN NOT k.is_active OR n.status = 'SUSPENDED' THEN 'inactive'
    WHEN NOT p.owned AND o.client_id IS NOT NULL OR d.key_id <> k.id THEN 'conflict'
    ELSE coalesce(r.phase, 'pending')
  END AS phase,
  CASE
    WHEN NOT k.is_active THEN 'disabled'
    WHEN n.status = 'SUSPENDED' THEN 'suspended'
    WHEN NOT p.owned AND o.client_id IS NOT NULL THEN 'account_taken'
    WHEN d.key_id <> k.id THEN 'slot_taken'
    ELSE coalesce(r.reason, 'new')
  END AS reason,
  coalesce(r.message, ''), coalesce(r.failures, 0), r.due_at, r.last_attempt_at,
  CASE WHEN r.phase = 'live' THEN r.live_since END,
  coalesce(r.verified, 'unknown'), r.verified_at, nullif(d.key_id, k.id),
  r.rights
FROM bridgetender.keys() k
JOIN named n ON n.id = k.client_id {ROUTES}
LEFT JOIN placed p ON p.key_id = k.id
LEFT JOIN bridgetender.accounts o ON o.bridge = {BRIDGE} AND o.account = n.account
LEFT JOIN desired d ON d.bridge = p.bridge AND d.account = p.account AND d.connector = p.connector
LEFT JOIN bridgetender.connectors r ON r.bridge = {BRIDGE} AND r.key_id = k.id
  AND d.key_id = k.id AND r.account = d.account AND r.connector = d.connector
"""


STANDING = _standing(of_clients=False)
_OF_CLIENTS = _standing(of_clients=True)
_KEYS = text(f"{STANDING} ORDER BY n.name, k.exchange, k.created_at, k.id")
_KEY = text(f"{_OF_CLIENTS} WHERE k.id = :key")
_WHOSE = text("SELECT client_id FROM bridgetender.keys() WHERE id = :key")
_OF_CLIENT = text(f"""
{_OF_CLIENTS} WHERE k.client_id = ANY(:clients) ORDER BY k.exchange, k.created_at, k.id
""")
_TRIED = text("""
SELECT r.key_id, coalesce(r.due_set_at, 'epoch') FROM bridgetender.connectors r
WHERE r.client_id = :client AND r.phase NOT IN ('pending', 'initializing')
""")
_RECORD = text(f"""
SELECT {columns("r")} FROM bridgetender.connectors r
WHERE r.bridge = :bridge AND r.account = :account AND r.connector = :connector
""")
DROPPED = """
  r.bridge <> ALL(ARRAY(SELECT bridge FROM bridgetender.routes))
  AND EXISTS (SELECT FROM bridgetender.routes)
"""
"""Whether connector *r* is on a bridge that the settings name no more."""
_LEFTOVERS = text(f"""
SELECT r.bridge, account, connector, phase,
  CASE WHEN dropped THEN 'bridge_dropped' ELSE reason END, message, due_at,
  {paused("r.bridge", "r.client_id", "r.key_id")}
FROM bridgetender.connectors r, LATERAL (SELECT {DROPPED} AS dropped) known
WHERE dropped OR phase IN ('removing', 'unremovable')
ORDER BY r.bridge, account, connector
""")
_BRIDGES = text("""
SELECT bridge, coalesce(b.up, false), coalesce(b.reason, 'not asked yet'), b.since,
  CASE WHEN l.expires_at > clock_timestamp() THEN l.holder END
FROM bridgetender.bridges b FULL JOIN bridgetender.leases l USING (bridge)
ORDER BY bridge
""")


class Status:
    """Answers questions about keys. May raise StoreError.

    *main* is the bridge of all keys before a daemon wrote down which bridges there are.
    """

    def __init__(self, engine: AsyncEngine, main: BridgeName = MAIN) -> None:
        self._engine = engine
        self._bridge = main

    async def keys(self) -> Sequence[KeyStatus]:
        return [_of_key(row) for row in await self._ask(_KEYS, bridge=self._bridge)]

    async def key(self, key_id: KeyId) -> KeyStatus | None:
        async with transaction(self._engine) as connection:
            whose = (await connection.execute(_WHOSE, {"key": key_id})).scalars().all()
            values = {"bridge": self._bridge, "key": key_id, "clients": whose}
            row = (await connection.execute(_KEY, values)).first()
        return _of_key(row) if row else None

    async def of_client(self, client_id: ClientId) -> Sequence[KeyStatus]:
        rows = await self._ask(_OF_CLIENT, bridge=self._bridge, clients=[client_id])
        return [_of_key(row) for row in rows]

    async def tried(self, client_id: ClientId) -> Mapping[KeyId, datetime]:
        """Return when what came of each key's last attempt was written; none while one is due."""
        rows = await self._ask(_TRIED, client=client_id)
        return {KeyId(key): at for key, at in rows}

    async def record(self, slot: Slot) -> Record | None:
        rows = await self._ask(_RECORD, **slot_row(slot))
        return to_record(rows[0]) if rows else None

    async def leftovers(self) -> Sequence[Leftover]:
        return [Leftover(*row) for row in await self._ask(_LEFTOVERS)]

    async def bridges(self) -> Sequence[BridgeStatus]:
        return [BridgeStatus(*row) for row in await self._ask(_BRIDGES)]

    async def _ask(self, query: TextClause, **values: object) -> Sequence[tuple[Any, ...]]:
        return await ask(self._engine, query, values)


def _of_key(row: Sequence[Any]) -> KeyStatus:
    return KeyStatus(*(*row[:-1], to_rights(row[-1])))
