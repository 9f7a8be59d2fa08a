"""The daemon dies, stops, or is one of many."""

from collections.abc import AsyncIterator

from tests.faults.fault import fault, meanwhile
from tests.faults.scene import Scene


@fault(times=5, quick=1, bustle=2)
async def daemon_killed(scene: Scene) -> AsyncIterator[None]:
    """kill -9 of the daemon, five times at random instants"""

    async def kill() -> None:
        for _ in range(5):
            await scene.pause(0, 1)
            await scene.site.kill("daemon")
            await scene.site.start_replica("daemon")

    async with meanwhile(kill):
        yield
