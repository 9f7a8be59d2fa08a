"""Runs everything one daemon consists of, and ends it in order."""

import math
import os
import signal
from collections.abc import Awaitable, Callable
from socket import socket
from time import monotonic

import anyio
import structlog
from anyio.abc import TaskGroup

from daemon.fleet import Fleet
from daemon.notify import notify, reloading, watchdog_pause
from daemon.reload import Reread, reload
from daemon.rounds import (
    COUNT,
    FORGET,
    TELL,
    between_looks,
    count,
    every,
    forget,
    look_at_database,
    look_on,
    tell_owners,
)
from daemon.settings import Settings
from daemon.store.away import in_a_line
from daemon.store.engine import dispose
from daemon.store.keyring import retry_undecryptable
from daemon.store.listen import Heed, Patience, listen
from daemon.store.routes import RoutesInForce, write_routes
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of
from daemon.vault import FernetVault
from daemon.web.app import api_app
from daemon.web.health import alive, health_app
from daemon.web.server import bind, serve, url_of
from daemon.wiring import Parts, backend_of, check_certificates, enquiries_of, herald_of, open_vault
from reconciler.bell import Bell
from reconciler.ports import Clients
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()


async def run(settings: Settings, reread: Reread | None = None) -> None:
    """Run one daemon until SIGTERM or SIGINT; on SIGHUP read the settings anew by *reread*.

    Raises AddressInUse, BadSettings or StoreError for settings that cannot work. What may come
    back, database and bridges, is waited for instead, and health says so.
    """
    check_certificates(settings)
    parts = Parts.of(settings)
    sock = bind(settings.health_host, settings.health_port, "BRIDGETENDER_HEALTH")
    door: socket | None = None
    enquiries = enquiries_of(parts)
    try:
        door = bind(settings.api_host, settings.api_port, "BRIDGETENDER_API")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, health_app(parts.vitals, parts.metrics.registry), sock)
            api = api_app(backend_of(parts, enquiries))
            tasks.start_soon(serve, api, door, settings.api_proxies)
            log.info("listening", health=url_of(sock), api=url_of(door))
            stop = anyio.Event()
            tasks.start_soon(_heed_signals, stop, parts)
            tasks.start_soon(_feed_watchdog, parts)
            anew = Bell()
            tasks.start_soon(_heed_reloads, anew)
            tasks.start_soon(_live, parts, (reread, anew), stop, tasks)
    finally:
        sock.close()
        if door is not None:
            door.close()
        await enquiries.close()
        await dispose(parts.engine)
        await dispose(parts.api_engine)
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
            parts.roster.close()
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
    # Not once all is well: who waits for a database is not to be restarted for that.
    notify("READY=1", "STATUS=Starting")
    vault = await _unless(stop, lambda: _ready_vault(parts))
    if vault is not None:
        fleet = Fleet(parts, vault)
        async with anyio.create_task_group() as helpers:
            helpers.start_soon(_hear, parts, fleet)
            helpers.start_soon(every, between_looks(parts), lambda: look_on(parts, fleet))
            helpers.start_soon(every, COUNT, lambda: count(parts))
            helpers.start_soon(every, FORGET, lambda: forget(parts))
            herald = herald_of(parts)
            helpers.start_soon(every, TELL, lambda: tell_owners(parts, herald))
            if reread is not None:
                helpers.start_soon(_reload, anew, parts, fleet, vault, reread)
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
        await look_at_database(parts)
        vitals = parts.vitals
        if vitals.database is None and vitals.schema is None:
            try:
                vault = await open_vault(parts.engine, parts.keyring)
                await write_routes(parts.engine, parts.settings.routes, over=False)
                await retry_undecryptable(parts.engine)
                await _first_token(parts)
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
        log.error("not_ready", reason=reason, retry_in_s=between_looks(parts))
        notify(f"STATUS=Waiting: {reason}")
        await anyio.sleep(between_looks(parts))


async def _first_token(parts: Parts) -> None:
    token = parts.settings.first_token
    if token is not None and await Tokens(parts.engine).first(digest_of(token)):
        log.info("first_token_made", name="first")


async def _hear(parts: Parts, fleet: Fleet) -> None:
    def look(clients: Clients) -> None:
        fleet.look(clients)
        parts.roster.touch()

    def moved() -> None:
        parts.news.tell()
        parts.roster.touch()

    heed = Heed(look, fleet.ask, parts.metrics.listen_connected.set, moved, parts.gate.forget)
    patience = Patience(poll=parts.settings.poll.total_seconds())
    await listen(parts.engine, parts.ear, heed, patience)
