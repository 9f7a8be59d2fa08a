"""Which keys of the roster are asked for, in which order, page by page. Pure."""

import base64
import binascii
import bisect
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from daemon.rights import warnings_of
from daemon.store.status import KeyStatus
from daemon.web.roster import Snapshot

Sort = Literal["client", "exchange", "phase", "due_at", "since", "verified_at"]
Order = Literal["asc", "desc"]
Place = tuple[bool, str, str]
"""Where a key is in a list: what has no value comes last, and its id tells equals apart."""


class BadCursor(ValueError):
    """It was not given out for such a list."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to list; None is any. *q* is looked for in client, exchange, label and account."""

    q: str = ""
    phase: str | None = None
    reason: str | None = None
    exchange: str | None = None
    bridge: str | None = None
    client_id: UUID | None = None
    warning: str | None = None
    sort: Sort = "client"
    order: Order = "asc"
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """*counts* by phase are of what is found in any phase, *total* of what is listed."""

    keys: Sequence[KeyStatus]
    total: int
    counts: Mapping[str, int]
    next: str | None


_VALUES: Mapping[Sort, Callable[[KeyStatus], str | datetime | None]] = {
    "client": lambda key: f"{key.client.casefold()}\n{key.exchange}",
    "exchange": lambda key: f"{key.exchange}\n{key.client.casefold()}",
    "phase": lambda key: f"{key.phase}\n{key.reason}\n{key.client.casefold()}",
    "due_at": lambda key: key.due_at,
    "since": lambda key: key.live_since,
    "verified_at": lambda key: key.verified_at,
}


def page_of(snapshot: Snapshot, wanted: Wanted) -> Page:
    """Return one page. Raises BadCursor."""
    found = _found(snapshot, wanted)
    counts = Counter(key.phase for key in found)
    if wanted.phase is not None:
        found = [key for key in found if key.phase == wanted.phase]
    down = wanted.order == "desc"
    placed = sorted(((_place(key, wanted), key) for key in found), key=_first, reverse=down)
    begin = _begin([place for place, _ in placed], wanted) if wanted.cursor else 0
    shown = placed[begin : begin + wanted.limit]
    more = begin + wanted.limit < len(placed)
    after = _cursor(shown[-1][0], wanted) if more else None
    return Page([key for _, key in shown], len(placed), counts, after)


def _found(snapshot: Snapshot, wanted: Wanted) -> list[KeyStatus]:
    words = wanted.q.casefold().split()
    names = ("reason", "exchange", "bridge", "client_id")
    same = [(name, getattr(wanted, name)) for name in names if getattr(wanted, name) is not None]
    if not (words or same or wanted.warning):
        return list(snapshot.keys)
    return [
        key
        for key, text in zip(snapshot.keys, snapshot.texts, strict=True)
        if all(word in text for word in words)
        and all(getattr(key, name) == value for name, value in same)
        and _warned(key, snapshot, wanted)
    ]


def _warned(key: KeyStatus, snapshot: Snapshot, wanted: Wanted) -> bool:
    if wanted.warning is None:
        return True
    return wanted.warning in {each.code for each in warnings_of(key.rights, snapshot.at)}


def _first(pair: tuple[Place, KeyStatus]) -> Place:
    return pair[0]


def _place(key: KeyStatus, wanted: Wanted) -> Place:
    value = _VALUES[wanted.sort](key)
    text = value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value
    return ((text is None) is (wanted.order == "asc"), text or "", str(key.key_id))


def _begin(places: Sequence[Place], wanted: Wanted) -> int:
    """Return how many places are up to the cursor's, which itself may be there no more."""
    last = _read(wanted)
    if wanted.order == "asc":
        return bisect.bisect_right(places, last)
    return len(places) - bisect.bisect_left(places[::-1], last)


def _cursor(place: Place, wanted: Wanted) -> str:
    said = json.dumps([wanted.sort, wanted.order, *place], separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _read(wanted: Wanted) -> Place:
    try:
        said = json.loads(base64.urlsafe_b64decode(f"{wanted.cursor}=="))
        sort, order, missing, text, key_id = said
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise BadCursor("cursor: use the one that came with the last page") from None
    place = (missing, text, key_id)
    if (sort, order) != (wanted.sort, wanted.order) or list(map(type, place)) != [bool, str, str]:
        raise BadCursor("cursor: it belongs to a list in another order; begin again without it")
    return place
