"""Notices when a parser of ccxt's finds nothing where it looks, so that empty means empty.

ccxt's parsers look into an answer by `safe_list` and `safe_dict`, take a missing list for an empty
one, and pass over entries that they can't read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, cast


class Others(NamedTuple):
    """Wallets of which ccxt reads nothing, by the names that entries have for them at *place*."""

    place: str | int
    names: frozenset[str]

    def have(self, entry: Any) -> bool:
        try:
            return entry[self.place] in self.names
        except (LookupError, TypeError):
            return False


class Looks:
    """`missed` tells whether the last look for a list or an object was in vain.

    `entries` is the list that was found last, or the answer itself when it is one.
    """

    def __init__(self) -> None:
        self.missed = False
        self.entries: list[Any] = []
        self._void: list[Any] = []

    def begin(self, answer: object = None) -> None:
        """Forget what was looked for in earlier answers."""
        self.missed = False
        self.entries = answer if isinstance(answer, list) else []
        self._void.clear()

    def unread(self, others: Others | None) -> bool:
        """Tell whether there are entries that gave nothing, but for those of *others*."""
        return not all(others and others.have(entry) for entry in self.entries)

    def note(self, place: Any, key: Any, found: Any, default: Any) -> None:
        """Take note that *key* was looked for in *place*."""
        if isinstance(place, dict) and "info" in place:
            return  # what ccxt has read so far
        absent = found is default
        if absent and default:
            return  # ccxt's own settings
        if isinstance(found, list) and type(place) is dict and not absent:
            # what ccxt has grouped, and a list in a list, are but parts of one
            self.entries = found
        if isinstance(place, list) and isinstance(key, int):
            # No first entry in an empty list is no fault, nor is what is not in that.
            if absent:
                self._void.append(default)
        elif any(place is nothing for nothing in self._void):
            self._void.append(default)
        else:
            self.missed = absent


_looking: ContextVar[Looks | None] = ContextVar("looking", default=None)


@contextmanager
def looking() -> Iterator[Looks]:
    """Watch all that is looked for meanwhile."""
    looks = Looks()
    token = _looking.set(looks)
    try:
        yield looks
    finally:
        _looking.reset(token)


def begin(answer: object = None) -> None:
    """Say that *answer* has come."""
    if (looks := _looking.get()) is not None:
        looks.begin(answer)


class Watched:
    """Mixed in front of a ccxt exchange class."""

    options: Any

    def _noted(self, place: Any, key: Any, found: Any, default: Any) -> Any:
        looks = _looking.get()
        if looks is not None and place is not self.options:
            looks.note(place, key, found, default)
        return found

    def safe_list(self, place: Any, key: Any, default: Any = None) -> Any:
        found = cast("Any", super()).safe_list(place, key, default)
        return self._noted(place, key, found, default)

    def safe_list_2(self, place: Any, key: Any, other: Any, default: Any = None) -> Any:
        found = cast("Any", super()).safe_list_2(place, key, other, default)
        return self._noted(place, key, found, default)

    def safe_list_n(self, place: Any, keys: Any, default: Any = None) -> Any:
        found = cast("Any", super()).safe_list_n(place, keys, default)
        return self._noted(place, keys, found, default)

    def safe_dict(self, place: Any, key: Any, default: Any = None) -> Any:
        if type(place) is list and type(key) is int and -1 < key < len(place):
            found = place[key]  # an asset of many: the shortest way, since ccxt's takes four calls
            if type(found) is dict:
                return found
        found = cast("Any", super()).safe_dict(place, key, default)
        return self._noted(place, key, found, default)

    def safe_dict_2(self, place: Any, key: Any, other: Any, default: Any = None) -> Any:
        found = cast("Any", super()).safe_dict_2(place, key, other, default)
        return self._noted(place, key, found, default)

    def safe_dict_n(self, place: Any, keys: Any, default: Any = None) -> Any:
        found = cast("Any", super()).safe_dict_n(place, keys, default)
        return self._noted(place, keys, found, default)
