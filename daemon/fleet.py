"""A loop for each bridge of this process: begun, exchanged and ended as the settings say."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import anyio
import structlog
from anyio.abc import TaskGroup

from daemon.bridges.address import BadBridgeUrl
from daemon.settings import BridgeSettings
from daemon.wiring import Parts, open_the_bridge
from reconciler.loop import Loop
from reconciler.model import BridgeName
from reconciler.ports import Clients, Vault
from reconciler.rules import Rules

log = structlog.get_logger()


@dataclass(slots=True)
class _Berth:
    """One bridge that is looked after, and how."""

    settings: BridgeSettings
    rules: Rules
    stop: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)
    loop: Loop | None = None


class Fleet:
    """Every bridge of this process."""

    def __init__(self, parts: Parts, vault: Vault) -> None:
        self._parts = parts
        self._vault = vault
        self._berths: dict[BridgeName, _Berth] = {}
        self._tasks: TaskGroup | None = None
        self._ending = self._resting = False

    async def run(self, stop: anyio.Event) -> None:
        """Look after the bridges of the settings until *stop*; then let every loop end."""
        async with anyio.create_task_group() as self._tasks:
            self._begin(self._parts.settings.bridges)
            await stop.wait()
            self._ending = True
            for berth in self._berths.values():
                berth.stop.set()
        self._tasks = None

    async def change(self, bridges: Sequence[BridgeSettings]) -> None:
        """Look after *bridges* from now on; those that are as before go on undisturbed."""
        wanted = {each.name: (each, self._parts.settings.rules_of(each)) for each in bridges}
        now = {name: (berth.settings, berth.rules) for name, berth in self._berths.items()}
        other = [name for name in now if wanted.get(name) != now[name]]
        await self._end(other, gone=frozenset(other) - wanted.keys())
        self._begin([each for each in bridges if each.name not in self._berths])

    async def rest(self) -> None:
        """Give every bridge back, until `wake`."""
        self._resting = True
        await self._end(list(self._berths))

    def wake(self) -> None:
        """Look after the bridges of the settings again."""
        if self._resting:
            self._resting = False
            self._begin(self._parts.settings.bridges)

    @property
    def resting(self) -> bool:
        return self._resting

    def look(self, clients: Clients) -> None:
        """Pass a hint on to every loop."""
        for berth in self._berths.values():
            if berth.loop is not None:
                berth.loop.look(clients)

    def ask(self, bridge: BridgeName) -> None:
        """Ask for a bridge now, since it may be free."""
        berth = self._berths.get(bridge)
        if berth is not None and berth.loop is not None:
            berth.loop.ask()

    def _begin(self, bridges: Sequence[BridgeSettings]) -> None:
        for bridge in bridges:
            if self._tasks is not None and not (self._ending or self._resting):
                berth = _Berth(bridge, self._parts.settings.rules_of(bridge))
                self._berths[bridge.name] = berth
                self._parts.watch.begin(bridge.name)
                vitals = self._parts.vitals.of(bridge.name)
                vitals.resync = berth.rules.resync.total_seconds()
                self._tasks.start_soon(self._look_after, berth)

    async def _end(
        self, names: Sequence[BridgeName], gone: Collection[BridgeName] = frozenset()
    ) -> None:
        """Let the loops of *names* end, all at a time; show those that are *gone* no more."""
        berths = [self._berths.pop(name) for name in names]
        for berth in berths:
            log.info("bridge_let_go", bridge=berth.settings.name, gone=berth.settings.name in gone)
            berth.stop.set()
        for berth in berths:
            await berth.ended.wait()
        for name in gone:
            self._parts.watch.forget(name)

    async def _look_after(self, berth: _Berth) -> None:
        try:
            async with open_the_bridge(berth.settings, self._parts.clock) as bridge:
                ports = self._parts.ports(bridge, self._vault, berth.settings.name, berth.rules)
                berth.loop = Loop(berth.settings.name, ports)
                await berth.loop.run(berth.stop)
        except BadBridgeUrl as error:  # a file of it has gone since it was checked
            log.error("bridge_unusable", bridge=berth.settings.name, reason=str(error))  # noqa: TRY400
        finally:
            berth.loop = None
            berth.ended.set()
