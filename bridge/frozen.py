"""Read-only views of what accounts share: dicts and lists that ccxt takes for its own.

A write raises instead of showing to another account. Reading costs what a plain dict costs.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Never


class ReadOnly(TypeError):
    """Something tried to write to what all connectors of an exchange share."""


def _refuse(shared: object, *_given: object, **_more: object) -> Never:
    raise ReadOnly(f"this {type(shared).__name__} is shared by all accounts of an exchange")


class FrozenDict(dict[Any, Any]):
    """Made by `freeze`, so that what it holds is read-only, too."""

    __slots__ = ()
    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __copy__(self) -> dict[Any, Any]:
        return dict(self)

    def __deepcopy__(self, _memo: object) -> dict[Any, Any]:
        return {key: thaw(value) for key, value in self.items()}


class FrozenList(list[Any]):
    """Made by `freeze`, so that what it holds is read-only, too."""

    __slots__ = ()
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __copy__(self) -> list[Any]:
        return list(self)

    def __deepcopy__(self, _memo: object) -> list[Any]:
        return [thaw(value) for value in self]


def freeze(value: Any) -> Any:
    """Return *value* with all dicts, lists, sets and deques in it read-only."""
    match value:
        case str() | int() | FrozenDict() | FrozenList():
            return value
        case dict():
            return FrozenDict({key: freeze(held) for key, held in value.items()})
        case list() | deque():
            return FrozenList(map(freeze, value))
        case tuple() | set():
            return (tuple if isinstance(value, tuple) else frozenset)(map(freeze, value))
        case _:
            return value


def thaw(value: Any) -> Any:
    """Return a copy of *value*, frozen or not, that may be written to all through."""
    if isinstance(value, dict):
        return {key: thaw(held) for key, held in value.items()}
    return [thaw(held) for held in value] if isinstance(value, list) else value


class Thrift:
    """Keeps one of the equal parts of frozen values: markets repeat themselves a lot.

    Equal means of equal type, too: 1, 1.0 and True are three values.
    """

    def __init__(self) -> None:
        self.kept: dict[Any, Any] = {}
        """Large; to be emptied piece by piece in the end."""

    def __call__(self, value: Any) -> Any:
        """Return what `freeze` would, made of parts that were met before where it can be."""
        match value:
            case str() | int():
                return self.kept.setdefault((type(value), value), value)
            case float():  # by its text: 0.0 equals -0.0
                return self.kept.setdefault((float, repr(value)), value)
            case dict():
                pairs = [(self(key), self(held)) for key, held in value.items()]
                return self._keep(FrozenDict(pairs), (id(each) for pair in pairs for each in pair))
            case list():
                listed = FrozenList(map(self, value))
                return self._keep(listed, map(id, listed))
            case _:
                return freeze(value)

    def _keep(self, made: Any, addresses: Iterable[int]) -> Any:
        # Its parts are alive as long as it is kept, so their addresses stand for their contents.
        return self.kept.setdefault((type(made), *addresses), made)


def empty(held: object) -> None:
    """Empty a dict or list piece by piece: a million objects freed at once hold up all threads."""
    if isinstance(held, dict | list):
        take = held.popitem if isinstance(held, dict) else held.pop
        while held:
            take()
