"""Hints from PostgreSQL: heard, lost, misunderstood, and never needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store.audit import NOBODY
from daemon.store.engine import make_engine
from daemon.store.listen import CHANNEL, Heed, Patience, listen, parse
from daemon.store.tokens import Tokens
from reconciler.model import BridgeName, ClientId
from reconciler.ports import Clients
from tests.daemon.house import House, once
from tests.fakes import BRIDGE
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio
HASTY = Patience(poll=0.05)
ONE = UUID(int=1)
_EARS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND (query ILIKE 'listen%' OR query ILIKE '%pg_trigger%')
  AND pid <> pg_backend_pid()
"""


@dataclass
class Ear:
    """What was heard, in its order: hints, and whether LISTEN is connected."""

    heard: list[Clients] = field(default_factory=list)
    connected: list[bool] = field(default_factory=list)
    free: list[BridgeName] = field(default_factory=list)
    revoked: list[bool] = field(default_factory=list)

    @asynccontextmanager
    async def open(
        self,
        engine: AsyncEngine,
        through: AsyncEngine | Literal["same"] | None = "same",
        patience: Patience = HASTY,
    ) -> AsyncIterator[None]:
        ears = engine if through == "same" else through

        async def hear() -> None:
            heed = Heed(
                self.heard.append,
                self.free.append,
                self.connected.append,
                revoked=lambda: self.revoked.append(True),
            )
            await listen(engine, ears, heed, patience)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hear)
            yield
            tasks.cancel_scope.cancel()


async def test_each_change_of_a_key_names_its_client(engine: AsyncEngine) -> None:
    house, ear = House(engine), Ear()
    client = await house.world.add_client("Acme")
    async with ear.open(engine):
        await once(lambda: ear.heard == [None])  # once connected, everything is looked at
        key = await house.world.add_key(client, "binance")
        await house.world.rotate_key(key)
        await house.world.set_client_status(client, "PAUSED")
        await house.world.delete_key(key)
        await once(lambda: ear.heard[1:] == [frozenset({client})] * 4)


async def test_truncate_and_changes_of_very_many_name_nobody(engine: AsyncEngine) -> None:
    house, ear = House(engine), Ear()
    async with ear.open(engine):
        await once(lambda: ear.heard == [None])
        await house.do(
            "INSERT INTO clients (name) SELECT 'c' || n FROM generate_series(1, 101) n",
            "INSERT INTO exchange_api_keys (client_id, exchange, api_key, api_secret)"
            " SELECT id, 'binance', id::text, 's' FROM clients",
        )
        await once(lambda: ear.heard == [None, None])
        await house.do("TRUNCATE exchange_api_keys")
        await once(lambda: ear.heard == [None, None, None])


async def test_a_pause_and_its_end_are_heard_once_each(engine: AsyncEngine) -> None:
    house, ear = House(engine), Ear()
    async with ear.open(engine):
        await once(lambda: ear.heard == [None])
        for _ in range(2):
            await house.world.pause("all")
        await once(lambda: ear.heard == [None, None])
        for _ in range(2):
            await house.world.resume("all")
        await once(lambda: ear.heard == [None, None, None])


async def test_a_broken_line_is_mended_and_everything_looked_at(engine: AsyncEngine) -> None:
    house, ear = House(engine), Ear()
    client = await house.world.add_client("Acme")
    async with ear.open(engine):
        await once(lambda: ear.connected == [True])
        await house.do(_EARS)
        await once(lambda: ear.connected == [True, False, True])
        await once(lambda: len(ear.heard) >= 3)
        assert set(ear.heard) == {None}
        await house.world.add_key(client, "binance")
        await once(lambda: frozenset({client}) in ear.heard)


async def test_while_the_database_cannot_be_reached_it_is_asked_again_and_again(
    engine: AsyncEngine,
) -> None:
    ear = Ear()
    name = engine.url.database
    house = House(engine)
    async with ear.open(engine):
        await once(lambda: ear.connected == [True])
        await house.do(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        try:
            await house.do(_EARS)
        finally:
            await house.do(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        await once(lambda: ear.connected[-2:] == [False, True])


async def test_without_a_line_everything_is_looked_at_now_and_then(engine: AsyncEngine) -> None:
    ear = Ear()
    async with ear.open(engine, None):
        await once(lambda: len(ear.heard) >= 3)
    assert set(ear.heard) == {None}
    assert set(ear.connected) == {False}


async def test_a_bridge_that_is_given_back_is_named(engine: AsyncEngine) -> None:
    house, ear = House(engine), Ear()
    lease = await house.store.leases.acquire(BRIDGE)
    assert lease
    async with ear.open(engine):
        await once(lambda: ear.connected == [True])
        await house.store.leases.release(lease)
        await once(lambda: ear.free == [BRIDGE])
        await house.store.leases.release(replace(lease, epoch=9))  # not ours to give
        await house.do(f"SELECT pg_notify('{CHANNEL}', '*')")
        await once(lambda: ear.heard == [None, None])
    assert ear.free == [BRIDGE]


async def test_a_token_that_is_revoked_and_a_logout_are_heard_in_every_replica(
    engine: AsyncEngine,
) -> None:
    tokens, ear = Tokens(engine), Ear()
    async with ear.open(engine):
        await once(lambda: ear.heard == [None])
        made = await tokens.create("one", "admin", "digest", NOBODY)
        await tokens.log_out(made.id)
        await once(lambda: ear.revoked == [True])
        await tokens.revoke("one", NOBODY)
        await once(lambda: ear.revoked == [True, True])


async def test_a_line_that_delivers_nothing_is_not_trusted(
    engine: AsyncEngine, postgres: Server
) -> None:
    """As through a pooler. What is notified in one database is not heard in another."""
    elsewhere, ear = make_engine(postgres.url("postgres")), Ear()
    async with ear.open(engine, elsewhere, Patience(poll=0.01, proof=0.05, deaf=0.1)):
        await once(lambda: len(ear.connected) >= 2)
        await once(lambda: len(ear.heard) >= 3)
    assert set(ear.connected) == {False}
    assert set(ear.heard) == {None}
    await elsewhere.dispose()


async def test_a_line_that_falls_silent_is_noticed_and_tried_again(
    engine: AsyncEngine, postgres: Server
) -> None:
    """As behind a firewall that forgot the connection: it stays open, and nothing comes."""
    ear = Ear()
    async with Proxy(postgres.socket / ".s.PGSQL.5432").running() as proxy:
        through = make_engine(proxied(engine, proxy))
        patience = Patience(poll=0.01, prove=0.05, proof=0.5, deaf=0.1)
        async with ear.open(engine, through, patience):
            await once(lambda: ear.connected == [True])
            proxy.hold()
            await once(lambda: ear.connected[:2] == [True, False])
            await once(lambda: len(ear.heard) >= 3)
            proxy.let_go()
            await once(lambda: ear.connected[-1])
        await through.dispose()


def proxied(engine: AsyncEngine, proxy: Proxy) -> str:
    name, user = engine.url.database, engine.url.username
    return f"postgresql://{user}@127.0.0.1:{proxy.port}/{name}?sslmode=disable"


async def test_a_hint_makes_a_new_key_live_without_waiting_for_the_next_look(
    engine: AsyncEngine,
) -> None:
    house = House(engine)  # which looks around once an hour
    client = await house.world.add_client("Acme")
    async with house.running(), ear_of(house):
        await once(lambda: house.meter.passes != [])
        key = await house.world.add_key(client, "binance")
        await house.until_live(key)
        await house.world.delete_key(key)
        await once(lambda: house.bridge.connectors == {})


async def test_a_line_that_breaks_under_the_loop_costs_one_poll_and_no_key(
    engine: AsyncEngine,
) -> None:
    house = House(engine)
    client = await house.world.add_client("Acme")
    async with house.running(), ear_of(house):
        await once(lambda: house.meter.passes != [])
        await house.do(_EARS)
        await house.until_live(await house.world.add_key(client, "binance"))
        await house.until_live(await house.world.add_key(client, "okx"))


async def test_a_truncated_table_is_just_another_difference(engine: AsyncEngine) -> None:
    house = House(engine)
    client = await house.world.add_client("Acme")
    key = await house.world.add_key(client, "binance")
    async with house.running(), ear_of(house):
        await house.until_live(key)
        await house.do("TRUNCATE exchange_api_keys")
        await once(lambda: house.bridge.connectors == {})
        again = await house.world.add_key(client, "binance")
        await house.until_live(again)


async def test_a_restored_backup_is_just_another_difference(engine: AsyncEngine) -> None:
    house, tables = House(engine), ("public.clients", "public.exchange_api_keys")
    ours = ("bridgetender.accounts", "bridgetender.connectors", "bridgetender.attempts")
    client = await house.world.add_client("Acme")
    kept = await house.world.add_key(client, "binance", api_key="old")
    gone = await house.world.add_key(client, "okx", api_key="gone")
    async with house.running(), ear_of(house):
        await house.until_live(kept)
        await house.until_live(gone)
        names = {table: "backup_" + table.partition(".")[2] for table in (*tables, *ours)}
        await house.do(*(f"CREATE TABLE {name} AS TABLE {t}" for t, name in names.items()))

        await house.world.rotate_key(kept, "new")
        await house.world.delete_key(gone)
        await house.until_live(await house.world.add_key(client, "kraken", api_key="later"))
        await once(lambda: there(house) == {"binance": "new", "kraken": "later"})

        await house.do(
            f"TRUNCATE {', '.join(names)}",
            *(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE {name}"
                for table, name in names.items()
            ),
        )
        # What was added later has no record any more: it is reported and never removed.
        await once(lambda: there(house) == {"binance": "old", "okx": "gone", "kraken": "later"})
        await once(lambda: house.meter.unmanaged_counts[-1] == 1)
        await house.until_live(kept)
        await house.until_live(gone)


def there(house: House) -> dict[str, str]:
    return {slot.connector: each.api_key for slot, each in house.bridge.connectors.items()}


@asynccontextmanager
async def ear_of(house: House) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:

        async def hear() -> None:
            heed = Heed(house.loop.look, lambda _: house.loop.ask(), lambda _: None)
            await listen(house.engine, house.engine, heed, HASTY)

        tasks.start_soon(hear)
        yield
        tasks.cancel_scope.cancel()


@given(st.sets(st.uuids(), min_size=1))
def test_a_hint_of_clients_is_read_as_it_was_written(clients: set[UUID]) -> None:
    assert parse(",".join(map(str, clients))) == frozenset(map(ClientId, clients))


@pytest.mark.parametrize(
    "payload", ["", "*", ",", "acme", f"{ONE},", f"{ONE};{ONE}", "\0", "💥", "[1]"]
)
def test_a_hint_that_is_not_understood_means_everybody(payload: str) -> None:
    assert parse(payload) is None


@given(st.text())
def test_no_payload_whatever_is_an_error(payload: str) -> None:
    named = parse(payload)
    assert named is None or len(named) <= payload.count(",") + 1
