"""Reads listings: which connectors a bridge shows, under canonical names, each once."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
from anyio.lowlevel import checkpoint

from daemon.bridges.translate import Answer
from reconciler.model import BridgeName, Connector, Observation, Slot
from reconciler.slots import connector_name
from reconciler.verdicts import Unclear

TESTNET = "_testnet"
_CHUNK = 2000
"""Rows decoded at a time: 100,000 at once would hold up everything else for 30 ms."""


def known_as(name: str) -> str:
    """Return the canonical name of a connector, however the bridge spells it."""
    name = name.strip().lower()
    return connector_name(name.removesuffix(TESTNET), testnet=name.endswith(TESTNET))


class Foreign(Exception):
    """This bridge does not speak that dialect. Caught before it leaves the package."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What one answer showed. *accounts* are those that need not be created."""

    observation: Observation
    accounts: frozenset[str]
    etag: str | None
    by_place: Mapping[tuple[str, str], Connector] = field(repr=False)


class _OurListing(msgspec.Struct):
    boot_id: str
    connectors: list[msgspec.Raw]


class _OurConnector(msgspec.Struct):
    account: str
    connector: str
    fingerprint: str | None = None


class _StoryListing(msgspec.Struct):
    accounts: list[msgspec.Raw]
    boot_id: str | None = None


class _StoryAccount(msgspec.Struct):
    name: str
    connectors: list[str] = []


_OURS = msgspec.json.Decoder(_OurListing)
_OUR_ROW = msgspec.json.Decoder(_OurConnector)
_STORY = msgspec.json.Decoder(_StoryListing)
_STORY_ROW = msgspec.json.Decoder(_StoryAccount)


async def ours(bridge: BridgeName, answer: Answer, last: Listing | None = None) -> Listing:
    """Read our own bridge's. Raises Foreign if it is JSON of another form."""
    shelf = _Shelf(bridge, last)
    try:
        page = _OURS.decode(answer.body)
        for chunk in _chunks(page.connectors):
            for raw in chunk:
                row = _OUR_ROW.decode(raw)
                shelf.put(row.account, row.connector, row.fingerprint or "")
            await checkpoint()
    except msgspec.ValidationError:
        raise Foreign from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _unreadable(answer) from None
    return shelf.listing(answer, page.boot_id)


async def story(bridge: BridgeName, answer: Answer, last: Listing | None = None) -> Listing:
    """Read the listing of a bridge that keeps no labels."""
    shelf = _Shelf(bridge, last)
    try:
        page = _STORY.decode(answer.body)
        for chunk in _chunks(page.accounts):
            for raw in chunk:
                row = _STORY_ROW.decode(raw)
                shelf.add(row.name, row.connectors)
            await checkpoint()
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise _unreadable(answer) from None
    return shelf.listing(answer, page.boot_id)


def _chunks(rows: list[msgspec.Raw]) -> Iterator[list[msgspec.Raw]]:
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


def _unreadable(answer: Answer) -> Unclear:
    if not answer.body:
        return Unclear(f"HTTP {answer.status}: the bridge answered with an empty answer")
    return Unclear(
        f"HTTP {answer.status}: the bridge answered with something that is not a listing: check"
        " that its URL is that of a Trading Bridge"
    )


class _Shelf:
    """Collects connectors; of two names for one exchange the first counts.

    What has not changed since the *last* listing is taken over from it: that is nearly all, and
    making it anew would cost more than reading the listing.
    """

    def __init__(self, bridge: BridgeName, last: Listing | None) -> None:
        self._bridge = bridge
        self._before = last.by_place if last else {}
        self._names: dict[str, str] = {}
        self._accounts: set[str] = set()
        self._found: dict[tuple[str, str], Connector] = {}

    def add(self, account: str, connectors: Iterable[str]) -> None:
        self._accounts.add(account)
        for name in connectors:
            self.put(account, name, None)

    def put(self, account: str, name: str, fingerprint: str | None) -> None:
        if "\x00" in account or "\x00" in name:  # no key of ours is there: no row holds such a name
            return
        fingerprint = fingerprint and fingerprint.replace("\x00", "\ufffd")
        known = self._names.get(name) or self._names.setdefault(name, known_as(name))
        place = account, known
        old = self._before.get(place)
        if old is None or old.fingerprint != fingerprint:
            old = Connector(Slot(self._bridge, account, known), fingerprint)
        self._found.setdefault(place, old)
        self._accounts.add(account)

    def listing(self, answer: Answer, boot_id: str | None) -> Listing:
        observation = Observation(tuple(self._found.values()), boot_id)
        accounts, etag = frozenset(self._accounts), answer.headers.get("etag")
        return Listing(observation, accounts, etag, self._found)
