"""Writes rows of theirs under the names and in the types that their tables have."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from reconciler.verdicts import StoreError

_COLUMNS = text("""
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(:table) AND attnum > 0 AND NOT attisdropped
""")
_NOW = {"id": "gen_random_uuid()", "created_at": "CURRENT_TIMESTAMP"}
"""Said, since a table that we may not alter may have no default for it."""


async def insert_row(connection: AsyncConnection, table: str, values: Mapping[str, Any]) -> UUID:
    """Insert a row into public.*table*; return its id."""
    row = _spread(values, await columns_of(connection, table))
    ours = _NOW | {"updated_at": "CURRENT_TIMESTAMP"}
    names, said = ", ".join((*row, *ours)), ", ".join((*row, *ours.values()))
    query = text(
        f"INSERT INTO public.{table} ({names}) SELECT {said} FROM {_typed(table)} RETURNING id"
    )
    made: UUID = (await connection.execute(query, _as_json(row))).scalar_one()
    return made


async def update_row(
    connection: AsyncConnection, table: str, id_: UUID, values: Mapping[str, Any]
) -> int:
    """Change the row of public.*table* with this id; return how many there are."""
    row = _spread(values, await columns_of(connection, table))
    changes = ", ".join(f"{name} = {_kept_empty(name, row)}" for name in row)
    query = text(
        f"UPDATE public.{table} t SET {changes}, updated_at = CURRENT_TIMESTAMP"
        f" FROM {_typed(table)} n WHERE t.id = :id"
    )
    return (await connection.execute(query, _as_json(row) | {"id": id_})).rowcount


def _spread(values: Mapping[str, Any], columns: frozenset[str]) -> dict[str, Any]:
    """Return *values* by the columns that they go to: some tables have a secret twice.

    Raises StoreError for what would be lost because there is no column for it.
    """
    for name, value in values.items():
        if columns.isdisjoint({name, f"{name}_encrypted"}) and value != _SILENT.get(name):
            raise StoreError(f"the table has no column {name!r}, which this needs: add it first")
    row = {f"{name}_encrypted": value for name, value in values.items()}
    return {name: value for name, value in (row | dict(values)).items() if name in columns}


_SILENT = {"is_active": True, "is_testnet": False, "status": "ACTIVE"}
"""What a missing column is read as; None for all others."""


def _kept_empty(name: str, row: Mapping[str, Any]) -> str:
    """Where a row has a secret only in the encrypted column, it stays there only."""
    if f"{name}_encrypted" not in row:
        return f"n.{name}"
    return f"CASE WHEN nullif(t.{name}, '') IS NULL THEN t.{name} ELSE n.{name} END"


def _typed(table: str) -> str:
    return f"jsonb_populate_record(NULL::public.{table}, CAST(CAST(:row AS text) AS jsonb))"


def _as_json(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"row": msgspec.json.encode(row).decode()}


async def columns_of(connection: AsyncConnection, table: str) -> frozenset[str]:
    found = await connection.execute(_COLUMNS, {"table": f"public.{table}"})
    return frozenset(found.scalars())
