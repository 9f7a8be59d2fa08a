"""The daemon dies, stops, freezes, loses its sense of time, or is one of many."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import product
from typing import Any

import anyio

from daemon.embedded.errors import EmbeddedError
from daemon.vault import new_key
from tests.conftest import do_without
from tests.daemon.bridges.wire import Asked, Said
from tests.faults.fault import fault, meanwhile
from tests.faults.relay import Forward
from tests.faults.scene import Scene

STEPS = (
    *(("GET", "/connectors"), ("POST", "/accounts/create"), ("POST", "/connectors/add")),
    *(("POST", "/connectors/verify"), ("DELETE", "/connectors/")),
)
"""The requests of a turn: method, and how the path begins."""
MOMENTS = ("before", "during", "after")
REPLICAS = ("daemon", "two", "three", "four", "five")
HOUR = 3600


# -- it dies ---------------------------------------------------------------------------------


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


@fault(times=2, quick=1, bustle=4)
async def daemon_killed_at_every_step(scene: Scene) -> AsyncIterator[None]:
    """kill -9 before, during and after each kind of request to the bridge"""
    left = list(product(STEPS, MOMENTS))
    scene.chance.shuffle(left)

    async def trouble(asked: Asked, forward: Forward) -> Said:
        moment = _taken(left, asked)
        if moment == "before":
            _kill(scene)
        said = await forward(asked)
        if moment == "during":
            _kill(scene)
        if moment == "after":
            asyncio.get_running_loop().call_later(0.001, _kill, scene)
        return said

    await scene.through_relay()
    scene.relay.trouble = trouble
    await scene.restart_bridge()
    async with _revived(scene, left):
        yield
    scene.relay.trouble = None


@fault(times=2, bustle=4)
async def daemon_killed_at_database_messages(scene: Scene) -> AsyncIterator[None]:
    """kill -9 as it sends something to the database, twelve times, each time something else"""
    deaths = [scene.chance.randrange(1, 60) for _ in range(12)]
    heard = 0

    def overhear(_: bytes) -> None:
        nonlocal heard
        heard += 1
        if deaths and heard >= deaths[0]:
            deaths.pop(0)
            heard = 0
            _kill(scene)

    scene.wire.overhear = overhear
    await scene.restart_bridge()
    async with _revived(scene, deaths):
        yield
    scene.wire.overhear = lambda _: None


def _taken(left: list[tuple[tuple[str, str], str]], asked: Asked) -> str | None:
    """Take the next moment for this kind of request off the list, if there is one left."""
    for step in left:
        (method, path), moment = step
        if asked.method == method and asked.path.startswith(path):
            left.remove(step)
            return moment
    return None


def _kill(scene: Scene) -> None:
    """Kill the daemon, if it is there."""
    if "daemon" in scene.site.children:
        scene.site.children["daemon"].kill()


@asynccontextmanager
async def _revived(scene: Scene, left: list[Any]) -> AsyncIterator[None]:
    """Start the daemon again whenever it has died, until nothing is *left*, or half a minute."""

    async def revive() -> None:
        while True:
            await scene.site.children["daemon"].wait()
            with anyio.CancelScope(shield=True):
                await _start_again(scene)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(revive)
        yield
        with anyio.move_on_after(30):
            while left:  # noqa: ASYNC110  (other processes have no events)
                await anyio.sleep(0.1)
        left.clear()
        tasks.cancel_scope.cancel()
    await anyio.sleep(0.1)  # the last kill may be on its way
    while scene.site.children["daemon"].returncode is not None:
        await _start_again(scene)


async def _start_again(scene: Scene) -> None:
    await scene.site.kill("daemon")
    with suppress(EmbeddedError):  # it may be killed again while it starts
        await scene.site.start_replica("daemon")


@fault(times=3, clients=12)
async def daemon_told_to_stop_in_a_burst(scene: Scene) -> AsyncIterator[None]:
    """SIGTERM while everything is initialized anew, three times"""
    await scene.restart_bridge()
    for _ in range(3):
        await scene.pause(0, 0.3)
        await scene.restart_daemon()
    yield


@fault(times=3, quick=1, bustle=2)
async def everything_killed(scene: Scene) -> AsyncIterator[None]:
    """kill -9 of daemon, bridge and PostgreSQL, eight times at random instants"""

    async def restart_daemon() -> None:
        await scene.site.kill("daemon")
        await scene.site.start_replica("daemon")

    async def kill() -> None:
        for _ in range(8):
            await scene.pause(0, 0.7)
            kinds = (restart_daemon, scene.restart_bridge, scene.crash_database)
            await scene.chance.choice(kinds)()

    async with meanwhile(kill):
        yield


# -- it is one of many -----------------------------------------------------------------------


@fault(times=2, bustle=2)
async def two_replicas(scene: Scene) -> AsyncIterator[None]:
    """of two daemons one is killed or stopped, again and again"""
    async with meanwhile(lambda: _come_and_go(scene, REPLICAS[:2], 6)):
        yield


@fault(times=2, bustle=3)
async def five_replicas(scene: Scene) -> AsyncIterator[None]:
    """of five daemons one is killed or stopped, again and again, and once the bridge"""

    async def come_and_go() -> None:
        await _come_and_go(scene, REPLICAS, 4)
        await scene.restart_bridge()
        await _come_and_go(scene, REPLICAS, 4)

    async with meanwhile(come_and_go):
        yield


async def _come_and_go(scene: Scene, names: tuple[str, ...], times: int) -> None:
    for name in names:
        if name not in scene.site.children:
            await scene.site.start_replica(name)
    for _ in range(times):
        name = scene.chance.choice(names)
        await scene.pause(0, 1)
        await scene.chance.choice((scene.site.kill, scene.site.stop))(name)
        await scene.pause(0, 1)
        await scene.site.start_replica(name)


@fault(times=2, quick=1, bustle=2)
async def holder_frozen(scene: Scene) -> AsyncIterator[None]:
    """the holder stands still (SIGSTOP) past its lease and goes on when another has taken over"""
    await scene.site.start_replica("two")
    await scene.firm.until(scene.firm.is_awaited)
    await scene.restart_bridge()  # so that it is at work
    await scene.pause(0, 0.5)
    scene.site.signal("daemon", signal.SIGSTOP)
    try:
        await scene.firm.until(lambda: scene.firm.is_held_by("two"))
        yield
    finally:
        scene.site.signal("daemon", signal.SIGCONT)
    await scene.pause(1, 2)


@fault()
async def another_encryption_key(scene: Scene) -> AsyncIterator[None]:
    """a second daemon has another ENCRYPTION_KEY, and is alone for a while"""
    other = scene.site.directory / "other-key"
    other.write_text(new_key().reveal())
    await scene.site.start_replica("other", ENCRYPTION_KEY_FILE=str(other))
    await scene.site.kill("daemon")
    yield
    await scene.pause(1, 2)
    await scene.site.start_replica("daemon")


# -- its clock -------------------------------------------------------------------------------


@fault()
async def clock_an_hour_ahead(scene: Scene) -> AsyncIterator[None]:
    """its clock jumps ahead by an hour, and back at the end"""
    async with _clock(scene, HOUR):
        yield


@fault()
async def clock_an_hour_behind(scene: Scene) -> AsyncIterator[None]:
    """its clock jumps back by an hour, and ahead at the end"""
    async with _clock(scene, -HOUR):
        yield


@asynccontextmanager
async def _clock(scene: Scene, seconds: int) -> AsyncIterator[None]:
    """Let the daemon's clock be off meanwhile; the bridge restarts, and there is work."""
    found = [each async for each in anyio.Path("/usr/lib").glob("*/faketime/libfaketime.so.1")]
    if not found:
        do_without("libfaketime")
    file = scene.site.directory / "clock"
    file.write_text("+0")
    await scene.restart_daemon(
        LD_PRELOAD=str(found[0]),
        FAKETIME_TIMESTAMP_FILE=str(file),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    await scene.pause(1, 2)
    file.write_text(f"{seconds:+}")
    await scene.restart_bridge()
    yield
    await scene.pause(1, 2)
    file.write_text("+0")
    await scene.restart_bridge()
