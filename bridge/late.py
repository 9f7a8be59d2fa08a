"""Questions to exchanges that outlast whoever asked: the next one to ask gets their answers."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Mapping
from typing import Any, TypeVar

KEPT_S = 30.0
"""Seconds for which an answer that came too late is kept."""
Answer = dict[str, Any]
Ask = Callable[[], Coroutine[Any, Any, Answer]]
K = TypeVar("K", bound=Hashable)


class Late:
    """Holds what is under way, by what it is about."""

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._tasks: dict[Hashable, asyncio.Task[Answer]] = {}

    async def asked(self, questions: Mapping[K, Ask], wait_s: float) -> Mapping[K, Answer | None]:
        """Return the answers that are there within *wait_s*, None where one is under way still."""
        tasks = {key: self._begun(key, ask) for key, ask in questions.items()}
        try:
            if tasks:
                await asyncio.wait(tasks.values(), timeout=wait_s)
        finally:
            for key, task in tasks.items():
                if task.done():
                    self._forget(key, task)
        return {key: task.result() if task.done() else None for key, task in tasks.items()}

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _begun(self, key: Hashable, ask: Ask) -> asyncio.Task[Answer]:
        """Return the question that is under way, or has an answer that nobody fetched yet."""
        if key not in self._tasks:
            task = self._tasks[key] = asyncio.create_task(ask())
            later = asyncio.get_running_loop().call_later
            task.add_done_callback(lambda _: later(self._kept_s, self._forget, key, task))
        return self._tasks[key]

    def _forget(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        if self._tasks.get(key) is task:
            del self._tasks[key]
