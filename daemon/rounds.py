"""What a daemon does now and then beside its loops: look at the database, count, forget."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic

import anyio
import structlog

from daemon.fleet import Fleet
from daemon.herald import Herald
from daemon.notify import notify
from daemon.store import audit, history, schema
from daemon.store.answers import Answers
from daemon.store.away import in_a_line
from daemon.store.census import count_keys, take_census
from daemon.store.engine import require_writable, storing
from daemon.store.keyring import check_keyring, retry_undecryptable
from daemon.store.pauses import Pauses
from daemon.store.routes import routes_in_force
from daemon.store.status import Status
from daemon.webhook import webhook_of
from daemon.wiring import Parts
from reconciler.model import BridgeName
from reconciler.verdicts import StoreError, Undecryptable

log = structlog.get_logger()

LOOK_PATIENCE = 5.0
"""Seconds after which a database that does not answer counts as away."""
LOOK_AT_DATABASE = 5.0
COUNT = 15.0
FORGET = 600.0
TELL = 2.0
"""Seconds between two looks at the database, two censuses, two rounds of forgetting history, two
looks whether an owner is to be told."""

ANSWERS = timedelta(days=1)
"""For which a request may be repeated under its Idempotency-Key."""


def between_looks(parts: Parts) -> float:
    return min(LOOK_AT_DATABASE, parts.settings.poll.total_seconds())


async def look_on(parts: Parts, fleet: Fleet) -> None:
    """A replica that no longer reads what is stored gives its bridges back, and parks nobody."""
    await look_at_database(parts)
    if parts.vitals.database is None and parts.vitals.schema is None:
        parts.vitals.keyring = await _keyring_trouble(parts)
    if parts.vitals.keyring and not fleet.resting:
        log.error("keyring_outdated", reason=parts.vitals.keyring)
        await fleet.rest()
    elif parts.vitals.keyring is None and fleet.resting:
        await retry_undecryptable(parts.engine)
        fleet.wake()
    if parts.vitals.database is None and parts.vitals.schema is None:
        await _compare_routes(parts)


async def _compare_routes(parts: Parts) -> None:
    """Another replica may have been told other rules since; those are in force then."""
    differ = await routes_in_force(parts.engine) != set(parts.settings.routes.rows())
    if differ and not parts.vitals.routes_differ:
        log.warning("routes_differ", cure="give all replicas the same file, then send SIGHUP")
    parts.vitals.routes_differ = differ


async def _keyring_trouble(parts: Parts) -> str | None:
    try:
        await check_keyring(parts.engine, parts.keyring.unseal)
    except Undecryptable:
        return (
            "this ENCRYPTION_KEY no longer reads what is stored: put the present one first, then"
            " restart (SIGHUP does for a file that is read in its place)"
        )
    return None


async def look_at_database(parts: Parts) -> None:
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


async def count(parts: Parts) -> None:
    parts.watch.main = parts.settings.routes.default
    for name in _held(parts):
        census = await take_census(parts.engine, name, parts.clock.now())
        if name in _held(parts):  # it may have gone meanwhile
            parts.watch.counted(name, census)
    if parts.watch.main in _held(parts):
        keys = await count_keys(parts.engine)
        if parts.watch.main in _held(parts):
            parts.watch.counted_keys(keys)
    else:
        parts.metrics.zero_keys()
    notify(f"STATUS={_summary(parts)}")


async def tell_owners(parts: Parts, herald: Herald) -> None:
    await _tell_some(parts, herald)
    while herald.more:
        await _tell_some(parts, herald)


async def _tell_some(parts: Parts, herald: Herald) -> None:
    waiting = await herald.round(webhook_of(parts.settings), _held(parts))
    for name, seconds in waiting.items():
        if name in _held(parts):  # it may have gone meanwhile
            parts.metrics.webhook_waiting.labels(name).set(seconds)


def _summary(parts: Parts) -> str:
    """Say in one line how things stand, for 'systemctl status'."""
    bridges, held = parts.vitals.bridges, _held(parts)
    down = [name for name, bridge in bridges.items() if not bridge.up]
    return (
        f"holds {len(held)} of {len(bridges)} bridges"
        f"{': ' + ', '.join(held) if held else ''}{'; down: ' + ', '.join(down) if down else ''}"
    )


async def forget(parts: Parts) -> None:
    """Forget what is old, of every bridge there ever was: one replica is enough for that."""
    if parts.settings.routes.default in _held(parts):
        now, kept = parts.clock.now(), parts.settings
        await history.forget(parts.engine, now - timedelta(days=kept.history_days))
        await audit.forget(parts.engine, now - timedelta(days=kept.audit_days))
        await Answers(parts.engine).forget(now - ANSWERS)


def _held(parts: Parts) -> list[BridgeName]:
    return [BridgeName(name) for name, bridge in parts.vitals.bridges.items() if bridge.held]


async def every(seconds: float, act: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await act()
        except StoreError as error:
            log.warning("store_away", reason=str(error))
        await anyio.sleep(seconds)
