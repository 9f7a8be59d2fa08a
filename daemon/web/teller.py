"""Asks bridges for a client's balances: each account once at a time, and not again for a while."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol
from uuid import UUID

import anyio

from daemon.bridges.balances import Balances, Failure
from daemon.store.pauses import Pause, Pauses
from daemon.store.people import Client
from daemon.web.fresh import Fresh
from daemon.web.keeper import Keeper
from daemon.web.models import KeyState
from daemon.web.statement import (
    Age,
    Answer,
    Held,
    Remembered,
    Statement,
    asked_for,
    is_late,
    is_lost,
    statement,
)
from reconciler.model import BridgeName, ClientId
from reconciler.verdicts import NotThere, Verdict

CACHED_FOR, LATE_FOR = 10.0, 1.0
"""Seconds for which balances are not asked for again; of which one is late, it may tell soon."""
REMEMBERED = 10_000
_Told = Mapping[str, Balances | Failure]
_Pauses = Sequence[Pause]


def _lasting(told: _Told) -> float:
    return LATE_FOR if any(map(is_late, told.values())) else CACHED_FOR


class Bridges(Protocol):
    """The bridges of the settings, by name."""

    async def balances(
        self, bridge: BridgeName, account: str, expected: Collection[str], wait: float | None
    ) -> _Told:
        """Return what is told of each connector, at least of those *expected*. Raises a verdict.

        After *wait* seconds, what is not told is Late.
        """
        ...


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
    fresh: Fresh[_Told] = field(default_factory=lambda: Fresh(CACHED_FOR, lasting=_lasting))
    memory: Memory = field(default_factory=Memory)

    async def balances(self, client_id: ClientId) -> Statement:
        """Return what the client's connectors tell; one that fails hides no other."""
        stored = await self.keeper.stored(client_id)
        keys = self.keeper.shown(stored, await self.keeper.down())
        return await self.told(stored.client, keys, Pauses(self.keeper.engine).all)

    async def told(
        self, client: Client, keys: Sequence[KeyState], pauses: Callable[[], Awaitable[_Pauses]]
    ) -> Statement:
        """Return the same of keys that are known; *pauses* are asked for where one is lost."""
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
        if lost := [key for key in keys if is_lost(found.get((key.bridge, key.connector)))]:
            in_force = await pauses()
            for key in lost:
                if by := _held(client, key, in_force):
                    found[key.bridge, key.connector] = Failure(Held(f"{_LOST}, and {by}"))
        return statement(client.id, client.name, keys, found, Age(max(ages), self.fresh.seconds))

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
                why = f"{_LOST}; the daemon puts it back by itself"
                return dict.fromkeys(expected, Failure(NotThere(why)))
            except Verdict as verdict:
                return dict.fromkeys(expected, Failure(verdict))

        return await self.fresh.get((bridge, account, moved), ask)


_LOST = "the bridge has just lost this account"


def _held(client: Client, key: KeyState, pauses: _Pauses) -> str | None:
    """Say what keeps a key from being put back, and until when; None if nothing does."""
    ids = {"client_id": key.client_id, "key_id": key.id}
    for pause in pauses:
        if pause.reaches(bridge=key.bridge, **ids):
            what = _PAUSED[pause.scope].format(name=pause.name)
            why = f" ({pause.reason})" if pause.reason else ""
            return f"{pause.by} paused {what}{why}: it is put back once that is resumed"
    if client.status != "ACTIVE":
        return "its client is paused: it is put back once that is active"
    return None


_PAUSED = {"all": "everything", "bridge": "the bridge {name}", "client": "{name}", "key": "it"}
