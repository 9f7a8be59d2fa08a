from uuid import UUID

import anyio
import pytest
from anyio.abc import TaskStatus

from reconciler.bell import Bell
from reconciler.lookout import Lookout
from reconciler.model import ClientId

pytestmark = pytest.mark.anyio
ACME, BLUE = ClientId(UUID(int=1)), ClientId(UUID(int=2))


async def started() -> Lookout:
    lookout = Lookout()
    await lookout.everything()
    return lookout


async def test_it_starts_with_everything() -> None:
    await started()
    assert anyio.current_time() == 0


async def test_hints_collapse_into_one() -> None:
    lookout = await started()
    for client in (ACME, BLUE, ACME):
        lookout.look(frozenset({client}))

    assert await lookout.hinted() == {ACME, BLUE}
    with anyio.move_on_after(100) as scope:
        await lookout.hinted()
    assert scope.cancelled_caught


async def test_a_hint_that_names_nobody_is_everything() -> None:
    lookout = await started()
    lookout.look(None)
    lookout.within(5)

    await lookout.everything()
    assert anyio.current_time() == 0
    with anyio.move_on_after(100) as scope:
        await lookout.everything()
    assert scope.cancelled_caught


async def test_of_two_times_the_earlier_wins() -> None:
    lookout = await started()
    lookout.within(30)
    lookout.within(1)
    lookout.within(20)

    await lookout.everything()
    assert anyio.current_time() == 1


async def test_hints_do_not_put_off_the_time_for_everything() -> None:
    lookout = await started()
    lookout.within(5)
    for _ in range(2):
        await anyio.sleep(2)
        lookout.look(frozenset({ACME}))
        assert await lookout.hinted() == {ACME}

    await lookout.everything()
    assert anyio.current_time() == 5


async def test_a_hint_wakes_one_that_waits() -> None:
    lookout = await started()

    async def hint(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await anyio.sleep(3)
        lookout.look(frozenset({ACME}))

    async with anyio.create_task_group() as tasks:
        await tasks.start(hint)
        assert await lookout.hinted() == {ACME}
    assert anyio.current_time() == 3


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
