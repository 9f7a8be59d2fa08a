"""The store's ports on a real PostgreSQL, for their suite."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import Row, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.keys import PostgresKeys
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.store.pauses import Pauses, Scope, Subject
from daemon.store.people import People
from daemon.store.rows import COLUMNS, to_record
from daemon.store.tables import (
    attempts,
    clients,
    connectors,
    exchange_api_keys,
    leases,
    transitions,
)
from reconciler.model import (
    Attempt,
    BridgeName,
    ClientId,
    Instant,
    KeyId,
    Phase,
    Reason,
    Record,
    Slot,
    Transition,
)

LONG = timedelta(hours=1)
BORN = datetime(2030, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class PostgresWorld:
    """Ciphertexts are made up: the store never reads them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._people = People(engine)
        self._moments = count()

    async def add_client(
        self, name: str, status: str = "ACTIVE", account: str | None = None
    ) -> ClientId:
        client = await self._people.add_client(name, {"bridge_account": account} if account else {})
        born = BORN + timedelta(seconds=next(self._moments))
        await self._alter_client(client, status=status, created_at=born)
        return client

    async def add_key(
        self,
        client: ClientId,
        exchange: str,
        *,
        api_key: str | None = None,
        active: bool = True,
        testnet: bool = False,
        created_at: Instant | None = None,
    ) -> KeyId:
        born = BORN + timedelta(seconds=next(self._moments))
        values = {
            "client_id": client,
            "exchange": exchange,
            "api_key": api_key or f"key-{next(self._moments)}",
            "api_secret": "secret",
            "is_active": active,
            "is_testnet": testnet,
            "created_at": created_at.replace(tzinfo=None) if created_at else born,
        }
        query = insert(exchange_api_keys).values(values).returning(exchange_api_keys.c.id)
        async with transaction(self._engine) as connection:
            return KeyId((await connection.execute(query)).scalar_one())

    async def rotate_key(self, key: KeyId, api_key: str | None = None) -> None:
        await self._alter_key(key, api_key=api_key or f"key-{next(self._moments)}")

    async def reencrypt_key(self, key: KeyId) -> None:
        await self._alter_key(key, api_secret=f"sealed anew {next(self._moments)}")

    async def touch_key(self, key: KeyId) -> None:
        await self._alter_key(key, label=f"label {next(self._moments)}")

    async def set_key_active(self, key: KeyId, *, active: bool) -> None:
        await self._people.set_active(key, active=active)

    async def delete_key(self, key: KeyId) -> None:
        await self._people.delete_key(key)

    async def delete_client(self, client: ClientId) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(delete(clients).where(clients.c.id == client))

    async def set_client_status(self, client: ClientId, status: str) -> None:
        await self._alter_client(client, status=status)

    async def rename_client(self, client: ClientId, name: str) -> None:
        await self._alter_client(client, name=name)

    async def wish(self, key: KeyId) -> None:
        await self._people.wish(key_id=key)

    async def pause(self, scope: Scope, subject: object = "") -> None:
        await Pauses(self._engine).begin(Subject(scope, str(subject)), "tests", "")

    async def resume(self, scope: Scope, subject: object = "") -> None:
        await Pauses(self._engine).end(Subject(scope, str(subject)))

    async def _alter_client(self, client: ClientId, **values: object) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(update(clients).where(clients.c.id == client).values(values))

    async def _alter_key(self, key: KeyId, **values: object) -> None:
        query = update(exchange_api_keys).where(exchange_api_keys.c.id == key).values(values)
        async with transaction(self._engine) as connection:
            await connection.execute(query)


class PostgresStore:
    """A `tests.contracts.stores.Store`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self.world = PostgresWorld(engine)
        self.ledger = PostgresLedger(engine)
        self.keys = PostgresKeys(engine)
        self.leases = PostgresLeases(engine, "one", LONG)
        self.rival = PostgresLeases(engine, "two", LONG)

    async def record(self, slot: Slot) -> Record | None:
        c = connectors.c
        query = select(*(c[name] for name in COLUMNS)).where(
            c.bridge == slot.bridge, c.account == slot.account, c.connector == slot.connector
        )
        async with transaction(self._engine) as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else to_record(row)

    async def attempts(self) -> Sequence[Attempt]:
        async with transaction(self._engine) as connection:
            query = select(attempts).order_by(attempts.c.id)
            return [_to_attempt(row) for row in await connection.execute(query)]

    async def transitions(self) -> Sequence[Transition]:
        async with transaction(self._engine) as connection:
            query = select(transitions).order_by(transitions.c.id)
            return [_to_transition(row) for row in await connection.execute(query)]

    async def expire(self, bridge: BridgeName) -> None:
        async with transaction(self._engine) as connection:
            await connection.execute(
                update(leases)
                .where(leases.c.bridge == bridge)
                .values(expires_at=text("now() - interval '1 second'"))
            )


def _to_attempt(row: Row[*tuple[object, ...]]) -> Attempt:
    it = row._mapping
    slot = Slot(it["bridge"], it["account"], it["connector"])
    names = ("key_id", "exchange", "action", "verdict", "message", "at", "seconds")
    values = {name: it[name] for name in names}
    return Attempt(slot=slot, cause=Reason(it["cause"]), id=it["attempt"], **values)


def _to_transition(row: Row[*tuple[object, ...]]) -> Transition:
    it = row._mapping
    was = (Phase(it["from_phase"]), Reason(it["from_reason"])) if it["from_phase"] else None
    return Transition(
        slot=Slot(it["bridge"], it["account"], it["connector"]),
        was=was,
        phase=Phase(it["to_phase"]),
        reason=Reason(it["to_reason"]),
        cause=Reason(it["cause"]),
        **{name: it[name] for name in ("key_id", "client_id", "message", "at")},
    )
