"""Questions to exchanges that outlast whoever asked: the next one to ask gets their answers."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, TypeVar

KEPT_S = 30.0
"""Seconds for which an answer that came too late is kept."""
Answer = dict[str, Any]
Ask = Callable[[], Awaitable[Answer]]
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
                if not task.done():
                    self._keep(key, task)
        return {key: task.result() if task.done() else None for key, task in tasks.items()}

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()

    def _begun(self, key: Hashable, ask: Ask) -> asyncio.Task[Answer]:
        if key in self._tasks:
            return self._tasks.pop(key)
        return asyncio.create_task(_asked(ask))

    def _keep(self, key: Hashable, task: asyncio.Task[Answer]) -> None:
        def forget() -> None:
            if self._tasks.get(key) is task:
                del self._tasks[key]

        self._tasks[key] = task
        task.add_done_callback(lambda _: task.get_loop().call_later(self._kept_s, forget))


async def _asked(ask: Ask) -> Answer:
    return await ask()
