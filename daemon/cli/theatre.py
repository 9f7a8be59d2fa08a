"""Two audiences of the demo: a terminal with a live table, and a file of plain lines."""

from collections import Counter
from time import monotonic
from types import TracebackType
from typing import Self

import typer
from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from daemon.bridges.balances import Balances, Failure
from daemon.clock import SystemClock
from daemon.embedded.demo import Scene
from daemon.store.status import BridgeStatus, KeyStatus
from daemon.words import relative, sentence
from reconciler.model import Instant, Phase, Verified

_COLOURS = {
    Phase.LIVE: "green",
    Phase.PARKED: "red",
    Phase.CONFLICT: "red",
    "inactive": "dim",
}
_HEADINGS = ("Client", "Exchange", "Phase", "Why", "Next try", "Verified", "Balance")


class Lines:
    """Prints what happens and what changes, a line each, with the seconds since the start."""

    def __init__(self, *, aside: bool = False) -> None:
        """*aside*: to stderr, where stdout is for a script."""
        self._aside = aside
        self._began = monotonic()
        self._shown: dict[object, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def say(self, text: str) -> None:
        typer.echo(f"{monotonic() - self._began:6.1f} s  {text}", err=self._aside)

    def show(self, scene: Scene) -> None:
        self._tell("bridge", "Bridge", _bridge(scene.bridge))
        alike = Counter((key.client, key.exchange) for key in scene.keys)
        for key in scene.keys:
            balance = _balance(scene, key)
            line = f"{key.phase}: {_why(scene, key)}"
            if _is_live(scene, key):
                line = f"live, {_verified(key)}" + (f", holds {balance}" if balance else "")
            which = f" {str(key.key_id)[:8]}" if alike[key.client, key.exchange] > 1 else ""
            self._tell(key.key_id, f"{key.client} / {key.exchange}{which}", line)

    def _tell(self, subject: object, name: str, line: str) -> None:
        if self._shown.get(subject) != line:
            self._shown[subject] = line
            self.say(f"  {name}: {line}")


class Screen:
    """Keeps a table up to date below what happens."""

    def __init__(self) -> None:
        self._began = monotonic()
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        line = Text(f"{monotonic() - self._began:6.1f} s  ", style="dim")
        self._console.print(line.append(text, style="not dim"))

    def show(self, scene: Scene) -> None:
        now = SystemClock().now()
        table = Table(*_HEADINGS, box=box.SIMPLE_HEAD, pad_edge=False)
        for key in scene.keys:
            table.add_row(*_row(scene, key, now))
        self._live.update(Group(table, Text(f"Bridge: {_bridge(scene.bridge)}")))


def _row(scene: Scene, key: KeyStatus, now: Instant) -> list[Text]:
    live = _is_live(scene, key)
    colour = "yellow" if key.phase == Phase.LIVE and not live else _COLOURS.get(key.phase, "yellow")
    waits = key.phase not in (Phase.LIVE, "inactive")
    return [
        Text(key.client),
        Text(key.exchange),
        Text(key.phase, style=colour),
        Text("" if live else _why(scene, key), overflow="fold"),
        Text(relative(key.due_at, now) if waits else ""),
        Text(_verified(key) if live else ""),
        Text(_balance(scene, key)),
    ]


def _is_live(scene: Scene, key: KeyStatus) -> bool:
    """What was live is believed only of a bridge that answers."""
    return key.phase == Phase.LIVE and scene.bridge is not None and scene.bridge.up


def _why(scene: Scene, key: KeyStatus) -> str:
    if key.phase == Phase.LIVE and not _is_live(scene, key):
        return "when last seen; the bridge is down"
    return sentence(key.reason, key.message)


def _verified(key: KeyStatus) -> str:
    return "verified" if key.verified == Verified.OK else "not verified yet"


def _balance(scene: Scene, key: KeyStatus) -> str:
    if not _is_live(scene, key):
        return ""
    match scene.balances.get((key.client, key.connector)):
        case Balances(amounts):
            return ", ".join(f"{a.asset} {a.total.normalize():f}" for a in amounts if a.total)
        case Failure() as failure:
            return f"unknown: {failure.message}"
        case None:
            return ""


def _bridge(bridge: BridgeStatus | None) -> str:
    if bridge is None:
        return "not asked yet"
    return "up" if bridge.up else f"down: {bridge.reason}"
