"""Where every key stands, asked once for all who look: one snapshot per process."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import anyio
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.pauses import Pause, Pauses
from daemon.store.people import Client, People
from daemon.store.status import BridgeStatus, KeyStatus, Leftover, Status
from reconciler.model import BridgeName, ClientId
from reconciler.ports import Clock

_SHARE = 10
"""A look that took a second is followed by none for this many."""
_OFTEN, _SELDOM = 1.0, 5.0
"""Seconds between two looks when things move, and when nothing is heard."""
_PATIENCE = 2.0
"""Seconds that somebody waits to see what they did."""


@dataclass(frozen=True)
class Snapshot:
    """How things stood *at* that time; *version* is another one once anything differs."""

    version: str
    at: datetime
    keys: Sequence[KeyStatus] = ()
    bridges: Sequence[BridgeStatus] = ()
    pauses: Sequence[Pause] = ()
    leftovers: Sequence[Leftover] = ()
    clients: Sequence[Client] = ()

    @cached_property
    def texts(self) -> Sequence[str]:
        """What a search looks into, for each key."""
        return [
            f"{key.client}\n{key.exchange}\n{key.label or ''}\n{key.account}".casefold()
            for key in self.keys
        ]

    @cached_property
    def phases(self) -> Mapping[str, int]:
        return Counter(key.phase for key in self.keys)

    @cached_property
    def by_client(self) -> Mapping[ClientId, Sequence[KeyStatus]]:
        found = defaultdict[ClientId, list[KeyStatus]](list)
        for key in self.keys:
            found[key.client_id].append(key)
        return dict(found)

    @property
    def down(self) -> Sequence[BridgeStatus]:
        return [bridge for bridge in self.bridges if not bridge.up]

    def same(self, other: "Snapshot") -> bool:
        return all(getattr(self, part) == getattr(other, part) for part in _PARTS)


_PARTS = ("keys", "bridges", "pauses", "leftovers", "clients")


class Roster:
    """Keeps the snapshot while somebody looks at it. May raise StoreError."""

    def __init__(self, engine: AsyncEngine, main: Callable[[], BridgeName], clock: Clock) -> None:
        self._engine, self._main, self._clock = engine, main, clock
        self._boot, self._count = secrets.token_hex(4), 0
        self._last: Snapshot | None = None
        self._stale, self._rests_until, self._old_at = True, 0.0, 0.0
        self._as_of = self._free_at = 0.0
        self._asking, self._stirred = anyio.Lock(), anyio.Event()
        self.closed = False
        self.looks = 0
        """How often the database was asked."""

    def touch(self) -> None:
        """Something moved: the snapshot is not to be relied on."""
        self._stale = True
        self._stirred.set()
        self._stirred = anyio.Event()

    def close(self) -> None:
        """Let everybody go who waits for news."""
        self.closed = True
        self.touch()

    async def now(self) -> Snapshot:
        """Return the snapshot: what moved a moment ago may not be in it."""
        async with self._asking:
            now = anyio.current_time()
            outdated = self._stale or now >= self._old_at
            if self._last is None or (outdated and now >= self._rests_until):
                self._last = await self._look(self._last)
            return self._last

    async def anew(self) -> Snapshot:
        """Return a snapshot with what whoever asks has just done, if one is to be had soon."""
        asked = anyio.current_time()
        with anyio.move_on_after(_PATIENCE):
            await anyio.sleep(max(self._free_at - asked, 0.0))
            async with self._asking:
                if self._last is None or self._as_of <= asked:
                    self._last = await self._look(self._last)
                return self._last
        return await self.now()

    async def after(self, version: str, seconds: float) -> Snapshot:
        """Return the first snapshot that is not *version*, or the present one after *seconds*."""
        with anyio.move_on_after(seconds):
            while (await self.now()).version == version and not self.closed:
                await self._until_due()
        return await self.now()

    async def _until_due(self) -> None:
        if not self._stale:
            with anyio.move_on_after(max(self._old_at - anyio.current_time(), 0.0)):
                await self._stirred.wait()
        if not self.closed:
            await anyio.sleep(max(self._rests_until - anyio.current_time(), 0.0))

    async def _look(self, last: Snapshot | None) -> Snapshot:
        began, self._stale = anyio.current_time(), False
        self.looks += 1
        try:
            found = await self._asked()
        except BaseException:
            self._stale = True
            raise
        self._as_of, ended = began, anyio.current_time()
        self._free_at = ended + (ended - began) * _SHARE
        self._rests_until = max(ended + _OFTEN, self._free_at)
        self._old_at = max(ended + _SELDOM, self._rests_until)
        if last is not None and found.same(last):
            return last
        self._count += 1
        return found

    async def _asked(self) -> Snapshot:
        status = Status(self._engine, self._main())
        return Snapshot(
            version=f"{self._boot}-{self._count + 1}",
            at=self._clock.now(),
            keys=await status.keys(),
            bridges=await status.bridges(),
            pauses=await Pauses(self._engine).all(),
            leftovers=await status.leftovers(),
            clients=await People(self._engine).clients(),
        )
