"""Notices when a parser of ccxt's finds nothing where it looks, so that empty means empty.

ccxt's parsers look into an answer by `safe_list` and `safe_dict`, and take a missing list for an
empty one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast


class Looks:
    """`missed` tells whether the last look for a list or an object was in vain."""

    def __init__(self) -> None:
        self.missed = False
        self._void: list[Any] = []

    def begin(self) -> None:
        """Forget what was looked for in earlier answers."""
        self.missed = False
        self._void.clear()

    def note(self, place: Any, key: Any, found: Any, default: Any) -> None:
        """Take note that *key* was looked for in *place*."""
        absent = found is default
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


def begin() -> None:
    """Say that an answer has come."""
    if (looks := _looking.get()) is not None:
        looks.begin()


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
