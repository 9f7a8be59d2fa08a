"""Runs everything one daemon consists of, and ends it in order."""

import math
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import anyio
import structlog
from anyio.abc import TaskGroup

from daemon.fleet import Fleet
from daemon.notify import notify, reloading, watchdog_pause
from daemon.reload import Reread, reload
from daemon.settings import Settings
from daemon.store import schema
from daemon.store.away import in_a_line
from daemon.store.census import count_keys, take_census
from daemon.store.engine import dispose, require_writable, storing
from daemon.store.keyring import check_keyring, retry_undecryptable
from daemon.store.listen import Heed, Patience, listen
from daemon.store.pauses import Pauses
from daemon.store.routes import RoutesInForce, write_routes
from daemon.store.status import Status
from daemon.vault import FernetVault
from daemon.web.health import alive, health_app
from daemon.web.server import bind, serve, url_of
from daemon.wiring import Parts, check_bridges, open_vault
from reconciler.bell import Bell
from reconciler.model import BridgeName
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()

LOOK_PATIENCE = 5.0
"""Seconds after which a database that does not answer counts as away."""
LOOK_AT_DATABASE = 5.0
COUNT = 15.0
FORGET = 3_600.0
"""Seconds between two looks at the database, two censuses, two rounds of forgetting history."""


async def run(settings: Settings, reread: Reread | None = None) -> None:
    """Run one daemon until SIGTERM or SIGINT; on SIGHUP read the settings anew by *reread*.

    Raises AddressInUse, BadSettings or StoreError for settings that cannot work. What may come
    back, database and bridges, is waited for instead, and health says so.
    """
    check_bridges(settings)
    parts = Parts.of(settings)
    sock = bind(settings.health_host, settings.health_port, "BRIDGETENDER_HEALTH")
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, health_app(parts.vitals, parts.metrics.registry), sock)
            log.info("listening", health=url_of(sock))
            stop = anyio.Event()
            tasks.start_soon(_heed_signals, stop, parts)
            tasks.start_soon(_feed_watchdog, parts)
            anew = Bell()
            tasks.start_soon(_heed_reloads, anew)
            tasks.start_soon(_live, parts, (reread, anew), stop, tasks)
    finally:
        sock.close()
        await dispose(parts.engine)
        if parts.ear is not None:
            await dispose(parts.ear)


async def _heed_signals(stop: anyio.Event, parts: Parts) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                os._exit(128 + number)  # a second one: at once; what we started ends with us
            log.info("stopping", signal=signal.Signals(number).name)
            notify("STOPPING=1", "STATUS=Ending what is under way")
            parts.vitals.draining = True
            stop.set()


async def _feed_watchdog(parts: Parts) -> None:
    """Let systemd know of progress: a loop that no longer turns is to be killed."""
    pause = watchdog_pause()
    while pause is not None:
        if not any(alive(parts.vitals, monotonic()).values()):
            notify("WATCHDOG=1")
        await anyio.sleep(pause)


async def _live(
    parts: Parts, reloads: tuple[Reread | None, Bell], stop: anyio.Event, everything: TaskGroup
) -> None:
    """Start up, run the loops until *stop*, then end everything else."""
    reread, anew = reloads
    vault = await _unless(stop, lambda: _ready_vault(parts))
    if vault is not None:
        fleet = Fleet(parts, vault)
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(_hear, parts, fleet)
            helpers.start_soon(_every, _between_looks(parts), lambda: _look_on(parts, fleet))
            helpers.start_soon(_every, COUNT, lambda: _count(parts))
            helpers.start_soon(_every, FORGET, lambda: _forget(parts))
            if reread is not None:
                helpers.start_soon(_reload, anew, parts, fleet, vault, reread)
            notify("READY=1")
            await fleet.run(stop)
            helpers.cancel_scope.cancel()
    log.info("stopped")
    everything.cancel_scope.cancel()


async def _heed_reloads(anew: Bell) -> None:
    """Hear of SIGHUP from the first moment on: unheard, it would end the process."""
    with anyio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            anew.ring()


async def _reload(
    anew: Bell, parts: Parts, fleet: Fleet, vault: FernetVault, reread: Reread
) -> None:
    """Read the settings again each time that is asked for; before this, they just were."""
    while True:
        await anew.wait(math.inf)
        reloading()
        await reload(parts, fleet, vault, reread)
        notify("READY=1")


async def _unless(
    stop: anyio.Event, act: Callable[[], Awaitable[FernetVault]]
) -> FernetVault | None:
    result: FernetVault | None = None
    async with anyio.create_task_group() as tasks:

        async def give_up() -> None:
            await stop.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(give_up)
        result = await act()
        tasks.cancel_scope.cancel()
    return result


async def _ready_vault(parts: Parts) -> FernetVault:
    """Wait until the database is there, new enough, and of our keyring."""
    while True:
        await _look_at_database(parts)
        vitals = parts.vitals
        if vitals.database is None and vitals.schema is None:
            try:
                vault = await open_vault(parts.engine, parts.keyring)
                await write_routes(parts.engine, parts.settings.routes, over=False)
                await retry_undecryptable(parts.engine)
            except Undecryptable:
                vitals.keyring = "this ENCRYPTION_KEY is not the one this database was set up with"
            except RoutesInForce as error:
                vitals.keyring, vitals.routes = None, str(error)
            except StoreError as error:
                vitals.database = in_a_line(parts.engine, error)
            else:
                vitals.keyring = vitals.routes = None
                return vault
        reason = vitals.database or vitals.schema or vitals.keyring or vitals.routes
        log.error("not_ready", reason=reason, retry_in_s=_between_looks(parts))
        notify(f"STATUS=Waiting: {reason}")
        await anyio.sleep(_between_looks(parts))


def _between_looks(parts: Parts) -> float:
    return min(LOOK_AT_DATABASE, parts.settings.poll.total_seconds())


async def _look_on(parts: Parts, fleet: Fleet) -> None:
    """A replica that no longer reads what is stored gives its bridges back, and parks nobody."""
    await _look_at_database(parts)
    if parts.vitals.database is None and parts.vitals.schema is None:
        parts.vitals.keyring = await _keyring_trouble(parts)
    if parts.vitals.keyring and not fleet.resting:
        log.error("keyring_outdated", reason=parts.vitals.keyring)
        await fleet.rest()
    elif parts.vitals.keyring is None and fleet.resting:
        await retry_undecryptable(parts.engine)
        fleet.wake()


async def _keyring_trouble(parts: Parts) -> str | None:
    try:
        await check_keyring(parts.engine, parts.keyring.unseal)
    except Undecryptable:
        return "this ENCRYPTION_KEY no longer reads what is stored: add the present one, and SIGHUP"
    return None


async def _look_at_database(parts: Parts) -> None:
    vitals = parts.vitals
    try:
        with storing(), anyio.fail_after(LOOK_PATIENCE):
            await require_writable(parts.engine)
            version = await schema.version(parts.engine)
            old = version is None or version < schema.newest()
            unreadable = None if old else await schema.unreadable(parts.engine)
    except StoreError as error:
        vitals.database = in_a_line(parts.engine, error)
    else:
        vitals.database = None
        vitals.schema = (
            f"the schema is {version or 'missing'}, {schema.newest()} is needed:"
            " run 'bridgetender migrate'"
            if old
            else unreadable
        )
        await _hear_of_bridges(parts)
    vitals.database_seen_at = monotonic()


async def _hear_of_bridges(parts: Parts) -> None:
    """A replica that does not hold a bridge knows of it by what the holder wrote down."""
    if parts.vitals.schema is not None:
        return
    for seen in await Status(parts.engine).bridges():
        known = seen.bridge in parts.vitals.bridges and seen.since is not None
        if known and seen.holder is not None:  # what nobody looks after may be otherwise by now
            parts.watch.told(seen.bridge, up=seen.up, reason=seen.reason, since=seen.since)
    pauses = await Pauses(parts.engine).all()
    for bridge in parts.settings.bridges:
        parts.watch.paused(bridge.name, pauses)


async def _hear(parts: Parts, fleet: Fleet) -> None:
    heed = Heed(fleet.look, fleet.ask, parts.metrics.listen_connected.set)
    patience = Patience(poll=parts.settings.poll.total_seconds())
    await listen(parts.engine, parts.ear, heed, patience)


async def _count(parts: Parts) -> None:
    parts.watch.main = parts.settings.routes.default
    for name in [name for name, bridge in parts.vitals.bridges.items() if bridge.held]:
        census = await take_census(parts.engine, BridgeName(name), parts.clock.now())
        if name in parts.vitals.bridges:  # it may have gone meanwhile
            parts.watch.counted(BridgeName(name), census)
    if (main := parts.vitals.bridges.get(parts.watch.main)) and main.held:
        parts.watch.counted_keys(await count_keys(parts.engine))
    else:
        parts.metrics.zero_keys()
    notify(f"STATUS={_summary(parts)}")


def _summary(parts: Parts) -> str:
    """Say in one line how things stand, for 'systemctl status'."""
    bridges = parts.vitals.bridges.items()
    held = [name for name, bridge in bridges if bridge.held]
    down = [name for name, bridge in bridges if not bridge.up]
    return (
        f"holds {len(held)} of {len(parts.vitals.bridges)} bridges"
        f"{': ' + ', '.join(held) if held else ''}{'; down: ' + ', '.join(down) if down else ''}"
    )


async def _forget(parts: Parts) -> None:
    before = parts.clock.now() - timedelta(days=parts.settings.history_days)
    await parts.ledger.forget_history(before)


async def _every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await act()
        except StoreError as error:
            log.warning("store_away", reason=str(error))
        await anyio.sleep(seconds)
