"""The demo's play: three clients, nine keys, and a bridge that forgets them all."""

import base64
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import anyio
import httpx

from daemon.bridges.balances import Balances, Failure
from daemon.bridges.trading import TradingBridge, open_bridge
from daemon.clock import SystemClock
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.guests import Welcome, welcome
from daemon.embedded.postgres import Server
from daemon.embedded.stage import Stage, scratch, staged
from daemon.store.people import People, SealedEntry
from daemon.store.status import BridgeStatus, KeyStatus, Status
from daemon.vault import Keyring
from reconciler.model import SETTLED, Phase, Secret
from reconciler.routes import MAIN
from reconciler.verdicts import StoreError, Verdict

PATIENCE = 120.0
"""Seconds after which the demo gives up waiting, on however busy a machine."""
REST = 20.0
"""Seconds for which a bridge that somebody killed stays away: long enough to see what happens."""
_GLANCE = 0.1
"""Seconds between two looks at where the keys stand."""

Holdings = Mapping[str, str]
"""Amounts by asset, as decimal text."""


@dataclass(frozen=True, slots=True)
class Role:
    """One stored key of the play, and what is wrong with it, if anything."""

    client: str
    exchange: str
    holds: Holdings = field(default_factory=dict)
    wrong_secret: bool = False
    unknown: bool = False
    active: bool = True

    @property
    def ends_live(self) -> bool:
        return self.active and not self.wrong_secret and not self.unknown


CAST = (
    Role("Acme Capital", "binance", {"BTC": "0.6", "USDT": "12500"}),
    Role("Acme Capital", "kraken", {"ETH": "14.25"}),
    Role("Acme Capital", "okx", {"USDT": "8000.5"}),
    Role("Birch Trading", "binance", {"ETH": "3.5"}),
    Role("Birch Trading", "kucoin", {"BTC": "0.125", "USDT": "990"}),
    Role("Birch Trading", "okx", {"BTC": "1"}, wrong_secret=True),
    Role("Cobalt Fund", "kraken", {"BTC": "2.75"}),
    Role("Cobalt Fund", "kucoin", {"USDT": "300"}, active=False),
    Role("Cobalt Fund", "mtgox", {}, unknown=True),
)
SPARE = ("bybit", "kucoin")
"""Exchanges on which the first client has no key."""


class Audience(Protocol):
    """Who watches: a terminal, or a file of plain lines."""

    def say(self, text: str) -> None:
        """One thing that happens."""
        ...

    def show(self, scene: "Scene") -> None:
        """How everything stands now; called often."""
        ...


@dataclass(frozen=True, slots=True)
class Scene:
    """Where keys and bridge stand; balances, or why there are none, by client and connector."""

    keys: Sequence[KeyStatus] = ()
    bridge: BridgeStatus | None = None
    balances: Mapping[tuple[str, str], Balances | Failure] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What the demo found; `as_expected` tells whether that is exactly what the cast should do."""

    keys_active: int
    live: int
    parked: int
    parked_reasons: Mapping[str, int]
    balances: Mapping[str, Mapping[str, Holdings]]
    first_convergence_seconds: float
    bridge_restart_convergence_seconds: float
    init_attempts: int
    secrets_leaked: int

    def as_expected(self) -> bool:
        live = sum(role.ends_live for role in CAST)
        active = sum(role.active for role in CAST)
        return (
            (self.keys_active, self.live, self.parked) == (active, live, active - live)
            and self.parked_reasons == {"refused": 1, "unsupported": 1}
            and self.balances == _expected_balances()
            and self.secrets_leaked == 0
        )


class GaveUp(Exception):
    """What should have happened did not, in PATIENCE seconds. The message says what."""


@asynccontextmanager
async def playing(
    below: Path | None, health_port: int, api_port: int, audience: Audience
) -> AsyncIterator["Play"]:
    """Set the stage with everything running and the keys stored. Raises EmbeddedError."""
    with scratch(below, "bridgetender-demo-") as directory:
        audience.say("Starting PostgreSQL, a paper exchange and a Trading Bridge")
        began = monotonic()
        async with staged(directory) as stage, _while_it_lasts(stage.server):
            await stage.start_paper()
            await stage.start_bridge()
            async with open_bridge(MAIN, stage.bridge_url, SystemClock()) as bridge:
                play = Play(stage, bridge, audience, began)
                await play.seed()
                audience.say("Starting the daemon")
                await stage.start_daemon(health_port, api_port)
                yield play


@asynccontextmanager
async def _while_it_lasts(server: Server) -> AsyncIterator[None]:
    """Say of a database that is away that it has ended, if it has. Raises EmbeddedError."""
    try:
        yield
    except* StoreError as error:
        with anyio.move_on_after(1):
            code = await server.wait()
            raise server.failure(f"PostgreSQL has ended (status {code})") from error
        raise


class Play:
    """The acts, in their order: seed, converge, forget and recover, report."""

    def __init__(
        self, stage: Stage, bridge: TradingBridge, audience: Audience, began: float
    ) -> None:
        self.stage = stage
        self._bridge = bridge
        self._audience = audience
        self._began = began
        self._people = People(stage.engine)
        self._status = Status(stage.engine, MAIN)
        self._secrets: list[str] = [stage.encryption_key.reveal()]
        self._balances: dict[tuple[str, str], Balances | Failure] = {}
        self._asked_for: frozenset[tuple[str, str]] = frozenset()

    async def seed(self) -> None:
        """Store the cast's keys, and let the paper exchange know the valid ones."""
        keyring = Keyring([self.stage.encryption_key])
        clients = {name: await self._people.add_client(name) for name in _clients()}
        async with httpx.AsyncClient(base_url=self.stage.addresses["paper"]) as paper:
            for role in CAST:
                credentials = _credentials(role.exchange)
                self._secrets += credentials.values()
                if not role.unknown:
                    account = credentials | {"exchange": role.exchange, "balances": role.holds}
                    (await paper.post("/_paper/credentials", json=account)).raise_for_status()
                if role.wrong_secret:
                    credentials["api_secret"] = _secret()
                    self._secrets.append(credentials["api_secret"])
                await self._people.add_key(
                    clients[role.client], _sealed(role, credentials, keyring)
                )
        active = sum(role.active for role in CAST)
        self._audience.say(
            f"Stored {len(CAST)} keys of {len(clients)} clients, encrypted; {active} are active"
        )

    async def welcome(self) -> Welcome:
        """Make tokens for whoever stays, and credentials to add keys by."""
        spare = {exchange: _credentials(exchange) for exchange in SPARE}
        return await welcome(self.stage, _clients(), spare)

    async def converge(self) -> float:
        """Wait until every key is settled; return the seconds since the processes were started."""
        await self._until(_settled, "the keys did not settle")
        took = monotonic() - self._began
        self._audience.say(f"Everything that can be live is live, after {took:.1f} s")
        return took

    async def forget_and_recover(self) -> float:
        """Kill the bridge and start it anew; return the seconds from the kill to convergence."""
        self._audience.say("Killing the bridge: it forgets every connector")
        killed, killed_at = monotonic(), datetime.now(UTC)
        await self.stage.kill("bridge")
        await self._until(lambda scene: scene.bridge and not scene.bridge.up, "nobody noticed")
        self._audience.say("The daemon has noticed; starting the bridge anew, empty")
        await self.stage.start_bridge()

        def recovered(scene: Scene) -> bool:
            lives = [key.live_since for key in scene.keys if key.phase == Phase.LIVE]
            return _settled(scene) and all(since and since > killed_at for since in lives)

        await self._until(recovered, "the keys did not come back")
        took = monotonic() - killed
        self._audience.say(f"Everything is back, {took:.1f} s after the kill")
        return took

    async def report(self, first: float, again: float) -> Report:
        """Count what came true, from the database, the bridge, the metrics and every output."""
        scene = await self._scene(anew=True)
        parked = [key for key in scene.keys if key.phase == Phase.PARKED]
        served = [response.text for response in await self._everything_served()]
        return Report(
            keys_active=sum(key.is_active for key in scene.keys),
            live=sum(key.phase == Phase.LIVE for key in scene.keys),
            parked=len(parked),
            parked_reasons=dict(Counter(key.reason for key in parked)),
            balances=_shown_balances(scene),
            first_convergence_seconds=round(first, 2),
            bridge_restart_convergence_seconds=round(again, 2),
            init_attempts=_init_attempts(served[0]),
            secrets_leaked=await self._leaks([*served, repr(scene)]),
        )

    async def watch(self) -> None:
        """Show how things stand, for ever; whoever kills the bridge sees it come back."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(revive_the_bridge, self.stage, self._audience)
            while True:
                self._audience.show(await self._scene())
                await anyio.sleep(1)

    async def _until(self, true: Callable[[Scene], Any], otherwise: str) -> None:
        with anyio.move_on_after(PATIENCE):
            while True:
                scene = await self._scene()
                self._audience.show(scene)
                if true(scene):
                    return
                await anyio.sleep(_GLANCE)
        raise GaveUp(f"{otherwise} within {PATIENCE:.0f} s; the logs are in {self.stage.logs}")

    async def _scene(self, *, anew: bool = False) -> Scene:
        keys = await self._status.keys()
        bridges = await self._status.bridges()
        bridge = next((each for each in bridges if each.bridge == MAIN), None)
        if bridge and bridge.up:
            await self._ask_balances(keys, anew=anew)
        return Scene(keys, bridge, dict(self._balances))

    async def _ask_balances(self, keys: Sequence[KeyStatus], *, anew: bool) -> None:
        """Ask when other connectors are live than before: each glance need not."""
        live = frozenset((key.client, key.connector) for key in keys if key.phase == Phase.LIVE)
        if live == self._asked_for and not anew:
            return
        self._balances.clear()
        for client, account in {(k.client, k.account) for k in keys if k.phase == Phase.LIVE}:
            try:
                found = await self._bridge.balances(account)
            except Verdict:
                return  # it has just gone: the next glance asks again
            self._balances |= {(client, name): said for name, said in found.items()}
        self._asked_for = live

    async def _everything_served(self) -> list[httpx.Response]:
        """Metrics come first."""
        paths = ("metrics", "livez?verbose", "readyz?verbose", "startupz?verbose", "healthz")
        url = self.stage.addresses["daemon"]
        socket = self.stage.bridge_url.removeprefix("unix:")
        transport = httpx.AsyncHTTPTransport(uds=socket)
        async with httpx.AsyncClient() as daemon:
            seen = [await daemon.get(f"{url}/{path}") for path in (*paths, "healthz/bridges")]
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as bridge:
            paths = ("accounts", "connectors", "connectors/supported", "health", "metrics")
            return seen + [await bridge.get(f"/{path}") for path in paths]

    async def _leaks(self, texts: list[str]) -> int:
        """Count the secrets in whatever was printed and served."""
        logs = [path async for path in anyio.Path(self.stage.directory).rglob("*.log")]
        texts += [(await log.read_bytes()).decode(errors="replace") for log in logs]
        return sum(text.count(secret) for secret in self._secrets for text in texts)


async def revive_the_bridge(stage: Stage, audience: Audience) -> None:
    """Start the bridge anew a while after each of its ends."""
    while True:
        await stage.children["bridge"].wait()
        audience.say(f"The bridge has ended; it comes back, empty, in {REST:.0f} s")
        await anyio.sleep(REST)
        try:
            await stage.start_bridge()
        except EmbeddedError as error:  # somebody may have put another in its place
            audience.say(f"It does not come back: {error}")
            return
        audience.say(f"The bridge is back, with the process id {stage.children['bridge'].pid}")


def _settled(scene: Scene) -> bool:
    up = scene.bridge is not None and scene.bridge.up
    active = [key for key in scene.keys if key.is_active]
    return up and bool(active) and all(key.phase in SETTLED for key in active)


def _clients() -> list[str]:
    return list(dict.fromkeys(role.client for role in CAST))


def _credentials(exchange: str) -> dict[str, str]:
    credentials = {"api_key": secrets.token_urlsafe(24), "api_secret": _secret()}
    if exchange in ("okx", "kucoin"):
        credentials["password"] = secrets.token_urlsafe(12)
    return credentials


def _secret() -> str:
    return base64.b64encode(secrets.token_bytes(48)).decode()  # Kraken's are base64


def _sealed(role: Role, credentials: Mapping[str, str], keyring: Keyring) -> SealedEntry:
    sealed = {name: keyring.seal(Secret(plain)) for name, plain in credentials.items()}
    return SealedEntry(
        role.exchange,
        sealed["api_key"],
        sealed["api_secret"],
        sealed.get("password"),
        is_active=role.active,
    )


def _init_attempts(metrics: str) -> int:
    lines = (line.split() for line in metrics.splitlines())
    name = "bridgetender_init_attempts_total{"
    return int(sum(float(words[1]) for words in lines if words[0].startswith(name)))


def _expected_balances() -> dict[str, dict[str, Holdings]]:
    return _nested((role.client, role.exchange, role.holds) for role in CAST if role.ends_live)


def _shown_balances(scene: Scene) -> dict[str, dict[str, Holdings]]:
    return _nested(
        (client, connector, {a.asset: f"{a.total.normalize():f}" for a in said.amounts if a.total})
        for (client, connector), said in scene.balances.items()
        if isinstance(said, Balances)
    )


def _nested(rows: Iterable[tuple[str, str, Holdings]]) -> dict[str, dict[str, Holdings]]:
    nested: dict[str, dict[str, Holdings]] = {}
    for client, exchange, holdings in sorted(rows, key=lambda row: row[:2]):
        nested.setdefault(client, {})[exchange] = holdings
    return nested
