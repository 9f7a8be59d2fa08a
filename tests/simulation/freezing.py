"""Processes that stand still while the clock goes on, on one event loop.

Each replica's tasks carry it in their context. What becomes runnable of one that is frozen is put
aside, and is run once it thaws: as after SIGSTOP and SIGCONT, or a long pause of its machine.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
from trio._core._run import GLOBAL_RUN_CONTEXT
from trio.lowlevel import Task


class Process:
    """What can be frozen: whatever runs within `inside` it, and all that is started there."""

    def __init__(self) -> None:
        self.frozen = False
        self.held: list[Task] = []

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        GLOBAL_RUN_CONTEXT.runner.runq.extend(self.held)
        self.held.clear()


_process: ContextVar[Process | None] = ContextVar("process", default=None)


class _Runnable(deque[Task]):
    """The event loop's queue, but for what belongs to a frozen process."""

    def append(self, task: Task, /) -> None:
        process = task.context.get(_process)
        if process is not None and process.frozen:
            process.held.append(task)
        else:
            super().append(task)


def watch_for_frozen() -> None:
    """Let the event loop that runs now know of processes."""
    runner = GLOBAL_RUN_CONTEXT.runner
    runner.runq = _Runnable(runner.runq)


@contextmanager
def inside(process: Process | None) -> Iterator[None]:
    """Let what is done or started here belong to *process*; None for the world around."""
    token = _process.set(process)
    try:
        yield
    finally:
        _process.reset(token)


async def stand_still_if_frozen(process: Process) -> None:
    """Go on no sooner than *process* does, after something was done for it outside."""
    if process.frozen:
        await anyio.lowlevel.cancel_shielded_checkpoint()
