"""Decides which statements turn what was found into what this version needs. Pure.

Nothing of theirs is dropped, renamed, retyped or made stricter: missing tables, columns, defaults
and an index are added, rows without updated_at get one, and that is all. What is right already
needs no statement, so a second migration does nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

from daemon.store import found as catalogue
from daemon.store.found import Found
from daemon.store.hooks import FILLS, HINTS, TRIGGERED, Trigger, readers
from daemon.store.rights import (
    ANYBODY,
    Right,
    privilege,
    quoted,
    to_alter,
    to_alter_ours,
    to_create,
    to_replace,
)
from daemon.store.tables import SCHEMA, clients, exchange_api_keys

PATIENCE, HASTE = "3s", "500ms"
"""How long the first and the second of their tables are waited for, while others wait for us.

PostgreSQL looks for deadlocks after 1 s. Who waits for the first table holds nothing yet, and the
second is given up before anybody who has it, and waits for the first, is taken for its victim.
"""


class CannotMigrate(Exception):
    """Nothing was changed. The message says what is in the way, and who can do what about it."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; *without* says how the daemon lives without it: "" not at all.

    None is for what only prepares the others.
    """

    sql: str
    right: Right
    without: str | None = ""

    @property
    def title(self) -> str:
        """Its beginning, for people."""
        words = " ".join(self.sql.split())
        return words if len(words) <= _TITLE else f"{words[:_TITLE]}..."


_TITLE = 100
_POLLS = "the daemon looks at the tables every 5 s instead of being told"
_UNFILLED = "who writes a row without updated_at, or with NULL in it, is not helped"


def plan(found: Found, revisions: Sequence[str]) -> list[Statement]:
    """Return what to run, in its order; *revisions* bring our own tables to this version.

    Raises CannotMigrate if a table of theirs is not what its name says.
    """
    if complaints := list(_complaints(found)):
        raise CannotMigrate("\n".join(complaints))
    theirs = [*_their_tables(found), *_dates(found)]
    hooks = list(_triggers(found))
    return [
        *_our_schema(found),
        *(Statement(sql, to_alter_ours(found)) for sql in revisions),
        *(_locks(found) if theirs or hooks else ()),
        *theirs,
        *_routines(found),
        *_users_of_our_functions(found),
        *hooks,
        *_to_see(found),
    ]


def grants(found: Found) -> list[str]:
    """Return what the role that the daemon has needs where another runs the statements."""
    role, schema = quoted(found.role), SCHEMA
    return [
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role}",
        *(f"GRANT SELECT ON public.{name} TO {role}" for name in _MODEL),
    ]


# -- ours ------------------------------------------------------------------------------------


def _our_schema(found: Found) -> Iterator[Statement]:
    if found.ours is None:
        yield Statement(f"CREATE SCHEMA {SCHEMA}", to_alter_ours(found))


def _routines(found: Found) -> Iterator[Statement]:
    for routine in (*readers(_types(found)), *TRIGGERED):
        there = found.functions.get(routine.name)
        if there is None:
            yield Statement(routine.create, to_alter_ours(found))
        elif there.body != routine.body:
            yield Statement(routine.create, to_replace(routine, held=there.owned))


def _triggers(found: Found) -> Iterator[Statement]:
    for triggers, without in ((FILLS, _UNFILLED), (HINTS, _POLLS)):
        for trigger in triggers:
            yield from _trigger(found, trigger, without)


def _users_of_our_functions(found: Found) -> Iterator[Statement]:
    """Who owns a table of theirs must find our functions, to make a trigger of them."""
    owners = {table.owner for table in found.tables.values()} - {found.role}
    if found.ours is None and found.may_create_schema:
        for owner in sorted(owners):
            grant = f"GRANT USAGE ON SCHEMA {SCHEMA} TO {quoted(owner)}"
            yield Statement(grant, to_alter_ours(found))


def _trigger(found: Found, trigger: Trigger, without: str) -> Iterator[Statement]:
    there = found.tables.get(trigger.table)
    if there is None or trigger.name not in there.triggers:
        right = privilege(found, "TRIGGER", trigger.table)
        yield Statement(trigger.create, right, without)
    elif not there.triggers[trigger.name]:
        yield Statement(trigger.enable, to_alter(found, trigger.table), without)


# -- theirs ----------------------------------------------------------------------------------


def _their_tables(found: Found) -> Iterator[Statement]:
    for name, table in _MODEL.items():
        right = to_alter(found, name)
        if name not in found.tables:
            yield Statement(str(CreateTable(table).compile(dialect=_DIALECT)).strip(), right)
            for index in sorted(table.indexes, key=lambda index: str(index.name)):
                yield Statement(str(CreateIndex(index).compile(dialect=_DIALECT)), right)
        else:
            for sql, without in _adoption(name, table, found.tables[name]):
                yield Statement(sql, right, without)
            yield from _index(found, name)


def _adoption(name: str, table: Table, there: catalogue.Table) -> Iterator[tuple[str, str]]:
    alter = f"ALTER TABLE public.{name}"
    for column in table.columns:
        known = there.columns.get(column.name)
        if known is None and f"{column.name}_encrypted" in there.columns:
            continue  # it is theirs under that name; the reader finds it there
        if known is None:
            yield f"{alter} ADD COLUMN {_specification(column)}", ""
        if (known is None and column.name in _TIMES) or (known and not known.default):
            default = _default(column, known)
            if default is not None:
                sql = f"{alter} ALTER COLUMN {column.name} SET DEFAULT {default}"
                yield sql, f"who writes a row must say its {column.name}"


def _index(found: Found, name: str) -> Iterator[Statement]:
    if "client_id" in found.tables[name].columns.keys() - found.tables[name].indexed:
        sql = f"CREATE INDEX IF NOT EXISTS ix_{name}_client_id ON public.{name} (client_id)"
        alter, create = to_alter(found, name), to_create(found)
        right = alter if not alter.held else create  # an owner needs both
        yield Statement(sql, right, "the daemon reads a client's keys more slowly")


def _specification(column: Column[object]) -> str:
    """Old rows get the default of a flag; of a time they get none, since nobody knows it."""
    kind = column.type.compile(dialect=_DIALECT)
    default = None if column.name in _TIMES else _default(column, None)
    return f"{column.name} {kind}" + (f" DEFAULT {default}" if default else "")


def _default(column: Column[object], known: catalogue.Column | None) -> str | None:
    """Return the model's default for a column of theirs; an enum has its own spelling of it."""
    default: str | None = _DDL.get_column_default_string(column)
    if known and known.labels and default:
        said = default.strip("'").upper()
        return next((f"'{label}'" for label in known.labels if label.upper() == said), None)
    return default


def _dates(found: Found) -> Iterator[Statement]:
    for name in _MODEL:
        there = found.tables.get(name)
        if there and (there.undated or "updated_at" not in there.columns):
            sql = (
                f"UPDATE public.{name} SET updated_at = coalesce(created_at, CURRENT_TIMESTAMP)"
                " WHERE updated_at IS NULL"
            )
            yield Statement(sql, privilege(found, "UPDATE", name), "some rows have no updated_at")


def _to_see(found: Found) -> Iterator[Statement]:
    for name in _MODEL:
        right = privilege(found, "SELECT", name)
        if not right.held:
            yield Statement(right.cure, right)


def _locks(found: Found) -> Iterator[Statement]:
    for name, wait in (("exchange_api_keys", PATIENCE), ("clients", HASTE)):
        if name in found.tables:
            yield Statement(f"SET LOCAL lock_timeout = '{wait}'", ANYBODY, None)
            lock = f"LOCK TABLE public.{name} IN ACCESS EXCLUSIVE MODE"
            yield Statement(lock, to_alter(found, name), None)


# -- what their tables are -------------------------------------------------------------------


def _complaints(found: Found) -> Iterator[str]:
    for name, there in found.tables.items():
        if there.kind not in ("r", "p"):
            yield f"public.{name} is no table, so it cannot be the one of clients' keys"
            continue
        for column in _MODEL[name].columns:
            known = there.columns.get(column.name)
            wanted = _TYPES.get(column.name, ())
            if known and wanted and known.type not in wanted:
                yield f"public.{name}.{column.name} is {known.type}; expected {wanted[0]}"
        for column_name in _NEEDED[name]:
            if not {column_name, f"{column_name}_encrypted"} & there.columns.keys():
                yield f"public.{name} has no column {column_name}: it is not the table we know"


def _types(found: Found) -> dict[str, dict[str, str]]:
    """Return the columns of their tables, with types, as they are after the migration."""
    return {name: _types_of(table, found.tables.get(name)) for name, table in _MODEL.items()}


def _types_of(table: Table, there: catalogue.Table | None) -> dict[str, str]:
    found = {name: column.type for name, column in there.columns.items()} if there else {}
    added = {
        column.name: column.type.compile(dialect=_DIALECT).lower()
        for column in table.columns
        if f"{column.name}_encrypted" not in found
    }
    return added | found


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_DDL = postgresql.base.PGDDLCompiler(_DIALECT, CreateTable(clients))
_PUBLIC = MetaData()
_MODEL = {
    table.name: table.to_metadata(_PUBLIC, schema="public")
    for table in (clients, exchange_api_keys)
}
_TIMES = ("created_at", "updated_at")
_WHEN = ("timestamp without time zone", "timestamp with time zone")
_TYPES = {
    "id": ("uuid",),
    "client_id": ("uuid",),
    "is_testnet": ("boolean",),
    "is_active": ("boolean",),
    "created_at": _WHEN,
    "updated_at": _WHEN,
}
_NEEDED = {
    "clients": ("id", "name"),
    "exchange_api_keys": ("id", "client_id", "exchange", "api_key", "api_secret"),
}
