"""Runs everything one daemon consists of, and ends it in order."""

import signal
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import anyio
import structlog
from anyio.abc import TaskGroup

from daemon.settings import Settings
from daemon.store import schema
from daemon.store.census import take_census
from daemon.store.engine import dispose, require_writable, storing
from daemon.store.listen import Heed, Patience, listen
from daemon.store.status import Status
from daemon.web.health import health_app
from daemon.web.server import bind, serve, url_of
from daemon.wiring import Parts, open_the_bridge, open_vault
from reconciler.loop import Loop
from reconciler.model import BridgeName
from reconciler.ports import Bridge, Vault
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()

LOOK_PATIENCE = 5.0
"""Seconds after which a database that does not answer counts as away."""
LOOK_AT_DATABASE = 5.0
COUNT = 15.0
FORGET = 3_600.0
"""Seconds between two looks at the database, two censuses, two rounds of forgetting history."""


async def run(settings: Settings) -> None:
    """Run one daemon until SIGTERM or SIGINT.

    Raises AddressInUse, BadBridgeUrl or StoreError for settings that cannot work. What may come
    back, database and bridge, is waited for instead, and health says so.
    """
    parts = Parts.of(settings)
    sock = bind(settings.health_host, settings.health_port, "BRIDGETENDER_HEALTH_PORT")
    try:
        async with open_the_bridge(parts) as bridge, anyio.create_task_group() as tasks:
            tasks.start_soon(serve, health_app(parts.vitals, parts.metrics.registry), sock)
            log.info("listening", health=url_of(sock))
            stop = anyio.Event()
            tasks.start_soon(_heed_signals, stop, parts)
            tasks.start_soon(_live, parts, bridge, stop, tasks)
    finally:
        sock.close()
        await dispose(parts.engine)
        if parts.ear is not None:
            await dispose(parts.ear)


async def _heed_signals(stop: anyio.Event, parts: Parts) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if stop.is_set():
                raise SystemExit(128 + number)  # a second one: at once
            log.info("stopping", signal=signal.Signals(number).name)
            parts.vitals.draining = True
            stop.set()


async def _live(parts: Parts, bridge: Bridge, stop: anyio.Event, everything: TaskGroup) -> None:
    """Start up, run the loop until *stop*, then end everything else."""
    vault = await _unless(stop, lambda: _ready_vault(parts))
    if vault is not None:
        loop = Loop(parts.settings.bridge, parts.ports(bridge, vault))
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(_hear, parts, loop)
            helpers.start_soon(_every, _between_looks(parts), lambda: _look_at_database(parts))
            helpers.start_soon(_every, COUNT, lambda: _count(parts))
            helpers.start_soon(_every, FORGET, lambda: _forget(parts))
            await loop.run(stop)
            helpers.cancel_scope.cancel()
    log.info("stopped")
    everything.cancel_scope.cancel()


async def _unless(stop: anyio.Event, act: Callable[[], Awaitable[Vault]]) -> Vault | None:
    result: Vault | None = None
    async with anyio.create_task_group() as tasks:

        async def give_up() -> None:
            await stop.wait()
            tasks.cancel_scope.cancel()

        tasks.start_soon(give_up)
        result = await act()
        tasks.cancel_scope.cancel()
    return result


async def _ready_vault(parts: Parts) -> Vault:
    """Wait until the database is there, new enough, and of our keyring."""
    while True:
        await _look_at_database(parts)
        vitals = parts.vitals
        if vitals.database is None and vitals.schema is None:
            try:
                vault = await open_vault(parts.engine, parts.settings.keyring)
            except Undecryptable:
                vitals.keyring = "this ENCRYPTION_KEY is not the one this database was set up with"
            except StoreError as error:
                vitals.database = str(error)
            else:
                vitals.keyring = None
                return vault
        reason = vitals.database or vitals.schema or vitals.keyring
        log.error("not_ready", reason=reason, retry_in_s=_between_looks(parts))
        await anyio.sleep(_between_looks(parts))


def _between_looks(parts: Parts) -> float:
    return min(LOOK_AT_DATABASE, parts.settings.poll_seconds)


async def _look_at_database(parts: Parts) -> None:
    vitals = parts.vitals
    try:
        with storing(), anyio.fail_after(LOOK_PATIENCE):
            await require_writable(parts.engine)
            version = await schema.version(parts.engine)
    except StoreError as error:
        vitals.database = str(error)
    else:
        old = version is None or version < schema.newest()
        vitals.database = None
        vitals.schema = (
            f"the schema is {version or 'missing'}, {schema.newest()} is needed:"
            " run 'bridgetender migrate'"
            if old
            else None
        )
        await _hear_of_bridge(parts)
    vitals.database_seen_at = monotonic()


async def _hear_of_bridge(parts: Parts) -> None:
    """A replica that does not hold the bridge knows of it by what the holder wrote down."""
    if parts.vitals.schema is not None:
        return
    for seen in await Status(parts.engine, parts.settings.bridge).bridges():
        if seen.bridge == parts.settings.bridge and seen.since is not None:
            parts.watch.told(seen.bridge, up=seen.up, reason=seen.reason, since=seen.since)


async def _hear(parts: Parts, loop: Loop) -> None:
    def free(bridge: BridgeName) -> None:
        if bridge == parts.settings.bridge:
            loop.ask()

    heed = Heed(loop.look, free, parts.metrics.listen_connected.set)
    await listen(parts.engine, parts.ear, heed, Patience(poll=parts.settings.poll_seconds))


async def _count(parts: Parts) -> None:
    bridge = parts.settings.bridge
    if parts.vitals.of(bridge).held:
        census = await take_census(parts.engine, bridge, parts.clock.now())
        parts.watch.counted(bridge, census)


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
