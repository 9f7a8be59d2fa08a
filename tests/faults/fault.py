"""What a fault is, and the list of all of them."""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import anyio

from tests.faults.scene import Scene

Happening = Callable[[Scene], AsyncIterator[None]]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong and is over again.

    It begins where *during* is entered and has ended where that is left. It is tried *times* times,
    *quick* times in the quick part. *clients* have keys before it begins.
    """

    name: str
    story: str
    during: Callable[[Scene], AbstractAsyncContextManager[None]]
    times: int
    quick: int
    clients: int
    bustle: int
    """How often people go about their business meanwhile."""


FAULTS: dict[str, Fault] = {}


def fault(
    *, times: int = 1, quick: int = 0, clients: int = 4, bustle: int = 1
) -> Callable[[Happening], Happening]:
    """List a function that begins a fault, yields, and ends it; its docstring tells the story."""

    def listed(happening: Happening) -> Happening:
        name = happening.__name__.replace("_", "-")
        story = (inspect.getdoc(happening) or "").splitlines()[0]
        during = asynccontextmanager(happening)
        FAULTS[name] = Fault(name, story, during, times, quick, clients, bustle)
        return happening

    return listed


@asynccontextmanager
async def meanwhile(act: Callable[[], Coroutine[object, object, None]]) -> AsyncIterator[None]:
    """Do something beside the block, and wait for its end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(act)
        yield
