"""The history of attempts is kept for a set time, and no longer."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from reconciler.model import Attempt, KeyId, Phase, Reason, Record, Slot
from tests.daemon.house import House
from tests.fakes import BRIDGE, START

pytestmark = pytest.mark.anyio
SLOT = Slot(BRIDGE, "client_acme", "binance")
ATTEMPT = Attempt(
    SLOT, KeyId(uuid4()), "binance", "initialize", Reason.NEW, "done", "", START, 0.1, "1-1"
)


async def test_only_attempts_that_are_older_are_forgotten(engine: AsyncEngine) -> None:
    house = House(engine)
    lease = await house.store.leases.acquire(BRIDGE)
    assert lease is not None
    client = await house.world.add_client("Acme")
    record = Record(
        SLOT, ATTEMPT.key_id, client, "binance", "", Phase.PARKED, Reason.REFUSED, due_at=START
    )
    second = timedelta(seconds=1)
    moments = [START - 2 * second, START - second, START, START + second]
    ended = [(record, replace(ATTEMPT, at=at)) for at in moments]
    for each in ended:
        await house.store.ledger.settle(lease, [each])

    assert await house.store.ledger.forget_history(START) == 2
    assert [attempt.at for attempt in await house.store.attempts()] == [START, START + second]
    assert await house.store.ledger.forget_history(START) == 0
    assert (await house.store.record(SLOT)) == record  # what stands is no history
