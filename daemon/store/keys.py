"""The stored keys as they are now, ciphertexts included. Read only."""

from collections.abc import Collection, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.desired import desired
from daemon.store.direct import ask
from daemon.store.rows import KEY_COLUMNS, columns, to_key
from reconciler.model import BridgeName, ClientId, SealedKey, Slot

_READ = text(f"""
WITH {desired(of_clients=True)}
SELECT {columns("d", KEY_COLUMNS)}, d.api_key, d.api_secret, d.passphrase
FROM desired d
JOIN unnest(CAST(:accounts AS text[]), CAST(:connectors AS text[])) AS asked (account, connector)
  ON asked.account = d.account AND asked.connector = d.connector
""")


class PostgresKeys:
    """A `reconciler.ports.Keys`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def read(self, slots: Collection[tuple[Slot, ClientId]]) -> Mapping[Slot, SealedKey]:
        found: dict[Slot, SealedKey] = {}
        for bridge in {slot.bridge for slot, _ in slots}:
            asked = {slot: client for slot, client in slots if slot.bridge == bridge}
            found |= await self._read(bridge, asked)
        return found

    async def _read(
        self, bridge: BridgeName, asked: Mapping[Slot, ClientId]
    ) -> dict[Slot, SealedKey]:
        values = {
            "bridge": bridge,
            "clients": list(set(asked.values())),
            "accounts": [slot.account for slot in asked],
            "connectors": [slot.connector for slot in asked],
        }
        rows = await ask(self._engine, _READ, values)
        sealed = [SealedKey(to_key(bridge, row[:-3]), *row[-3:]) for row in rows]
        return {each.key.slot: each for each in sealed}
