"""What people do and what goes wrong: each event by its name, drawn by a profile's weights."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from reconciler.verdicts import ExchangeAway, Refused, Throttled, Unavailable, Unclear
from tests.fakes import Asked, FakeBridge, Fault, HappensBut, Lacks, Lies, Raises
from tests.simulation.replicas import Host
from tests.simulation.stage import NAMES, Stage

Event = Callable[[Stage], Awaitable[str]]
"""Does something, and returns what it did it to."""


async def happen(stage: Stage, name: str) -> None:
    """Let the event *name* happen, and write down that it did."""
    stage.happened += 1
    stage.trace.tell("EVENT", name)
    subject = await EVENTS[name](stage)
    if subject:
        stage.trace.tell("EVENT", f"  {name}: {subject}")


# -- people ------------------------------------------------------------------------------------


async def add_key(stage: Stage) -> str:
    client = await stage.add_key()
    stage.hint(frozenset({client}))
    row = list(stage.world.keys.values())[-1]
    return f"{row.exchange} of {stage.world.clients[client].name}: {row.api_key}"


def _with_key(what: str) -> Event:
    async def change(stage: Stage) -> str:
        world, key = stage.world, stage.any_key()
        if key is None:
            return ""
        row = world.keys[key]
        match what:
            case "rotate":
                await world.rotate_key(key, stage.credentials())
            case "reencrypt":
                await world.reencrypt_key(key)
            case "break_key":
                await world.break_key(key)
            case "disable" | "enable":
                await world.set_key_active(key, active=what == "enable")
            case "delete_key":
                await world.delete_key(key)
            case _:
                await world.wish(key)
        stage.hint(frozenset({row.client_id}))
        return f"{row.exchange} of {world.clients[row.client_id].name}: {row.api_key}"

    return change


async def rename(stage: Stage) -> str:
    client = stage.any_client()
    if client is None:
        return ""
    before, after = stage.world.clients[client].name, stage.chance.choice(NAMES)
    await stage.world.rename_client(client, after)
    stage.hint(frozenset({client}))
    return f"{before} is {after} now"


async def change_status(stage: Stage) -> str:
    client = stage.any_client()
    if client is None:
        return ""
    status = stage.chance.choice(("ACTIVE", "ACTIVE", "PAUSED", "SUSPENDED"))
    await stage.world.set_client_status(client, status)
    stage.hint(frozenset({client}))
    return f"{stage.world.clients[client].name} is {status}"


async def delete_client(stage: Stage) -> str:
    client = stage.any_client()
    if client is None:
        return ""
    name = stage.world.clients[client].name
    await stage.world.delete_client(client)
    stage.hint(frozenset({client}))
    return name


async def move(stage: Stage) -> str:
    """Another bridge is to have a client."""
    client = stage.any_client()
    if client is None:
        return ""
    home = stage.any_bridge().name
    stage.world.homes[client] = home
    stage.hint(frozenset({client}))
    return f"{stage.world.clients[client].name} to {home}"


async def pause(stage: Stage) -> str:
    bridge, key = stage.any_bridge().name, stage.any_key()
    reaching: list[tuple[str, object]] = [("all", ""), ("bridge", bridge)]
    if key is not None:
        reaching += [("key", key), ("client", stage.world.keys[key].client_id)]
    scope, subject = stage.chance.choice(reaching)
    await stage.world.pause(scope, subject)
    stage.hint(None)
    return f"{scope} {subject}"


async def resume(stage: Stage) -> str:
    stage.world.pauses.clear()
    stage.hint(None)
    return "all"


# -- bridges and exchanges ---------------------------------------------------------------------


async def bridge_restarts(stage: Stage) -> str:
    bridge = stage.any_bridge()
    bridge.restart()
    return bridge.name


async def bridge_goes_down(stage: Stage) -> str:
    bridge, seconds = stage.any_bridge(), stage.chance.uniform(5, 600)
    forgets = stage.chance.random() < 0.5
    bridge.down = True

    def back() -> None:
        bridge.down = False
        if forgets:
            bridge.restart()
        stage.trace.tell("EVENT", f"{bridge.name} is back{' and empty' if forgets else ''}")

    stage.later(seconds, back)
    return f"{bridge.name} for {seconds:.0f} s"


async def bridge_forgets(stage: Stage) -> str:
    """It loses some, as one with several workers does."""
    bridge = stage.any_bridge()
    gone = [slot for slot in bridge.connectors if stage.chance.random() < 0.5]
    for slot in gone:
        del bridge.connectors[slot]
    return ", ".join(map(str, gone))


async def bridge_lies(stage: Stage) -> str:
    """A removal that is said to be done is believed, so no bridge here lies about one."""
    return _script(stage, stage.any_bridge(), ("initialize",), Lies())


async def short_listing(stage: Stage) -> str:
    """Two in a row would be believed; one is not, and whole ones follow."""
    bridge = stage.any_bridge()
    bridge.script("observe", Lacks(stage.chance.choice((0, 2))), None, None)
    return bridge.name


async def throttled(stage: Stage) -> str:
    wait = stage.chance.choice((None, timedelta(seconds=stage.chance.uniform(1, 300))))
    return _script(stage, stage.any_bridge(), _ANY, Raises(Throttled("429", retry_after=wait)))


async def refused_once(stage: Stage) -> str:
    return _script(stage, stage.any_bridge(), _PROVING, Raises(Refused("invalid api key")))


async def exchange_away(stage: Stage) -> str:
    return _script(stage, stage.any_bridge(), _ANY, Raises(ExchangeAway("on maintenance")))


async def unclear(stage: Stage) -> str:
    fault: Fault = stage.chance.choice(
        (Raises(Unclear("500")), HappensBut(), HappensBut(Unavailable("502")))
    )
    return _script(stage, stage.any_bridge(), _ANY, fault)


_PROVING: tuple[Asked, ...] = ("initialize", "verify")
_ANY: tuple[Asked, ...] = ("initialize", "initialize", "verify", "remove")


def _script(stage: Stage, bridge: FakeBridge, actions: tuple[Asked, ...], fault: Fault) -> str:
    """Let the next calls of one kind meet *fault*."""
    action, times = stage.chance.choice(actions), stage.chance.randint(1, 6)
    bridge.script(action, *[fault] * times)
    return f"{bridge.name}: the next {times} times it is to {action}: {fault}"


# -- the database and the replicas -------------------------------------------------------------


async def store_goes_away(stage: Stage) -> str:
    seconds = stage.chance.choice((stage.chance.uniform(0, 5), stage.chance.uniform(5, 300)))
    stage.wires.store_away = True

    def back() -> None:
        stage.wires.store_away = False

    stage.later(seconds, back)
    return f"for {seconds:.1f} s"


async def crash(stage: Stage) -> str:
    host = stage.chance.choice(stage.hosts)
    host.crash()
    return _start_later(stage, host)


async def stop(stage: Stage) -> str:
    host = stage.chance.choice(stage.hosts)
    host.stop()
    return _start_later(stage, host)


def _start_later(stage: Stage, host: Host) -> str:
    seconds = stage.chance.choice((stage.chance.uniform(0, 10), stage.chance.uniform(10, 600)))
    stage.later(seconds, lambda: stage.start(host))
    return f"{host.name}, started again after {seconds:.0f} s"


async def freeze(stage: Stage) -> str:
    """Mostly for longer than its lease."""
    host = stage.chance.choice(stage.hosts)
    seconds = stage.profile.rules.lease.total_seconds() * stage.chance.uniform(0.2, 3)
    host.freeze()
    stage.later(seconds, host.thaw)
    return f"{host.name} for {seconds:.0f} s"


async def clock_jumps(stage: Stage) -> str:
    host = stage.chance.choice(stage.hosts)
    stage.wires.watch.jumped = True
    host.jump(timedelta(hours=6 * stage.chance.choice((-1, 0, 1))))
    return host.name


EVENTS: Mapping[str, Event] = {
    **{
        name: _with_key(name)
        for name in ("rotate", "reencrypt", "break_key", "disable", "enable", "delete_key", "wish")
    },
    **{
        event.__name__: event
        for event in (
            *(add_key, rename, change_status, delete_client, move, pause, resume),
            *(bridge_restarts, bridge_goes_down, bridge_forgets, bridge_lies, short_listing),
            *(throttled, refused_once, exchange_away, unclear),
            *(store_goes_away, crash, stop, freeze, clock_jumps),
        )
    },
}
