"""Parses a long JSON text in pieces: one C call for all of it would hold up every other thread."""

import json
from collections.abc import Callable
from typing import Any

_LONG = 250_000  # characters; so much takes a millisecond or two at once
_OPENED = 2  # levels of objects that are walked here; lists of markets lie no deeper
_decode = json.JSONDecoder().raw_decode
_SPACE = " \t\n\r"


def loads(text: str, at_once: Callable[[str], Any] = json.loads) -> Any:
    """Return what `json.loads` does; *at_once* parses short texts. Raises ValueError."""
    if len(text) < _LONG:
        return at_once(text)
    try:
        value, end = _value(text, _past_space(text, 0), _OPENED)
        if _past_space(text, end) != len(text):
            raise ValueError("something follows the JSON text")
    except IndexError:
        raise ValueError("the JSON text is cut off") from None
    return value


def _value(text: str, at: int, levels: int) -> tuple[Any, int]:
    if levels and text[at] == "{":
        return _object(text, at, levels)
    return _array(text, at) if levels and text[at] == "[" else _decode(text, at)


def _object(text: str, at: int, levels: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _past_space(text, at + 1)
    while text[at] != "}":
        key, at = _decode(text, at)
        at = _past_space(text, _past(text, at, ":"))
        if not isinstance(key, str):
            raise ValueError("a key is no text")  # noqa: TRY004 - what json raises, too
        found[key], at = _value(text, at, levels - 1)
        at = _next(text, at, "}")
    return found, at + 1


def _array(text: str, at: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    at = _past_space(text, at + 1)
    while text[at] != "]":
        value, at = _decode(text, at)
        found.append(value)
        at = _next(text, at, "]")
    return found, at + 1


def _next(text: str, at: int, end: str) -> int:
    """Return where the next item begins, or where *end* is."""
    at = _past_space(text, at)
    if text[at] == end:
        return at
    at = _past_space(text, _past(text, at, ","))
    if text[at] == end:
        raise ValueError("an item is missing after a comma")
    return at


def _past(text: str, at: int, mark: str) -> int:
    at = _past_space(text, at)
    if text[at] != mark:
        raise ValueError(f"no {mark} where one must be")
    return at + 1


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at
