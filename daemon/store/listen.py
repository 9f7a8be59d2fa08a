"""Hears the database's hints where to look; while it cannot, says "everywhere" now and then."""

import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import anyio
import structlog
from asyncpg import Connection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import driver_of, storing, transaction
from daemon.store.hooks import HINTING
from daemon.store.leases import FREE_CHANNEL
from daemon.store.ledger import OUTCOMES
from daemon.store.tokens import CHANGED
from reconciler.model import BridgeName, ClientId
from reconciler.ports import Clients
from reconciler.verdicts import StoreError

log = structlog.get_logger()
CHANNEL = "bridgetender"
PROOF_CHANNEL = "bridgetender_proof"
_NOTIFY = text("SELECT pg_notify(:channel, :word)")


@dataclass(frozen=True, slots=True)
class Heed:
    """Who is told what: whose slots to look at, which bridge is free, whether LISTEN works.

    *moved*: an attempt has ended, here or elsewhere; *revoked*: a token or session has.
    """

    look: Callable[[Clients], None]
    free: Callable[[BridgeName], None]
    connected: Callable[[bool], None]
    moved: Callable[[], None] = lambda: None
    revoked: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds between two looks at everything while nothing is heard, and between two proofs.

    *proof* is how long one may take, *deaf* how long LISTEN is left alone after one that failed.
    """

    poll: float = 5.0
    prove: float = 30.0
    proof: float = 5.0
    deaf: float = 60.0


class Deaf(StoreError):
    """LISTEN was accepted, and what was notified did not arrive."""


async def listen(
    engine: AsyncEngine, ear: AsyncEngine | None, heed: Heed, patience: Patience | None = None
) -> None:
    """Heed every hint that comes through *ear*, for ever; None: look at everything now and then.

    Nothing depends on hearing: after each reconnect everything is looked at, and while LISTEN is
    away, or a trigger that hints is missing or disabled, every `poll` seconds. A pooler accepts
    LISTEN and delivers nothing, so it is proved by a word that is sent through *engine*.
    """
    patience = patience or Patience()
    while True:
        wait = patience.poll
        try:
            if ear is not None:
                await _hear(engine, ear, heed, patience)
        except Deaf as error:
            log.warning("listen_deaf", reason=str(error), retry_in_s=patience.deaf)
            wait = patience.deaf
        except StoreError as error:
            log.warning("listen_away", reason=str(error))
        heed.connected(False)  # noqa: FBT003 - a callback of one argument
        await _poll(heed, patience.poll, wait)


async def _poll(heed: Heed, pause: float, seconds: float) -> None:
    """Look at everything again and again, for *seconds*."""
    ends = anyio.current_time() + seconds
    while anyio.current_time() < ends:
        await anyio.sleep(pause)
        heed.look(None)


async def _hear(engine: AsyncEngine, ear: AsyncEngine, heed: Heed, patience: Patience) -> None:
    """Return when the line is broken; raise Deaf when it does not prove to be one."""
    gone, echo = anyio.Event(), _Echo(engine)
    async with _line(ear) as driver:
        driver.add_termination_listener(lambda _: gone.set())
        await driver.add_listener(PROOF_CHANNEL, echo.note)
        await driver.add_listener(FREE_CHANNEL, lambda *words: heed.free(BridgeName(words[-1])))
        await driver.add_listener(OUTCOMES, lambda *_: heed.moved())
        await driver.add_listener(CHANGED, lambda *_: heed.revoked())
        await driver.add_listener(CHANNEL, lambda *words: heed.look(parse(str(words[-1]))))
        proven, hinted = -math.inf, None
        while not gone.is_set():
            if anyio.current_time() >= proven + patience.prove:
                await echo.prove(patience.proof)
                proven = anyio.current_time()
            there = await driver.fetchval(HINTING, timeout=patience.proof)
            before, hinted = hinted, bool(there)
            if hinted is not before:
                log.info("triggers_checked", all_there=hinted)
                heed.connected(hinted)
            if before is None or not hinted:
                heed.look(None)
            with anyio.move_on_after(patience.poll):
                await gone.wait()


class _Echo:
    """Proves that what is notified by one connection is heard by another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._heard = anyio.Event()
        self._word = ""

    def note(self, *said: object) -> None:
        if said[-1] == self._word:
            self._heard.set()

    async def prove(self, seconds: float) -> None:
        """Raise Deaf if our own word does not arrive."""
        self._heard, self._word = anyio.Event(), secrets.token_hex(8)
        async with transaction(self._engine) as connection:
            await connection.execute(_NOTIFY, {"channel": PROOF_CHANNEL, "word": self._word})
        with anyio.move_on_after(seconds):
            return await self._heard.wait()
        raise Deaf("LISTEN delivers nothing, as behind a pooler: see BRIDGETENDER_LISTEN_URL")


@asynccontextmanager
async def _line(ear: AsyncEngine) -> AsyncIterator[Connection]:
    """Yield a connection that nobody else gets afterwards."""
    with storing():
        async with ear.connect() as connection:
            try:
                yield await driver_of(connection)
            finally:
                await connection.invalidate()


def parse(payload: str) -> Clients:
    """Return whose slots a hint names; None, everybody's, for whatever is not understood."""
    try:
        return frozenset(ClientId(UUID(word)) for word in payload.split(",")) or None
    except ValueError:
        return None
