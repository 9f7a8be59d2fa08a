"""The bridge dies, hangs, or answers what it should not."""

from collections.abc import AsyncIterator

from tests.faults.fault import fault
from tests.faults.scene import Scene


@fault(quick=1)
async def bridge_restarts(scene: Scene) -> AsyncIterator[None]:
    """it dies and comes back empty"""
    await scene.site.kill("bridge")
    yield
    await scene.start_bridge()
