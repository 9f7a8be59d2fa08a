"""The bridge dies, or forgets, or the exchanges behind it do not answer."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.acceptance.firm import spoken_to
from tests.faults.crowd import EXCHANGES
from tests.faults.fault import fault, meanwhile
from tests.faults.scene import Scene


@fault(times=2)
async def bridge_restarts(scene: Scene) -> AsyncIterator[None]:
    """it dies and comes back empty"""
    await scene.restart_bridge()
    yield


@fault(times=3, clients=12)
async def bridge_restarts_in_a_burst(scene: Scene) -> AsyncIterator[None]:
    """it dies again while it is given everything anew"""
    await scene.restart_bridge()
    await scene.pause(0.2, 0.6)
    await scene.restart_bridge()
    yield


@fault(times=4, bustle=2)
async def bridge_killed(scene: Scene) -> AsyncIterator[None]:
    """kill -9 of the bridge, five times at random instants"""

    async def kill() -> None:
        for _ in range(5):
            await scene.pause(0, 1)
            await scene.restart_bridge()

    async with meanwhile(kill):
        yield


@fault()
async def bridge_down(scene: Scene) -> AsyncIterator[None]:
    """nothing listens there for some seconds"""
    await scene.site.kill("bridge")
    yield
    await scene.pause(2, 4)
    await scene.start_bridge()


@fault()
async def bridge_forgets_some(scene: Scene) -> AsyncIterator[None]:
    """half of its connectors vanish while it goes on running"""
    async with scene.firm.bridge() as bridge:
        for place in sorted(await scene.firm.labels_listed()):
            if scene.chance.random() < 0.5:
                await bridge.delete("/connectors/" + "/".join(place))
    yield


@fault()
async def exchanges_down(scene: Scene) -> AsyncIterator[None]:
    """every exchange answers 503, and the bridge restarts"""
    async with _exchanges(scene, kind="status", status=503):
        await scene.restart_bridge()
        yield


@fault()
async def exchanges_throttle(scene: Scene) -> AsyncIterator[None]:
    """every exchange answers 429 with Retry-After, and the bridge restarts"""
    async with _exchanges(scene, kind="throttle", retry_after=2):
        await scene.restart_bridge()
        yield


@asynccontextmanager
async def _exchanges(scene: Scene, **fault: Any) -> AsyncIterator[None]:
    async with spoken_to(scene.site.addresses["paper"]) as paper:
        for exchange in EXCHANGES:
            told = await paper.post("/_paper/faults", json={"exchange": exchange, **fault})
            told.raise_for_status()
        try:
            yield
        finally:
            await paper.delete("/_paper/faults")
