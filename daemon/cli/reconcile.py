"""`reconcile --once`: the daemon's own loop, until everything is settled."""

import math
import signal
from contextlib import suppress
from dataclasses import replace
from typing import Annotated

import anyio
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import logs
from daemon.bridges.line import BadBridgeUrl
from daemon.cli.exits import Code, Trouble
from daemon.cli.keys import refuse_another_keyring
from daemon.cli.output import Json, document, say, warn
from daemon.cli.parts import command_app
from daemon.cli.reach import database, settings
from daemon.cli.status import Standing, as_document, standing_of
from daemon.clock import SystemClock
from daemon.settings import MAIN, Settings
from daemon.store import schema
from daemon.store.engine import dispose
from daemon.store.pauses import Pauses
from daemon.store.preview import preview
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
    wanted = settings(Settings)
    logs.configure(json=wanted.log_json, level=wanted.log_level)
    use = {"use_uvloop": True}
    judge = anyio.run(_reconcile, wanted, patience, backend_options=use)
    _print(judge, patience, json=json)
    raise typer.Exit(judge.code())


async def _reconcile(wanted: Settings, patience: float) -> "_Judge":
    async with database(wanted.database_url) as engine:
        await _check_schema(engine)
        vault = await _vault(engine, wanted.keyring)
        parts = Parts.of(wanted)
        try:
            async with open_the_bridge(parts) as bridge:
                ear = _Ear()
                loop = Loop(wanted.bridge, replace(parts.ports(bridge, vault), meter=ear))
                judge = _Judge(engine, loop, ear)
                await _run(loop, judge, patience)
        except BadBridgeUrl as error:
            raise Trouble(f"TRADING_BRIDGE_URL: {error}") from None
        finally:
            await dispose(parts.engine)
        judge.standing = judge.standing or await standing_of(engine)
    return judge


async def _check_schema(engine: AsyncEngine) -> None:
    version = await schema.version(engine)
    if version is None or version < schema.newest():
        words = "the tables are not those of this version: run 'bridgetender migrate'"
        raise Trouble(words, Code.DATABASE)


async def _vault(engine: AsyncEngine, keyring: Keyring) -> Vault:
    await refuse_another_keyring(engine, keyring)
    return await open_vault(engine, keyring)


async def _run(loop: Loop, judge: "_Judge", patience: float) -> None:
    """Run the loop while it is judged; then let it end what is under way and give the bridge back.

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
        await loop.run(stop)
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

    def __init__(self, engine: AsyncEngine, loop: Loop, ear: "_Ear") -> None:
        self._engine = engine
        self._loop = loop
        self._ear = ear
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
        await self._tell_of_holder()
        while not self.settled:
            with suppress(StoreError):  # the loop says so, and goes on by itself
                self.settled = await self._calm() and await self._calm_after_two_listings()
            await anyio.sleep(0 if self.settled else _GLANCE)

    async def _calm_after_two_listings(self) -> bool:
        """Of another holder's listings we hear nothing; but it hears us."""
        for _ in range(2):
            if self._ear.held:
                self._loop.look(None)
                await self._ear.listed.wait(_LISTING)
            else:
                await Pauses(self._engine).hint()
            await anyio.sleep(Rules().second_look.total_seconds())
        await self.look_back()
        kept = self.standing is not None and self.standing.code() is not Code.UNSETTLED
        return kept and await self._calm()

    async def look_back(self) -> None:
        with suppress(StoreError):
            self.standing = await standing_of(self._engine)

    async def _calm(self) -> bool:
        survey = await preview(self._engine, MAIN, None)
        now = SystemClock().now()
        return not any(_in_need(case, now) for case in survey.cases)

    async def _tell_of_holder(self) -> None:
        await self._ear.asked.wait(math.inf)
        await self.look_back()
        bridge = self.standing and self.standing.bridge
        if not self._ear.held and bridge and bridge.holder:
            warn(f"{bridge.holder} holds the bridge {MAIN!r}: it does the work, this only watches")


def _in_need(case: Case, now: Instant) -> bool:
    step = decide(case.want, case.record, Absence.UNKNOWN, now, held=case.held)
    waits = case.record is not None and case.record.phase not in SETTLED and not case.held
    return step is not None or waits


class _Ear:
    """A `reconciler.ports.Meter` that hears of the lease and of listings."""

    def __init__(self) -> None:
        self.held = False
        self.asked, self.listed = Bell(), Bell()
        self._up = False

    def lease_held(self, bridge: BridgeName, *, held: bool) -> None:
        del bridge
        self.held = held
        self.asked.ring()

    def bridge_up(self, bridge: BridgeName, *, up: bool, reason: str) -> None:
        del bridge, reason
        self._up = up

    def passed(self, bridge: BridgeName, result: str, seconds: float) -> None:
        del bridge, seconds
        if self._up and result == "ok":
            self.listed.ring()
        self._up = False

    def attempted(self, attempt: Attempt) -> None: ...
    def converged(self, record: Record, seconds: float) -> None: ...
    def unmanaged(self, bridge: BridgeName, count: int) -> None: ...
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
