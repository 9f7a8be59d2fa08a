"""What is printed: tables on a terminal, aligned text in a pipe, or one JSON document."""

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Row = Sequence[str]


def say(text: str) -> None:
    typer.echo(printable(text))


def warn(text: str) -> None:
    typer.echo(f"Warning: {printable(text)}", err=True)


def document(value: Mapping[str, Any]) -> None:
    typer.echo(json.dumps(value, default=_plain, indent=2))


def table(headings: Row, rows: Sequence[Row]) -> None:
    """Print *rows*; not on a terminal, no value is cut or broken."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if on_terminal():
        _rich(headings, cells)
    else:
        _aligned([[heading.upper() for heading in headings], *cells])


def without_same(heading: str, headings: Row, rows: Sequence[Row]) -> tuple[Row, Sequence[Row]]:
    """Leave out the column *heading* where every row says the same in it."""
    at = headings.index(heading)
    if len({row[at] for row in rows}) > 1:
        return headings, rows
    return (*headings[:at], *headings[at + 1 :]), [(*r[:at], *r[at + 1 :]) for r in rows]


def on_terminal() -> bool:
    return sys.stdout.isatty()


def printable(text: str) -> str:
    """Return *text* as one line: names may hold what moves a cursor, and here it moves none."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def short(id_: object) -> str:
    """Return an id for a table: on a terminal its beginning, which commands take for the whole."""
    return str(id_)[:8] if on_terminal() else str(id_)


def _rich(headings: Row, rows: Sequence[Row]) -> None:
    from rich import box  # noqa: PLC0415 - in a pipe nobody should wait for it
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0, collapse_padding=True)
    for heading in headings[:-1]:
        shown.add_column(heading, no_wrap=True)
    shown.add_column(headings[-1], min_width=20)  # the last one gives way
    for row in rows:
        shown.add_row(*(Text(cell, overflow="fold") for cell in row))
    Console().print(shown)


def _aligned(rows: Sequence[Row]) -> None:
    from rich.cells import cell_len  # noqa: PLC0415 - some commands print no table

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (
            cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)
        )
        typer.echo("  ".join(padded).rstrip())


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return str(value)
