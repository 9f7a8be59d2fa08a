"""One seed, one run: every source of chance or of accidental order is tied to it."""

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from random import Random

import anyio
from trio._core import _run
from trio.testing import MockClock


def run_seeded(seed: int, play: Callable[[Random], Awaitable[None]]) -> None:
    """Run *play* on a virtual clock; whatever is drawn, is drawn from the one Random it is given.

    The event loop's order comes from there too. Two runs of a seed are the same to the last step,
    in whatever process.
    """
    chance = Random(seed)
    clock = MockClock(autojump_threshold=0)

    async def main() -> None:
        await play(chance)

    with _deterministic(chance), _no_collector():
        anyio.run(main, backend="trio", backend_options={"clock": clock})


@contextmanager
def _deterministic(chance: Random) -> Iterator[None]:
    """Trio sorts what is runnable and shuffles it by *chance*, as it does for Hypothesis."""
    module = vars(_run)
    before = {name: module[name] for name in ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING")}
    module.update(_r=chance, _ALLOW_DETERMINISTIC_SCHEDULING=True)
    try:
        yield
    finally:
        module.update(before)


@contextmanager
def _no_collector() -> Iterator[None]:
    """Cycles end between two runs: one that is collected closes generators at its own time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
