"""Reads many keys at once, from CSV or JSON: each row is checked by itself. Pure."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from daemon.entry import BadEntry, KeyEntry, key_entry
from daemon.exchanges import KNOWN, lacks
from reconciler.slots import ALIASES, canonical

MOST = 10_000
"""Rows of one import."""
COLUMNS = (
    *("client", "exchange", "api_key", "api_secret"),
    *("passphrase", "label", "is_testnet"),
)
_NEEDED = COLUMNS[1:4]
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0", ""})
_EXPECTED = f"the columns are {', '.join(COLUMNS)}; needed are {', '.join(_NEEDED)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One key, or *wrong*: what is wrong with it, in words that repeat nothing of it.

    Rows are counted from 1, a CSV's header not counted. *client* is a name or id, if one is said.
    """

    number: int
    client: str | None = None
    entry: KeyEntry | None = field(default=None, repr=False)
    wrong: str = ""


def rows_of(text: str) -> list[Row]:
    """Return every row of a file. Raises BadEntry for a file that is none, or too long."""
    text = text.removeprefix("\ufeff").strip()
    if not text:
        raise BadEntry(f"import: is empty; {_EXPECTED}")
    said = _of_json(text) if text[0] in "[{" else _of_csv(text)
    if len(said) > MOST:
        raise BadEntry(f"import: {len(said):,} rows are too many at once, at most {MOST:,}")
    return [_row(number, each) for number, each in enumerate(said, 1)]


def _of_json(text: str) -> Sequence[object]:
    try:
        said: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise BadEntry("import: looks like JSON and is not") from None
    rows = said.get("keys") if isinstance(said, dict) else said
    if not isinstance(rows, list):
        raise BadEntry('import: is neither a list of objects nor {"keys": [...]}')
    return rows


def _of_csv(text: str) -> Sequence[object]:
    head = text.splitlines()[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip().lower() for name in reader.fieldnames or ()]
        if unknown := len(set(names) - set(COLUMNS)):  # unnamed: it may be a key, if no header
            raise BadEntry(f"import: the first row has {unknown} unknown column(s); {_EXPECTED}")
        if missing := [name for name in _NEEDED if name not in names]:
            raise BadEntry(f"import: the first row lacks {', '.join(missing)}; {_EXPECTED}")
        if len(set(names)) != len(names):
            raise BadEntry("import: the first row names a column twice")
        reader.fieldnames = names
        return list(reader)
    except csv.Error:
        raise BadEntry("import: is not CSV: a quote is not closed, or it holds a NUL") from None


def _row(number: int, said: object) -> Row:
    try:
        values = _values(said)
        client = values.get("client") or None
        return Row(number, client, entry=_entry(values))
    except BadEntry as error:
        return Row(number, wrong=str(error))


def _values(said: object) -> dict[str, str]:
    """Return what a row says, as texts."""
    if not isinstance(said, dict):
        raise BadEntry("row: is not an object")
    if None in said:
        raise BadEntry("row: has more fields than the first row has columns")
    if unknown := len(said.keys() - set(COLUMNS)):
        raise BadEntry(f"row: has {unknown} unknown field(s); {_EXPECTED}")
    return {name: _text(name, value) for name, value in said.items()}


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) and name == "is_testnet":
        return str(value).lower()
    if not isinstance(value, str):
        raise BadEntry(f"{name}: is not text")
    return value.strip()


def _entry(values: Mapping[str, str]) -> KeyEntry:
    for name in _NEEDED:
        if not values.get(name) and not lacks(values.get("exchange", ""), name):
            raise BadEntry(f"{name}: is missing")
    testnet = values.get("is_testnet", "").lower()
    if testnet not in _YES | _NO:
        raise BadEntry("is_testnet: is neither true nor false")
    entry = key_entry(
        values["exchange"],
        values.get("api_key", ""),
        values.get("api_secret", ""),
        values.get("passphrase") or None,
        values.get("label") or None,
        is_testnet=testnet in _YES,
    )
    if canonical(entry.exchange) not in KNOWN:  # perhaps a key, if columns were mixed up
        hint = "".join(f"; did you mean {name}?" for name in _near(entry.exchange))
        raise BadEntry(f"exchange: it is not known here{hint}")
    return entry


def _near(exchange: str) -> Iterator[str]:
    yield from get_close_matches(canonical(exchange), [*KNOWN, *ALIASES], 1)
