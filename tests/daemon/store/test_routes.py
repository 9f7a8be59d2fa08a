"""Which bridge a key belongs to: SQL says what `reconciler.routes` says."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.audit import NOBODY
from daemon.store.engine import transaction
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.store.routes import (
    RoutesInForce,
    forget_bridge,
    routes_in_force,
    write_routes,
)
from daemon.store.status import Status
from reconciler.model import BridgeName, ClientId, KeyId
from reconciler.routes import MAIN, Routes
from tests.contracts.postgres import PostgresWorld

pytestmark = pytest.mark.anyio

NAMES = ("Acme", "acme ", "Birch & Co")
EXCHANGES = ("binance", "GateIO", "okx")
BRIDGES = (MAIN, BridgeName("second"), BridgeName("third"))
bridges = st.sampled_from(BRIDGES)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    default=bridges,
    by_name=st.dictionaries(st.sampled_from(("acme", "birch & co", "nobody")), bridges),
    by_id=st.dictionaries(st.sampled_from(range(len(NAMES))), bridges),
    by_exchange=st.dictionaries(st.sampled_from(("gate", "okx")), bridges),
)
async def test_each_key_is_wanted_on_the_bridge_of_its_route_and_on_no_other(
    engine: AsyncEngine,
    default: BridgeName,
    by_name: dict[str, BridgeName],
    by_id: dict[int, BridgeName],
    by_exchange: dict[str, BridgeName],
) -> None:
    keys = await _keys(engine)
    ids = list(dict.fromkeys(client for client, _, _ in keys.values()))
    clients = by_name | {str(ids[number]): bridge for number, bridge in by_id.items()}
    routes = Routes(default, clients, by_exchange)
    await write_routes(engine, routes)

    said = {key: routes.bridge_of(*about) for key, about in keys.items()}
    assert {key.key_id: key.bridge for key in await Status(engine).keys()} == said
    for bridge in BRIDGES:
        survey = await PostgresLedger(engine).survey(bridge, None, None)
        wanted = {case.want.id for case in survey.cases if case.want}
        placed = {key for key, its in said.items() if its == bridge}
        assert wanted <= placed
        assert len(wanted) == len({(_account(keys[k][1]), keys[k][2].lower()) for k in placed})


def _account(name: str) -> str:
    return name.lower().replace(" ", "_")


async def _keys(engine: AsyncEngine) -> dict[KeyId, tuple[ClientId, str, str]]:
    """Store a key of each client on each exchange, in a database without any."""
    async with transaction(engine) as connection:
        await connection.execute(text("TRUNCATE clients CASCADE"))
        await connection.execute(text("TRUNCATE bridgetender.accounts, bridgetender.connectors"))
    world = PostgresWorld(engine)
    found = {}
    for name in NAMES:
        client = await world.add_client(name)
        for exchange in EXCHANGES:
            found[await world.add_key(client, exchange)] = (client, name, exchange)
    return found


async def test_before_any_daemon_wrote_routes_every_key_is_of_the_bridge_that_asks(
    engine: AsyncEngine,
) -> None:
    await _keys(engine)
    asked = BridgeName("whatever")
    survey = await PostgresLedger(engine).survey(asked, None, None)
    assert {case.want.slot.bridge for case in survey.cases if case.want} == {asked}


async def test_a_bridge_that_is_held_is_taken_out_of_force_only_by_who_says_so(
    engine: AsyncEngine,
) -> None:
    two, one = Routes(MAIN, {}, {"okx": BRIDGES[1]}), Routes(MAIN)
    await write_routes(engine, two)
    lease = await PostgresLeases(engine, "a replica", timedelta(hours=1)).acquire(BRIDGES[1])
    with pytest.raises(RoutesInForce, match="do not name 'second', which another replica holds"):
        await write_routes(engine, one, over=False)
    assert await routes_in_force(engine) == set(two.rows())
    assert await write_routes(engine, Routes(MAIN, {"acme": BRIDGES[1]}), over=False)
    assert lease is not None
    await PostgresLeases(engine, "a replica", timedelta(hours=1)).release(lease)
    assert await write_routes(engine, one, over=False)


async def test_a_bridge_is_forgotten_once_nobody_has_it(engine: AsyncEngine) -> None:
    leases = PostgresLeases(engine, "a replica", timedelta(hours=1))
    second = BRIDGES[1]
    await write_routes(engine, Routes(MAIN, {}, {"okx": second}))
    lease = await leases.acquire(second)
    assert await forget_bridge(engine, second, NOBODY) is None
    await write_routes(engine, Routes(MAIN))
    assert await forget_bridge(engine, second, NOBODY) is None
    assert lease is not None
    now = datetime.now(UTC)
    ledger = PostgresLedger(engine)
    await ledger.hush(lease, {"okx": now + timedelta(hours=1)}, now)
    await leases.release(lease)
    assert await forget_bridge(engine, second, NOBODY) == 0
    assert await ledger.quiets(second, now) == {}
    assert second not in {bridge.bridge for bridge in await Status(engine).bridges()}
    assert await forget_bridge(engine, MAIN, NOBODY) is None


async def test_rules_that_are_in_force_are_not_written_again(engine: AsyncEngine) -> None:
    rules = Routes(MAIN, {"acme": BRIDGES[1]}, {"okx": BRIDGES[2]})
    assert await write_routes(engine, rules)
    assert not await write_routes(engine, rules)
    assert await write_routes(engine, Routes(MAIN))
