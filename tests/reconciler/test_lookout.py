from uuid import UUID

import anyio
import pytest
from anyio.abc import TaskStatus

from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import ClientId
from reconciler.ports import Clients

pytestmark = pytest.mark.anyio
ACME, BLUE = ClientId(UUID(int=1)), ClientId(UUID(int=2))


async def started() -> Lookout:
    lookout = Lookout()
    assert await lookout.next() is None
    return lookout


async def looked(lookout: Lookout) -> tuple[float, Clients]:
    clients = await lookout.next()
    return anyio.current_time(), clients


async def test_it_starts_with_everything() -> None:
    await started()


async def test_hints_collapse_into_one() -> None:
    lookout = await started()
    for client in (ACME, BLUE, ACME):
        lookout.look(frozenset({client}))

    assert await looked(lookout) == (0, frozenset({ACME, BLUE}))
    lookout.within(9)
    assert await looked(lookout) == (9, None)


async def test_everything_includes_the_hinted_ones() -> None:
    lookout = await started()
    lookout.look(frozenset({ACME}))
    lookout.look(None)
    lookout.within(5)

    assert await looked(lookout) == (0, None)
    with anyio.move_on_after(100) as scope:
        await lookout.next()
    assert scope.cancelled_caught


async def test_of_two_times_the_earlier_wins() -> None:
    lookout = await started()
    lookout.within(30)
    lookout.within(1)
    lookout.within(20)

    assert await looked(lookout) == (1, None)


async def test_hints_do_not_put_off_the_time_for_everything() -> None:
    lookout = await started()
    lookout.within(5)
    seen = []
    for _ in range(4):
        await anyio.sleep(2)
        lookout.look(frozenset({ACME}))
        seen.append(await looked(lookout))

    assert seen == [(2, {ACME}), (4, {ACME}), (6, None), (8, {ACME})]


async def test_a_hint_wakes_one_that_waits() -> None:
    lookout = await started()

    async def hint(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await anyio.sleep(3)
        lookout.look(frozenset({ACME}))

    async with anyio.create_task_group() as tasks:
        await tasks.start(hint)
        assert await looked(lookout) == (3, frozenset({ACME}))


async def test_a_bell_rung_before_anybody_waits_is_heard_once() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()

    await bell.wait(9)
    assert anyio.current_time() == 0
    await bell.wait(9)
    assert anyio.current_time() == 9


async def test_a_wait_for_no_time_is_none() -> None:
    await Bell().wait(-1)

    assert anyio.current_time() == 0
