"""Leases beside slow statements, and names of replicas that are no more."""

from datetime import timedelta

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from daemon.store.leases import PostgresLeases, guard
from reconciler.verdicts import LeaseLost
from tests.contracts.postgres import PostgresStore
from tests.fakes import BRIDGE

pytestmark = pytest.mark.anyio
_NEXT_TO_WAIT = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


async def test_a_slow_write_of_ours_lets_our_renewal_through_and_nobody_elses_lease(
    engine: AsyncEngine,
) -> None:
    store = PostgresStore(engine)
    lease = await store.leases.acquire(BRIDGE)
    assert lease
    taken = anyio.Event()

    async def take() -> None:
        assert await store.rival.acquire(BRIDGE)
        taken.set()

    async with anyio.create_task_group() as tasks:
        async with transaction(engine) as connection:
            await guard(connection, lease)
            with anyio.fail_after(10):
                await store.leases.renew(lease)
            await store.expire(BRIDGE)
            tasks.start_soon(take)
            with anyio.fail_after(10):
                while (await connection.execute(_NEXT_TO_WAIT)).scalar_one() == 0:
                    await anyio.lowlevel.checkpoint()
            assert not taken.is_set()
        await taken.wait()
    with pytest.raises(LeaseLost):
        await store.leases.renew(lease)


async def test_who_asked_long_ago_counts_for_nothing_and_is_forgotten(engine: AsyncEngine) -> None:
    brief = timedelta(0)
    gone, other = (PostgresLeases(engine, name, brief) for name in ("gone", "other"))
    await gone.wait(BRIDGE)
    assert (await other.wait(BRIDGE)).waiting == frozenset()
    assert await other.acquire(BRIDGE)
    async with transaction(engine) as connection:
        rows = await connection.execute(text("SELECT count(*) FROM bridgetender.waiting"))
        assert rows.scalar_one() == 0
