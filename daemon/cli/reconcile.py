"""`reconcile --once`: the daemon's own loop, until everything is settled."""

import math
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Annotated

import anyio
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import logs
from daemon.bridges.address import BadBridgeUrl
from daemon.cli.exits import Code, Trouble
from daemon.cli.line import named
from daemon.cli.output import Json, document, say, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import ForAll, database, refuse_another_keyring, settings
from daemon.cli.status import Standing, as_document, standing_of
from daemon.clock import SystemClock
from daemon.settings import Settings
from daemon.store import schema
from daemon.store.engine import dispose
from daemon.store.pauses import Pauses
from daemon.store.preview import preview
from daemon.store.routes import routes_in_force, write_routes
from daemon.vault import Keyring
from daemon.wiring import Parts, open_the_bridge, open_vault
from reconciler.bell import Bell
from reconciler.decide import decide
from reconciler.loop import Loop
from reconciler.model import SETTLED, Absence, Attempt, BridgeName, Case, Instant, Record
from reconciler.ports import Vault
from reconciler.rules import Rules
from reconciler.verdicts import StoreError

app = command_app()
_GLANCE = 0.5
"""Seconds between two looks at how far it is."""
_LISTING = 30.0
"""Seconds after which no listing is waited for: the bridge is down, or the lease lost."""


@app.command()
def reconcile(
    *,
    once: Annotated[bool, typer.Option("--once", help="Needed: the daemon is `run`.")] = False,
    patience: Annotated[
        float, typer.Option("--timeout", min=0, metavar="SECONDS", help="When to give up.")
    ] = 300.0,
    json: Json = False,
) -> None:
    """Do all that is to be done now, and end: what `run` does, until everything is settled.

    Holds the bridge meanwhile; if a daemon holds it, that one is watched instead.

    Exit code: 0 all live, 3 settled but not all live, 1 not settled after --timeout.
    """
    if not once:
        raise Trouble("say --once; what goes on for ever is 'bridgetender run'")
    settings(ForAll)  # it brings nothing along: what it needs is to be there
    wanted = settings(Settings)
    logs.configure(json=wanted.log_json, level=wanted.log_level)
    use = {"use_uvloop": True}
    judge = anyio.run(_reconcile, wanted, patience, backend_options=use)
    _print(judge, patience, json=json)
    raise typer.Exit(judge.code())


async def _reconcile(wanted: Settings, patience: float) -> "_Judge":
    async with database(wanted.database_url) as engine:
        parts = Parts.of(wanted)
        await _check_schema(engine)
        vault = await _vault(engine, parts.keyring)
        await _check_routes(engine, wanted)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(dispose, parts.engine)
            watched = [await _watched(stack, parts, vault, b.name) for b in wanted.bridges]
            judge = _Judge(engine, watched)
            await _run(judge, patience)
        judge.standing = judge.standing or await standing_of(engine)
    return judge


async def _check_routes(engine: AsyncEngine, wanted: Settings) -> None:
    """Rules that are in force stay so: this command knows the settings of one shell only."""
    if await routes_in_force(engine) in (set(), set(wanted.routes.rows())):
        await write_routes(engine, wanted.routes)
        return
    raise Trouble(
        "the rules in force for which key goes to which bridge are not those of the settings here:"
        " use the daemon's own (BRIDGETENDER_CONFIG)"
    )


@dataclass(frozen=True, slots=True)
class _Watched:
    """One bridge's loop, and what it tells."""

    bridge: BridgeName
    loop: Loop
    ear: "_Ear"


async def _watched(stack: AsyncExitStack, parts: Parts, vault: Vault, name: BridgeName) -> _Watched:
    wanted, ear = named(parts.settings, name), _Ear()
    try:
        bridge = await stack.enter_async_context(open_the_bridge(wanted, parts.clock))
    except BadBridgeUrl as error:
        raise Trouble(f"bridge {name!r}: {error}") from None
    ports = parts.ports(bridge, vault, name, parts.settings.rules_of(wanted))
    return _Watched(name, Loop(name, replace(ports, meter=ear)), ear)


async def _check_schema(engine: AsyncEngine) -> None:
    version = await schema.version(engine)
    if version is None or version < schema.newest():
        words = "the tables are not those of this version: run 'bridgetender migrate'"
        raise Trouble(words, Code.DATABASE)


async def _vault(engine: AsyncEngine, keyring: Keyring) -> Vault:
    await refuse_another_keyring(engine, keyring)
    return await open_vault(engine, keyring)


async def _run(judge: "_Judge", patience: float) -> None:
    """Run the loops while they are judged; then let them end and give their bridges back.

    Nothing here raises, or it would come out in a group.
    """
    stop = anyio.Event()

    async def judged() -> None:
        with anyio.move_on_after(patience) as judge.patience:
            await judge.until_settled()
        await judge.look_back()
        stop.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_heed_signals, judge)
        tasks.start_soon(judged)
        async with anyio.create_task_group() as loops:
            for each in judge.watched:
                loops.start_soon(each.loop.run, stop)
        tasks.cancel_scope.cancel()


async def _heed_signals(judge: "_Judge") -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            if judge.interrupted:
                raise SystemExit(128 + number)  # a second one: at once
            judge.interrupted = True
            judge.patience.cancel()


class _Judge:
    """Says when all is settled: nothing is to be done, and two listings in a row agree."""

    def __init__(self, engine: AsyncEngine, watched: Sequence[_Watched]) -> None:
        self._engine = engine
        self.watched = watched
        self.patience = anyio.CancelScope()
        self.interrupted = False
        self.settled = False
        self.standing: Standing | None = None

    def code(self) -> Code:
        if self.interrupted:
            return Code.INTERRUPTED
        if not self.settled or self.standing is None:
            return Code.UNSETTLED
        return self.standing.code()

    async def until_settled(self) -> None:
        await self._tell_of_holders()
        while not self.settled:
            with suppress(StoreError):  # the loop says so, and goes on by itself
                self.settled = await self._calm() and await self._calm_after_two_listings()
            await anyio.sleep(0 if self.settled else _GLANCE)

    async def _calm_after_two_listings(self) -> bool:
        """Of another holder's listings we hear nothing; but it hears us."""
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for each in self.watched:
                    tasks.start_soon(self._listed, each)
            await anyio.sleep(Rules().second_look.total_seconds())
        await self.look_back()
        kept = self.standing is not None and self.standing.code() is not Code.UNSETTLED
        return kept and await self._calm()

    async def _listed(self, each: _Watched) -> None:
        if each.ear.held:
            each.loop.look(None)
            await each.ear.listed.wait(_LISTING)
        else:
            with suppress(StoreError):
                await Pauses(self._engine).hint()

    async def look_back(self) -> None:
        with suppress(StoreError):
            self.standing = await standing_of(self._engine)

    async def _calm(self) -> bool:
        now = SystemClock().now()
        surveys = [await preview(self._engine, each.bridge, None) for each in self.watched]
        return not any(_in_need(case, now) for survey in surveys for case in survey.cases)

    async def _tell_of_holders(self) -> None:
        for each in self.watched:
            await each.ear.asked.wait(math.inf)
        await self.look_back()
        for each in self.watched:
            found = self.standing and self.standing.bridges.get(each.bridge)
            if found and found.holder and not each.ear.held:
                who = f"{found.holder} holds the bridge {each.bridge!r}"
                warn(f"{who}: it does the work, this only watches")


def _in_need(case: Case, now: Instant) -> bool:
    step = decide(case.want, case.record, Absence.UNKNOWN, now, held=case.held)
    waits = case.record is not None and case.record.phase not in SETTLED and not case.held
    return step is not None or waits


class _Ear:
    """A `reconciler.ports.Meter` that hears of the lease and of listings."""

    def __init__(self) -> None:
        self.held = False
        self.asked, self.listed = Bell(), Bell()

    def lease_held(self, bridge: BridgeName, *, held: bool) -> None:
        del bridge
        self.held = held
        self.asked.ring()

    def passed(self, bridge: BridgeName, result: str, seconds: float, *, everything: bool) -> None:
        del bridge, seconds
        if everything and result == "ok":
            self.listed.ring()

    def bridge_up(self, bridge: BridgeName, *, up: bool, reason: str) -> None: ...
    def attempted(self, attempt: Attempt) -> None: ...
    def converged(self, record: Record, seconds: float) -> None: ...
    def unmanaged(self, bridge: BridgeName, count: int) -> None: ...
    def paced(self, bridge: BridgeName, *, limit: int, breaker_open: bool) -> None: ...
    def mass_refusal(self, bridge: BridgeName, exchange: str, *, on: bool) -> None: ...
    def progressed(self, bridge: BridgeName) -> None: ...


def _print(judge: _Judge, patience: float, *, json: bool) -> None:
    standing = judge.standing
    if standing is None:
        return
    if json:
        document(as_document(standing) | {"settled": judge.settled})
    elif judge.settled or judge.interrupted:
        say(standing.summary())
    else:
        say(f"Not settled within {patience:g} s. {standing.summary()}")
