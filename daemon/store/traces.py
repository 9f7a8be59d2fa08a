"""Which part of the history a person's words mean: what is gone has left traces."""

import re
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.scrub import shown
from daemon.store.engine import transaction
from daemon.store.history import Excerpt
from daemon.store.people import NoSuchThing
from reconciler.model import KeyId

_HEX = re.compile(r"[0-9a-f]{8,32}")
_CLIENTS = text("""
SELECT id FROM bridgetender.clients() WHERE name = :words OR id = :id
UNION SELECT client_id FROM bridgetender.transitions WHERE client_id = :id
UNION SELECT client_id FROM bridgetender.connectors WHERE client_id = :id
""")
_OF_CLIENT = text("""
SELECT id FROM bridgetender.keys() WHERE client_id = :client
UNION SELECT key_id FROM bridgetender.connectors WHERE client_id = :client
UNION SELECT key_id FROM bridgetender.transitions WHERE client_id = :client
""")
_KEYS = text("""
SELECT id FROM bridgetender.keys() WHERE id BETWEEN :first AND :last
UNION SELECT key_id FROM bridgetender.connectors WHERE key_id BETWEEN :first AND :last
UNION SELECT key_id FROM bridgetender.transitions WHERE key_id BETWEEN :first AND :last
UNION SELECT key_id FROM bridgetender.attempts WHERE key_id BETWEEN :first AND :last
""")
_SLOTS = text("""
WITH RECURSIVE b AS (
  SELECT min(bridge) AS bridge FROM bridgetender.transitions
  UNION ALL
  SELECT (SELECT min(t.bridge) FROM bridgetender.transitions t WHERE t.bridge > b.bridge)
  FROM b WHERE b.bridge IS NOT NULL
), slots AS (
  SELECT bridge, account, connector, key_id FROM bridgetender.transitions
  WHERE bridge IN (SELECT bridge FROM b) AND account = ANY(:accounts)
  UNION
  SELECT bridge, account, connector, key_id FROM bridgetender.connectors
  WHERE account = ANY(:accounts)
)
SELECT DISTINCT bridge, account, connector, key_id FROM slots
WHERE :words IN (
  account, account || '/' || connector, bridge || '/' || account || '/' || connector)
""")


class Traces:
    """Finds keys, clients and slots by what people call them, those that are gone too."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find(self, words: str) -> Excerpt:
        """Return what is known of a client, a key or a slot. Raises NoSuchThing, StoreError.

        A client is said by its name or id, a key by its id or at least 8 characters of it, a slot
        as BRIDGE/ACCOUNT/CONNECTOR, or without what is not needed to tell it.
        """
        words = words.strip()
        if found := await self._client(words) or await self._key(words) or await self._slot(words):
            return found
        raise NoSuchThing(
            f"no key, client or slot {shown(words)!r} is known, nor was while history is kept:"
            " see 'bridgetender status'"
        )

    async def _client(self, words: str) -> Excerpt | None:
        clients = await self._ask(_CLIENTS, words=words, id=_uuid(words))
        if len(clients) > 1:
            raise NoSuchThing(f"{len(clients)} clients are named {shown(words)!r}: say the id")
        if not clients:
            return None
        return Excerpt(keys=[row.id for row in await self._ask(_OF_CLIENT, client=clients[0].id)])

    async def _key(self, words: str) -> Excerpt | None:
        digits = words.lower().replace("-", "")
        if not _HEX.fullmatch(digits):
            return None
        first, last = UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
        keys = await self._ask(_KEYS, first=first, last=last)
        if len(keys) > 1:
            raise NoSuchThing(f"{len(keys)} keys begin with {shown(words)!r}: say more of the id")
        return Excerpt(keys=[KeyId(keys[0].id)]) if keys else None

    async def _slot(self, words: str) -> Excerpt | None:
        slots = await self._ask(_SLOTS, words=words, accounts=_accounts(words))
        if not slots:
            return None
        bridges, accounts, connectors, keys = ({row[place] for row in slots} for place in range(4))
        return Excerpt(
            keys=sorted(keys),
            bridge=bridges.pop() if len(bridges) == 1 else None,
            account=accounts.pop() if len(accounts) == 1 else None,
            connector=connectors.pop() if len(connectors) == 1 else None,
        )

    async def _ask(self, query: TextClause, **values: object) -> Sequence[Any]:
        async with transaction(self._engine) as connection:
            return (await connection.execute(query, values)).all()


def _accounts(words: str) -> Sequence[str]:
    """Return the accounts that *words* may mean: an account's name may have a slash in it."""
    parts = words.split("/")
    return ["/".join(parts[first:last]) for first in (0, 1) for last in (len(parts), -1)]


def _uuid(words: str) -> UUID | None:
    try:
        return UUID(words)
    except ValueError:
        return None
