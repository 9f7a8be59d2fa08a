"""`status`: is everything well, and if not, what is not and why."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import typer
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.cli.output import Json, document, say, short, table, without_same
from daemon.cli.parts import command_app
from daemon.cli.pauses import described, of_key
from daemon.cli.reach import ForDatabase, database, settings
from daemon.clock import SystemClock
from daemon.rights import warnings_of
from daemon.store.pauses import Pause, Pauses
from daemon.store.status import BridgeStatus, KeyStatus, Leftover, Status
from daemon.words import relative, sentence
from reconciler.model import SETTLED, BridgeName, Instant, Phase, Reason, Verified
from reconciler.routes import MAIN

app = command_app()
_WERE, _WAS = "were live when their bridge was last seen", "was so when its bridge was last seen"
_HEADINGS = ("Key", "Client", "Exchange", "Bridge", "Phase", "Next try", "Verified", "Reason")


@dataclass(frozen=True, slots=True)
class Standing:
    """All that is known, and what it amounts to."""

    keys: Sequence[KeyStatus]
    leftovers: Sequence[Leftover]
    bridges: Mapping[BridgeName, BridgeStatus]
    """Those that a daemon ever looked at."""
    pauses: Sequence[Pause] = ()

    @property
    def needed(self) -> Sequence[BridgeName]:
        """Return the bridges that have something to do, or the one that there is."""
        going = {left.bridge for left in self.leftovers if left.reason != "bridge_dropped"}
        named = {key.bridge for key in self.active} | going
        return sorted(named or self.bridges.keys()) or [MAIN]

    @property
    def active(self) -> Sequence[KeyStatus]:
        return [key for key in self.keys if key.phase != "inactive"]

    @property
    def not_live(self) -> Sequence[KeyStatus]:
        return [key for key in self.active if key.phase != Phase.LIVE]

    @property
    def down(self) -> Collection[BridgeName]:
        return away(self.bridges.values())

    def code(self) -> Code:
        if not (self.active or self.leftovers):
            return Code.OK
        going = {
            left.phase
            for left in self.leftovers
            if not left.held and left.reason != "bridge_dropped"
        }
        phases = {key.phase for key in self.active} | going
        if any(_unkept(name, self.bridges.get(name)) for name in self.needed) or phases - SETTLED:
            return Code.UNSETTLED
        return Code.NOT_LIVE if self.not_live or self.leftovers else Code.OK

    def summary(self) -> str:
        code, count = self.code(), len(self.active)
        if not (count or self.leftovers):
            return "No key is active, so there is nothing to do."
        if code is Code.OK:
            return f"All is well: {count} of {count} active keys are live."
        start = "Not settled yet" if code is Code.UNSETTLED else "Settled, but not all is live"
        return f"{start}: {'; '.join(self._troubles())}."

    def _troubles(self) -> Iterator[str]:
        for name in self.needed:
            if why := _unkept(name, self.bridges.get(name)):
                yield why
        live = [key for key in self.active if key.phase == Phase.LIVE]
        unseen = sum(key.bridge in self.down for key in live)
        yield f"{len(live) - unseen} of {len(self.active)} active keys are live"
        if unseen:
            yield f"{unseen} {_WERE}"
        reasons = Counter((key.phase, sentence(key.reason)) for key in self.not_live)
        for (phase, why), count in reasons.most_common():
            yield f"{count} {phase} ({why})"
        if self.leftovers:
            yield f"{len(self.leftovers)} connector(s) on the bridge whose key is gone"


def away(bridges: Iterable[BridgeStatus]) -> Collection[BridgeName]:
    """Return those that are down: what is noted of their keys is from before."""
    return {bridge.bridge for bridge in bridges if bridge.since and not bridge.up}


@app.command()
def status(*, json: Json = False) -> None:
    """Say where every key stands, and why.

    Exit code: 0 all live, 3 settled but not all live, 1 not settled or no daemon to settle it.
    """
    standing, now = anyio.run(_ask, settings(ForDatabase)), SystemClock().now()
    if json:
        document(as_document(standing))
    else:
        _print(standing, now)
    raise typer.Exit(standing.code())


async def _ask(wanted: ForDatabase) -> Standing:
    async with database(wanted.database_url) as engine:
        return await standing_of(engine)


async def standing_of(engine: AsyncEngine) -> Standing:
    """Raises StoreError."""
    status = Status(engine)
    keys, leftovers = await status.keys(), await status.leftovers()
    bridges = {bridge.bridge: bridge for bridge in await status.bridges()}
    return Standing(keys, leftovers, bridges, await Pauses(engine).all())


def _print(standing: Standing, now: Instant) -> None:
    say(standing.summary())
    for name in standing.needed:
        say(_of_bridge(name, standing.bridges.get(name), now))
    for pause in standing.pauses:
        say(described(pause, now))
    print_keys(standing.keys, standing.pauses, now, standing.down)
    if standing.leftovers:
        rows = [
            (left.bridge, left.account, left.connector, left.phase, _why(left))
            for left in standing.leftovers
        ]
        headings = ("Bridge", "Account", "Connector without a key", "Phase", "Reason")
        table(*without_same("Bridge", headings, rows))


def print_keys(
    keys: Sequence[KeyStatus],
    pauses: Sequence[Pause],
    now: Instant,
    down: Collection[BridgeName],
) -> None:
    if keys:
        rows = [_cells(key, pauses, now, down) for key in keys]
        table(*without_same("Bridge", _HEADINGS, rows))


def _why(left: Leftover) -> str:
    return sentence(left.reason, left.message)


def _unkept(name: BridgeName, bridge: BridgeStatus | None) -> str:
    """Say why the keys of a bridge cannot settle; "" if they can."""
    if bridge is None or bridge.holder is None:
        return f"no daemon holds the bridge {name!r}, so nothing is being done"
    return "" if bridge.up else f"the bridge {name!r} is down ({bridge.reason})"


def _of_bridge(name: BridgeName, bridge: BridgeStatus | None, now: Instant) -> str:
    if bridge is None or bridge.since is None:
        return f"Bridge {name!r}: no daemon has looked at it yet."
    since = relative(bridge.since, now).removesuffix(" ago")
    state = f"{'up' if bridge.up else 'down'} for {since}"
    if bridge.reason:
        state += f": {bridge.reason}"
    return f"Bridge {bridge.bridge!r}: {state}; held by {bridge.holder or 'nobody'}."


def _cells(
    key: KeyStatus, pauses: Sequence[Pause], now: Instant, down: Collection[BridgeName]
) -> tuple[str, ...]:
    live, inactive = key.phase == Phase.LIVE, key.phase == "inactive"
    held = any(of_key(pauses, key))
    return (
        *(short(key.key_id), key.client, key.exchange + (" (testnet)" if key.is_testnet else "")),
        key.bridge,
        key.phase,
        "paused" if held else "" if live or inactive else relative(key.due_at, now),
        "" if inactive else _verified(key, now),
        "; ".join(_words(key, now, away=key.bridge in down)),
    )


def _words(key: KeyStatus, now: Instant, *, away: bool) -> Iterator[str]:
    """Yield what is to be said of a key beside its phase."""
    if away and key.phase == Phase.LIVE:
        yield _WAS
    if key.phase != Phase.LIVE or key.reason != Reason.APPLIED or key.message:
        yield sentence(key.reason, key.message)
    yield from (warned.text for warned in warnings_of(key.rights, now))


def _verified(key: KeyStatus, now: Instant) -> str:
    """Say whether it is proven, and when it last was."""
    proven = relative(key.verified_at, now)
    match key.verified:
        case Verified.FAILED:
            return f"no, last {proven}" if proven else "no"
        case _:
            return proven or "not yet"


def as_document(standing: Standing) -> dict[str, Any]:
    return {
        "summary": standing.summary(),
        "settled": standing.code() is not Code.UNSETTLED,
        "all_live": standing.code() is Code.OK,
        "bridges": [standing.bridges[name] for name in standing.needed if name in standing.bridges],
        "pauses": standing.pauses,
        "keys": [
            in_words(key) | {"held": any(of_key(standing.pauses, key))} for key in standing.keys
        ],
        "leftovers": [in_words(left) for left in standing.leftovers],
    }


def in_words(row: KeyStatus | Leftover) -> dict[str, Any]:
    return row._asdict() | {"words": sentence(row.reason, row.message)}
