"""`demo`: the play on a terminal, or as plain lines that end with the right exit code."""

import json as json_
import signal
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import anyio
import typer

from daemon.bridges.address import BadBridgeUrl
from daemon.cli.exits import Code, Trouble
from daemon.cli.output import Json, on_terminal
from daemon.cli.parts import command_app
from daemon.cli.theatre import Lines, Screen
from daemon.embedded.demo import Audience, GaveUp, Play, Report, playing
from daemon.embedded.errors import EmbeddedError
from daemon.groups import leaves
from reconciler.verdicts import StoreError

app = command_app()
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@app.command()
def demo(
    *,
    once: Annotated[bool, typer.Option("--once", help="End after the recovery.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Stay up after the recovery.")] = False,
    json: Json = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of API and console; 0: a free one.")
    ] = 0,
    health_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of health and metrics; 0: a free one.")
    ] = 0,
    state_dir: Annotated[Path | None, typer.Option(help="Where everything is written.")] = None,
) -> None:
    """Watch keys become live connectors, on a stage of its own.

    PostgreSQL, a paper exchange, a Trading Bridge and the daemon run on this machine only. Nine
    keys are stored; the bridge is killed and forgets; all that can come back does. On a terminal
    it then stays up; elsewhere it ends, with exit code 0 if everything came true as expected.

    With --json and --stay the bridge is not killed: once all is settled, stdout gets one line that
    says where everything is and how to come in, secrets and all. A script may then do as it likes.
    Whoever kills the bridge sees it come back, empty, in 20 s; `bridge_pid_file` then has its id.
    """
    if once and stay:
        raise Trouble("--once and --stay contradict each other: say one of them")
    stays = stay or (on_terminal() and not once and not json)
    performance = Performance(stays, json, (health_port, port), state_dir)
    anyio.run(performance.run, backend_options={"use_uvloop": True})
    raise typer.Exit(performance.code)


@dataclass(slots=True)
class Performance:
    """One run of the play; `code` is how the command is to end."""

    stays: bool
    as_json: bool
    ports: tuple[int, int]
    """Of health, and of the API; 0: a free one."""
    below: Path | None
    code: Code = Code.INTERRUPTED

    async def run(self) -> None:
        """Raises Trouble, in words for people."""
        trouble: list[BaseException] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_heed_signals, tasks.cancel_scope)
                with self._audience() as audience:
                    await self._perform(audience)
                tasks.cancel_scope.cancel()
        except* (EmbeddedError, StoreError, GaveUp, BadBridgeUrl) as group:
            trouble += leaves(group)
        if trouble:
            raise Trouble(str(trouble[0]), Code.UNSETTLED)

    def _audience(self) -> Screen | Lines:
        if on_terminal() and not self.as_json:
            return Screen()
        return Lines(aside=self.as_json and self.stays)

    async def _perform(self, audience: Audience) -> None:
        async with playing(self.below, *self.ports, audience) as play:
            first = await play.converge()
            if self.as_json and self.stays:
                guests = await play.welcome()
                typer.echo(json_.dumps(guests.as_dict(play.stage)))
                await play.watch()  # for ever
            again = await play.forget_and_recover()
            report = await play.report(first, again)
            self.code = Code.OK if report.as_expected() else Code.UNSETTLED
            for line in _summary(report):
                audience.say(line)
            if self.as_json:
                typer.echo(json_.dumps(asdict(report)))
            if self.stays:
                await self._stay(play, audience)

    async def _stay(self, play: Play, audience: Audience) -> None:
        health, guests = play.stage.addresses["daemon"], await play.welcome()
        audience.say(f"Console:  {play.stage.addresses['api']}/console")
        audience.say(f"Token:    {guests.admin.reveal()} (an admin's, for the console and the API)")
        audience.say(f"Metrics:  {health}/metrics")
        audience.say(f"Health:   {health}/readyz?verbose and {health}/healthz/bridges")
        audience.say(f"Logs:     {play.stage.logs}")
        audience.say(f"Commands: . '{play.stage.write_environment()}' && bridgetender status")
        audience.say("Ctrl-C stops everything and removes what was written")
        await play.watch()


def _summary(report: Report) -> Iterator[str]:
    yield f"{report.live} of {report.keys_active} active keys are live, {report.parked} are parked"
    yield (
        f"First convergence {report.first_convergence_seconds} s after the start,"
        f" after the bridge's death {report.bridge_restart_convergence_seconds} s;"
        f" {report.init_attempts} attempts, {report.secrets_leaked} secrets leaked"
    )
    if not report.as_expected():
        yield "This is NOT what was expected"


async def _heed_signals(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(*_ENDS) as signals:
        async for _ in signals:
            scope.cancel()
            return
