"""The demo that stays up: whoever kills its bridge sees it come back."""

from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from trio.testing import MockClock

from daemon.embedded.demo import REST, revive_the_bridge
from daemon.embedded.errors import EmbeddedError

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> Any:
    """Twenty seconds pass at once."""
    return "trio", {"clock": MockClock(autojump_threshold=0)}


class Process:
    def __init__(self, pid: int) -> None:
        self.pid, self.ended = pid, anyio.Event()

    async def wait(self) -> None:
        await self.ended.wait()


class Stage:
    """Starts at most *left* bridges; then somebody else has the place."""

    def __init__(self, left: int) -> None:
        self.children, self.left, self.started = {"bridge": Process(1)}, left, list[float]()

    async def start_bridge(self) -> None:
        if len(self.started) == self.left:
            raise EmbeddedError("the bridge did not start: the address is taken")
        self.started.append(anyio.current_time())
        self.children["bridge"] = Process(len(self.started) + 1)


async def test_a_bridge_that_is_killed_comes_back_each_time_after_a_while() -> None:
    stage, said = Stage(left=2), list[str]()
    audience = SimpleNamespace(say=said.append)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(revive_the_bridge, cast("Any", stage), cast("Any", audience))
        killed = list[float]()
        for _ in range(3):
            killed.append(anyio.current_time())
            stage.children["bridge"].ended.set()
            await anyio.sleep(REST + 1)
    assert stage.started == [at + REST for at in killed[:2]]
    assert stage.children["bridge"].pid == 3
    assert [words.split()[:4] for words in said[-2:]] == [
        ["The", "bridge", "has", "ended;"],
        ["It", "does", "not", "come"],
    ]
