from uuid import UUID

import anyio
import pytest

from reconciler.desk import Desk
from reconciler.lookout import Lookout
from reconciler.model import ClientId, Lease, Phase, SealedKey, Slot, Urgency
from reconciler.pacing import Breaker
from reconciler.ports import Clients
from tests.fakes import BRIDGE
from tests.reconciler.examples import KEY, RULES, SLOT, record
from tests.reconciler.house import House

pytestmark = pytest.mark.anyio
ACME, BLUE = frozenset({KEY.client_id}), frozenset({ClientId(UUID(int=9))})
SEALED = SealedKey(KEY, "sealed", "sealed")
OTHER = Slot(BRIDGE, "client_blue", "kraken")


async def desk() -> Desk:
    """Return one whose lookout has nothing to look at."""
    house = House()
    lookout = Lookout()
    await lookout.everything()
    lease = Lease(BRIDGE, "one", 1)
    return Desk(house.ports(house.store.leases), lease, Breaker(RULES.probe, 5), lookout)


async def hinted(of: Desk) -> Clients | str:
    with anyio.move_on_after(1):
        return await of.lookout.hinted()
    with anyio.move_on_after(1):
        await of.lookout.everything()
        return None
    return "nothing"


async def test_a_pass_writes_no_record_that_is_being_attempted() -> None:
    one = await desk()
    one.busy.add(SLOT)

    with one.passing() as under_way:
        assert one.free([record()], under_way) == []
    assert await hinted(one) == "nothing"

    one.done_with(SLOT, moved=True)
    assert await hinted(one) == ACME


async def test_a_pass_writes_no_record_that_was_attempted_since_it_began() -> None:
    one = await desk()
    one.busy.add(SLOT)
    with one.passing() as under_way:
        one.done_with(SLOT, moved=True)
        assert one.free([record()], under_way) == []
    assert await hinted(one) == ACME


async def test_a_pass_writes_no_record_that_another_wrote_since_it_began() -> None:
    one = await desk()
    with one.passing() as first, one.passing() as second:
        one.hand([record()], {}, second)

        assert one.free([record()], second) == [record()]
        assert one.free([record()], first) == []
    assert await hinted(one) == ACME


@pytest.mark.parametrize(("waited", "kept"), [(0.1, SEALED), (2.0, None)])
async def test_a_key_that_waited_for_the_worker_is_to_be_read_again(
    waited: float, kept: SealedKey | None
) -> None:
    one = await desk()
    one.room = lambda _: 1
    due = record(Phase.PENDING, urgency=Urgency.NOW, due_at=one.ports.clock.now())
    with one.passing() as under_way:
        assert one.hand([due], {SLOT: SEALED}, under_way) == []

    await anyio.sleep(waited)

    assert [(each.record, each.sealed) for each in one.take_fresh()] == [(due, kept)]


async def test_a_pass_may_write_what_was_only_put_off() -> None:
    one = await desk()
    one.busy |= {SLOT, OTHER}
    with one.passing() as under_way:
        one.done_with(SLOT, moved=False)
        assert one.free([record()], under_way) == [record()]
    assert await hinted(one) == "nothing"


async def test_of_what_is_to_be_looked_at_afterwards_everything_wins() -> None:
    for asked in ([None, BLUE], [BLUE, None]):
        one = await desk()
        one.busy.add(SLOT)
        for clients in asked:
            one.afterwards(SLOT, clients)

        one.done_with(SLOT, moved=False)

        assert await hinted(one) is None
