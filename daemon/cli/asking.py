"""Asks people for what is secret or final: on a terminal, from stdin or a file; never in argv."""

import json
import sys
from pathlib import Path
from typing import Any

import typer

from daemon.cli.exits import Trouble
from daemon.entry import BadEntry
from daemon.exchanges import lacks

_LARGEST = 65_536
_FIELDS = ("api_key", "api_secret", "passphrase")


def secrets(source: Path | None, exchange: str) -> dict[str, str]:
    """Return api_key, api_secret and maybe passphrase; *source* "-" is stdin.

    What the credentials of *exchange* do not have is "".

    Raises BadEntry, which repeats nothing of what was read.
    """
    if source is None and on_terminal():
        return _prompted(exchange)
    said = _stdin() if source is None or str(source) == "-" else _file(source)
    return _parsed(said, exchange)


def confirm(question: str) -> None:
    """Raise Trouble unless a person says yes."""
    if not on_terminal():
        raise Trouble("without a terminal to ask on, say --yes")
    typer.confirm(question, abort=True)


def on_terminal() -> bool:
    return sys.stdin.isatty()


def _prompted(exchange: str) -> dict[str, str]:
    found = {
        name: "" if lacks(exchange, name) else typer.prompt(name, hide_input=True)
        for name in _FIELDS[:2]
    }
    text = "passphrase (Enter if there is none)"
    found["passphrase"] = typer.prompt(text, hide_input=True, default="", show_default=False)
    return found


def _stdin() -> bytes:
    return sys.stdin.buffer.read(_LARGEST + 1)


def _file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name cannot be a file's"
        raise BadEntry(f"--secrets-from: {str(path)!r} cannot be read: {why}") from None


def _parsed(data: bytes, exchange: str) -> dict[str, str]:
    if len(data) > _LARGEST:
        raise BadEntry(f"--secrets-from: more than {_LARGEST:,} bytes are no credentials")
    try:
        text = data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise BadEntry("--secrets-from: is not UTF-8 text") from None
    return _of_json(text, exchange) if text.startswith("{") else _of_lines(text)


def _of_json(text: str, exchange: str) -> dict[str, str]:
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise BadEntry("--secrets-from: looks like JSON and is not") from None
    if unknown := len(said.keys() - set(_FIELDS)):
        raise BadEntry(f"--secrets-from: {unknown} unknown field(s); {_EXPECTED}")
    for name in _FIELDS[:2]:
        if name not in said and not lacks(exchange, name):
            raise BadEntry(f"{name}: is missing; {_EXPECTED}")
    for name, value in said.items():
        if not isinstance(value, str) and not (name == "passphrase" and value is None):
            raise BadEntry(f"{name}: is not text")
    there = {name: value for name, value in said.items() if value is not None}
    return dict.fromkeys(_FIELDS[:2], "") | there


def _of_lines(text: str) -> dict[str, str]:
    lines = [line.rstrip("\r") for line in text.split("\n")]
    if any(line.startswith("-----BEGIN") for line in lines):
        raise BadEntry(f"api_secret: a PEM has lines of its own, so say it as JSON: {_EXPECTED}")
    if not text:
        raise BadEntry(f"--secrets-from: is empty; {_EXPECTED}")
    if not 2 <= len(lines) <= len(_FIELDS):
        raise BadEntry(f"--secrets-from: has {len(lines)} line(s); {_EXPECTED}")
    return dict(zip(_FIELDS, lines, strict=False))


_EXPECTED = (
    'expected {"api_key": "...", "api_secret": "...", "passphrase": "..."}, or these on a line each'
)
