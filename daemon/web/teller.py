"""Asks bridges for a client's balances: each account once at a time, and not again for a while."""

from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol
from uuid import UUID
from weakref import WeakValueDictionary

import anyio

from daemon.bridges.balances import Balances, Failure
from daemon.web.keeper import Keeper
from daemon.web.models import KeyState
from daemon.web.statement import Age, Answer, Remembered, Statement, asked_for, is_late, statement
from reconciler.model import BridgeName, ClientId
from reconciler.verdicts import NotThere, Verdict

CACHED_FOR, LATE_FOR = 10.0, 1.0
"""Seconds for which balances are not asked for again; of which one is late, it may tell soon."""
REMEMBERED = 10_000
_Told = Mapping[str, Balances | Failure]


class Bridges(Protocol):
    """The bridges of the settings, by name."""

    async def balances(
        self, bridge: BridgeName, account: str, expected: Collection[str], wait: float | None
    ) -> _Told:
        """Return what is told of each connector, at least of those *expected*. Raises a verdict.

        After *wait* seconds, what is not told is Late.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    told: _Told
    at: float

    def good_for(self, seconds: float) -> float:
        return min(seconds, LATE_FOR) if any(map(is_late, self.told.values())) else seconds


@dataclass(slots=True)
class Fresh:
    """Keeps answers for *seconds*; who asks for one that is under way waits for that."""

    seconds: float = CACHED_FOR
    time: Callable[[], float] = monotonic
    _kept: dict[Hashable, _Kept] = field(default_factory=dict)
    _locks: WeakValueDictionary[Hashable, anyio.Lock] = field(default_factory=WeakValueDictionary)

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[_Told]]) -> tuple[_Told, float]:
        """Return the answer and its age in seconds."""
        async with self._locks.setdefault(key, anyio.Lock()):
            kept = self._kept.get(key)
            if kept is None or self.time() - kept.at >= kept.good_for(self.seconds):
                self._forget_old()
                kept = self._kept[key] = _Kept(await ask(), self.time())
            return kept.told, self.time() - kept.at

    def _forget_old(self) -> None:
        """Drop what is no use any more: the oldest are first, since each is kept anew."""
        old = self.time() - self.seconds
        for key in [key for key, kept in self._kept.items() if kept.at <= old]:
            del self._kept[key]


@dataclass(slots=True)
class Memory:
    """What each key told last, for when its exchange is late."""

    time: Callable[[], float] = monotonic
    _last: dict[tuple[UUID, str | None], tuple[Balances, float]] = field(default_factory=dict)

    def of(self, key: KeyState, told: Balances | Failure, age: float) -> Answer:
        """Return *told*, or what was told before of one that is late; *age* is in seconds."""
        place = key.id, key.api_key  # with other credentials, it is another account
        if isinstance(told, Balances):
            self._last.pop(place, None)  # so that the oldest are first
            self._last[place] = told, self.time() - age
            if len(self._last) > REMEMBERED:
                del self._last[next(iter(self._last))]
        elif is_late(told) and place in self._last:
            before, at = self._last[place]
            return Remembered(before, self.time() - at, told)
        return told


@dataclass(slots=True)
class Teller:
    """May raise StoreError, and Problem not_found."""

    keeper: Keeper
    bridges: Bridges
    wait: Callable[[], float]
    """Seconds that an exchange may take."""
    fresh: Fresh = field(default_factory=Fresh)
    memory: Memory = field(default_factory=Memory)

    async def balances(self, client_id: ClientId) -> Statement:
        """Return what the client's connectors tell; one that fails hides no other."""
        client = await self.keeper.client(client_id)
        keys = await self.keeper.keys(client_id)
        places = {(key.bridge, key.account) for key in keys if asked_for(key)}
        found: dict[tuple[str, str], Answer] = {}
        ages = [0.0]

        async def ask(bridge: str, account: str) -> None:
            here = [k for k in keys if asked_for(k) and (k.bridge, k.account) == (bridge, account)]
            told, age = await self._told(bridge, account, here)
            for key in here:
                if (each := told.get(key.connector)) is not None:
                    found[bridge, key.connector] = self.memory.of(key, each, age)
            ages.append(age)

        async with anyio.create_task_group() as tasks:
            for bridge, account in places:
                tasks.start_soon(ask, bridge, account)
        return statement(client_id, client.name, keys, found, Age(max(ages), self.fresh.seconds))

    async def _told(
        self, bridge: str, account: str, keys: Collection[KeyState]
    ) -> tuple[_Told, float]:
        """Ask for what was told already only if a key has moved since."""
        moved = frozenset((key.id, key.live_since, key.last_attempt_at) for key in keys)
        expected = sorted(key.connector for key in keys)

        async def ask() -> _Told:
            try:
                name, wait = BridgeName(bridge), self.wait()
                return await self.bridges.balances(name, account, expected, wait)
            except NotThere:
                why = "the bridge has just lost this account; the daemon puts it back by itself"
                return dict.fromkeys(expected, Failure(NotThere(why)))
            except Verdict as verdict:
                return dict.fromkeys(expected, Failure(verdict))

        return await self.fresh.get((bridge, account, moved), ask)
