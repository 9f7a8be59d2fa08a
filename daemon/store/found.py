"""What a database holds before a migration: their tables, ours, and what this role may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from daemon.store.tables import SCHEMA

THEIRS = ("clients", "exchange_api_keys")


@dataclass(frozen=True, slots=True)
class Column:
    """*type* is PostgreSQL's name of it, without a length; *labels* are those of an enum."""

    type: str
    default: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of theirs.

    *kind* is pg_class.relkind, *indexed* are the columns that an index begins with, *triggers* are
    ours and tell whether each is enabled, *undated* whether a row has no updated_at.
    """

    kind: str
    owner: str
    owned: bool
    privileges: frozenset[str]
    columns: Mapping[str, Column]
    indexed: frozenset[str] = frozenset()
    triggers: Mapping[str, bool] = field(default_factory=dict)
    undated: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours, and whether this role may replace it."""

    body: str
    owned: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """Our schema; *reached* tells whether this role may use all that is in it."""

    owner: str
    owned: bool
    reached: bool


@dataclass(frozen=True, slots=True)
class Found:
    """All of it."""

    role: str
    database: str
    may_create_schema: bool
    may_create_theirs: bool
    ours: Schema | None
    functions: Mapping[str, Function]
    tables: Mapping[str, Table]


_FIND = text(rf"""
SELECT json_build_object(
  'role', current_user,
  'database', current_database(),
  'may_create_schema', has_database_privilege(current_database(), 'CREATE'),
  'may_create_theirs', coalesce((
    SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), false),
  'ours', (
    SELECT json_build_object(
      'owner', pg_get_userbyid(n.nspowner),
      'owned', pg_has_role(n.nspowner, 'USAGE'),
      'reached', has_schema_privilege(n.oid, 'USAGE') AND NOT EXISTS (
        SELECT FROM pg_class c,
          unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed
        WHERE c.relnamespace = n.oid AND c.relkind = 'r'
          AND NOT has_table_privilege(c.oid, needed)))
    FROM pg_namespace n WHERE n.nspname = '{SCHEMA}'),
  'functions', (
    SELECT coalesce(json_object_agg(p.proname, json_build_object(
      'body', p.prosrc, 'owned', pg_has_role(p.proowner, 'USAGE'))), '{{}}')
    FROM pg_proc p WHERE p.pronamespace = to_regnamespace('{SCHEMA}')),
  'tables', (
    SELECT coalesce(json_object_agg(c.relname, json_build_object(
      'kind', c.relkind,
      'owner', pg_get_userbyid(c.relowner),
      'owned', pg_has_role(c.relowner, 'USAGE'),
      'privileges', ARRAY(
        SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRIGGER']) AS p
        WHERE has_table_privilege(c.oid, p)),
      'columns', (
        SELECT json_object_agg(a.attname, json_build_object(
          'type', format_type(a.atttypid, NULL),
          'default', a.atthasdef OR a.attidentity <> '',
          'labels', ARRAY(
            SELECT enumlabel FROM pg_enum WHERE enumtypid = a.atttypid ORDER BY enumsortorder)))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      'indexed', ARRAY(
        SELECT a.attname FROM pg_index i
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL),
      'triggers', (
        SELECT coalesce(json_object_agg(t.tgname, t.tgenabled IN ('O', 'A')), '{{}}')
        FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'bridgetender\_%')
    )), '{{}}')
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace('public') AND c.relname IN {THEIRS}))::text
""")


async def find(connection: AsyncConnection) -> Found:
    """Look into the catalogue, and for rows without updated_at."""
    said = (await connection.execute(_FIND)).scalar_one()
    found = msgspec.json.decode(said, type=Found)
    tables = {name: await _dated(connection, name, table) for name, table in found.tables.items()}
    return replace(found, tables=tables)


async def _dated(connection: AsyncConnection, name: str, table: Table) -> Table:
    if "updated_at" not in table.columns or "SELECT" not in table.privileges:
        return table
    query = text(f"SELECT EXISTS (SELECT FROM public.{name} WHERE updated_at IS NULL)")
    undated = (await connection.execute(query)).scalar_one()
    return replace(table, undated=undated)
