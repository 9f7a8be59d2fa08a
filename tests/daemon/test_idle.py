"""A pass that finds nothing writes nothing: statements and PostgreSQL's own counters say so."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from reconciler.model import KeyId
from reconciler.rules import Rules
from tests.daemon.house import HOUR, House, once, until

pytestmark = pytest.mark.anyio
BUSY = Rules(resync=timedelta(milliseconds=5), pulse=timedelta(milliseconds=5), renew=HOUR)
PASSES = 10
_CHANGE = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|TRUNCATE|FOR KEY SHARE|nextval)\b", re.IGNORECASE
)
_COUNTERS = """
SELECT relname, n_tup_ins, n_tup_upd, n_tup_del, n_dead_tup FROM pg_stat_user_tables
WHERE schemaname IN ('bridgetender', 'public') AND relname NOT IN ('leases', 'waiting', 'bridges')
ORDER BY relname
"""
"""Taking a lease, giving it back and the first listing under it are no passes that find nothing."""


@contextmanager
def changes(engine: AsyncEngine) -> Iterator[list[str]]:
    """Yield the list of statements that change or lock rows; it grows."""
    found: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _CHANGE.search(statement):
            found.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield found
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def counters(postgres: Server, engine: AsyncEngine) -> Sequence[tuple[Any, ...]]:
    """Return what PostgreSQL has counted, once every connection has told it."""
    await engine.dispose()
    name = engine.url.database
    connection = await asyncpg.connect(postgres.dsn(str(name)))

    async def alone() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        return bool(await connection.fetchval(query) == 1)

    try:
        await until(alone)
        return [tuple(row) for row in await connection.fetch(_COUNTERS)]
    finally:
        await connection.close()


async def settle(house: House) -> dict[KeyId, tuple[str, str]]:
    """Settle keys of every kind; return where they stand."""
    world, bridge = house.world, house.bridge
    acme, twin = await world.add_client("Acme"), await world.add_client("ACME")
    paused = await world.add_client("Paused", "PAUSED")
    bridge.unsupported.add("mtgox")
    bridge.refused.add("refused")
    older = await world.add_key(acme, "okx")
    expected = {
        older: ("conflict", "slot_taken"),
        await world.add_key(acme, "okx"): ("live", "applied"),
        await world.add_key(acme, "binance"): ("live", "applied"),
        await world.add_key(acme, "kraken", api_key="refused"): ("parked", "refused"),
        await world.add_key(acme, "mtgox"): ("parked", "unsupported"),
        await world.add_key(acme, "gate", active=False): ("inactive", "disabled"),
        await world.add_key(twin, "binance"): ("conflict", "account_taken"),
        await world.add_key(paused, "binance"): ("parked", "paused"),
    }
    async with house.running():
        await house.until_standing(expected)
    return expected


async def test_an_idle_pass_writes_nothing(postgres: Server, engine: AsyncEngine) -> None:
    house = House(engine, BUSY)
    expected = await settle(house)
    before = await counters(postgres, engine)
    async with house.running():
        await after_passes(house)
        with changes(engine) as written:
            await after_passes(house)
        assert written == []
    assert await counters(postgres, engine) == before
    assert house.meter.passes[-PASSES:] == ["ok"] * PASSES
    assert await house.standing() == expected


async def test_a_pass_that_finds_something_is_seen_to_write(
    postgres: Server, engine: AsyncEngine
) -> None:
    """Else the test above would prove nothing."""
    house = House(engine, BUSY)
    expected = await settle(house)
    key = next(key for key, (phase, _) in expected.items() if phase == "live")
    before = await counters(postgres, engine)
    async with house.running():
        await after_passes(house)
        attempts = len(await house.store.attempts())
        with changes(engine) as written:
            await house.world.rotate_key(key)
            await until(lambda: more_than(house, attempts))
    written_to = {name for name in ("connectors", "attempts") if any(name in s for s in written)}
    assert written_to == {"connectors", "attempts"}
    after = await counters(postgres, engine)
    changed = {row[0] for row, was in zip(after, before, strict=True) if row != was}
    assert changed == {"attempts", "connectors", "exchange_api_keys", "transitions"}


async def more_than(house: House, attempts: int) -> bool:
    return len(await house.store.attempts()) > attempts


async def after_passes(house: House) -> None:
    """Return when that many more passes over everything have ended."""
    seen = len(house.meter.passes)
    await once(lambda: len(house.meter.passes) >= seen + PASSES + 1)


async def test_labels_and_times_of_keys_are_no_reason_to_write(engine: AsyncEngine) -> None:
    house = House(engine, BUSY)
    for key in await settle(house):
        await house.world.touch_key(key)
    async with house.running():
        await after_passes(house)
        with changes(engine) as written:
            await after_passes(house)
        assert written == []
