"""What we put into a database beside tables: functions of ours, and triggers on their tables.

`keys()` and `clients()` are how their tables are read, whatever they look like there. PostgreSQL
puts their text into the query, as it does with a view's, but a function's text is no dependency:
nothing of ours forbids anybody to alter a table of theirs.

No trigger ever makes a write of theirs fail: whatever goes wrong in it is swallowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.store.tables import SCHEMA

_TRIGGERED = "RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp"
_HINTING = f"{_TRIGGERED} SECURITY DEFINER"
"""Whoever writes need not have rights on our schema."""
SWALLOWED = "EXCEPTION WHEN OTHERS THEN"


@dataclass(frozen=True, slots=True)
class Routine:
    """A function of ours."""

    name: str
    arguments: str
    kind: str
    body: str

    @property
    def create(self) -> str:
        head = f"CREATE OR REPLACE FUNCTION {SCHEMA}.{self.name}({self.arguments}) {self.kind}"
        return f"{head} AS $bridgetender${self.body}$bridgetender$"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger of ours on a table of theirs."""

    name: str
    table: str
    when: str
    routine: str

    @property
    def create(self) -> str:
        return (
            f"CREATE TRIGGER {self.name} {self.when.format(table=f'public.{self.table}')}"
            f" EXECUTE FUNCTION {SCHEMA}.{self.routine}()"
        )

    @property
    def enable(self) -> str:
        return f"ALTER TABLE public.{self.table} ENABLE TRIGGER {self.name}"

    @property
    def drop(self) -> str:
        return f"DROP TRIGGER IF EXISTS {self.name} ON public.{self.table}"


_FILL = Routine(
    "fill",
    "",
    _TRIGGERED,
    f"""
-- Fills in what a writer left out or gave as NULL, and moves updated_at with the row unless the
-- writer did. It goes by names in JSON, so that a column that is not there is no error.
DECLARE
  said jsonb := to_jsonb(NEW);
  was jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) END;
  filled jsonb := '{{}}';
  name text;
  twin text;
BEGIN
  IF TG_OP = 'INSERT' THEN
    filled := jsonb_build_object('id', gen_random_uuid(), 'created_at', CURRENT_TIMESTAMP,
      'is_active', true, 'is_testnet', false)
      - ARRAY(SELECT jsonb_object_keys(jsonb_strip_nulls(said)));
  END IF;
  IF said ->> 'updated_at' IS NULL OR said ->> 'updated_at' = was ->> 'updated_at' THEN
    filled := filled || jsonb_build_object('updated_at', CURRENT_TIMESTAMP);
  END IF;
  NEW := jsonb_populate_record(NEW, filled);
  -- Where a row has its credentials under two names, alike, a change of one changes the other.
  FOREACH name IN ARRAY ARRAY['api_key', 'api_secret', 'passphrase'] LOOP
    twin := name || '_encrypted';
    CONTINUE WHEN (was ->> name = was ->> twin) IS NOT TRUE;
    IF said ->> name = was ->> name THEN
      NEW := jsonb_populate_record(NEW, jsonb_build_object(name, coalesce(said ->> twin, '')));
    ELSIF said ->> twin = was ->> twin THEN
      NEW := jsonb_populate_record(NEW, jsonb_build_object(twin, coalesce(said ->> name, '')));
    END IF;
  END LOOP;
  RETURN NEW;
{SWALLOWED}
  RETURN NEW;
END """,
)
_HINT = Routine(
    "hint",
    "clients uuid[]",
    "RETURNS void LANGUAGE plpgsql",
    """
BEGIN
  -- 100 ids fit well below NOTIFY's 8,000 bytes.
  IF cardinality(clients) > 100 THEN
    PERFORM pg_notify('bridgetender', '*');
  ELSIF cardinality(clients) > 0 THEN
    PERFORM pg_notify('bridgetender', array_to_string(clients, ','));
  END IF;
END """,
)


def _hinting(name: str, say: str) -> Routine:
    body = f"""
BEGIN
  {say};
  RETURN NULL;
{SWALLOWED}
  RETURN NULL;
END """
    return Routine(name, "", _HINTING, body)


def _changed(column: str) -> str:
    return f"PERFORM {SCHEMA}.hint(ARRAY(SELECT DISTINCT {column} FROM changed LIMIT 101))"


TRIGGERED = (
    _FILL,
    _HINT,
    _hinting("hint_keys", _changed("client_id")),
    _hinting("hint_clients", _changed("id")),
    _hinting("hint_all", "PERFORM pg_notify('bridgetender', '*')"),
)
"""The functions that triggers call, each after those it needs."""


def _fill(table: str) -> Trigger:
    when = "BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
    return Trigger("bridgetender_fill", table, when, "fill")


def _hint(table: str, event: str, rows: str, routine: str) -> Trigger:
    """PostgreSQL wants one trigger per event where transition tables are used."""
    changed = f"REFERENCING {rows} TABLE AS changed " if rows else ""
    when = f"AFTER {event} ON {{table}} {changed}FOR EACH STATEMENT"
    return Trigger(f"bridgetender_hint_{event.lower()}", table, when, routine)


FILLS = (_fill("clients"), _fill("exchange_api_keys"))
HINTS = (
    _hint("exchange_api_keys", "INSERT", "NEW", "hint_keys"),
    _hint("exchange_api_keys", "UPDATE", "NEW", "hint_keys"),
    _hint("exchange_api_keys", "DELETE", "OLD", "hint_keys"),
    _hint("exchange_api_keys", "TRUNCATE", "", "hint_all"),
    _hint("clients", "UPDATE", "NEW", "hint_clients"),
    _hint("clients", "DELETE", "OLD", "hint_clients"),
    _hint("clients", "TRUNCATE", "", "hint_all"),
)

HINTING = rf"""
SELECT count(*) = {len(HINTS)} FROM pg_trigger
WHERE tgrelid IN (to_regclass('public.clients'), to_regclass('public.exchange_api_keys'))
  AND tgname LIKE 'bridgetender\_hint\_%' AND tgenabled IN ('O', 'A')
"""
"""Asks whether every trigger that hints is there and enabled."""


def readers(types: Mapping[str, Mapping[str, str]]) -> tuple[Routine, Routine]:
    """Return the functions that read their tables; *types* are the columns of each, with types."""
    return _clients(types["clients"]), _keys(types["exchange_api_keys"])


def _clients(types: Mapping[str, str]) -> Routine:
    account = "settings ->> 'bridge_account'" if types["settings"] in _OBJECTS else "NULL::text"
    body = f"""
SELECT id, name::text, coalesce(upper(status::text), 'ACTIVE'), {account}, {_CREATED}
FROM public.clients"""
    returned = "id uuid, name text, status text, bridge_account text, created_at timestamptz"
    return _reader("clients", returned, body)


def _keys(types: Mapping[str, str]) -> Routine:
    secrets = ", ".join(_secret(name, types) for name in ("api_key", "api_secret", "passphrase"))
    body = f"""
SELECT id, client_id, exchange::text, {secrets}, label::text,
  coalesce(is_testnet, false), coalesce(is_active, true), {_CREATED}, updated_at::timestamptz
FROM public.exchange_api_keys"""
    returned = (
        "id uuid, client_id uuid, exchange text, api_key text, api_secret text, passphrase text,"
        " label text, is_testnet boolean, is_active boolean, created_at timestamptz,"
        " updated_at timestamptz"
    )
    return _reader("keys", returned, body)


def _reader(name: str, returned: str, body: str) -> Routine:
    return Routine(name, "", f"RETURNS TABLE ({returned}) LANGUAGE sql STABLE", body)


def _secret(name: str, types: Mapping[str, str]) -> str:
    """Our name for it goes first, unless a row has nothing there."""
    twin = f"{name}_encrypted"
    if twin not in types:
        return f"{name}::text"
    return f"coalesce(nullif({name}::text, ''), {twin}::text)" if name in types else f"{twin}::text"


_CREATED = "coalesce(created_at::timestamptz, '-infinity')"
"""What has no time of creation is older than what has one."""
_OBJECTS = ("json", "jsonb")

DROPS = (
    *(trigger.drop for trigger in (*FILLS, *HINTS)),
    *(f"DROP FUNCTION IF EXISTS {SCHEMA}.{routine.name}" for routine in reversed(TRIGGERED)),
    *(f"DROP FUNCTION IF EXISTS {SCHEMA}.{name}" for name in ("keys", "clients")),
)
"""Take all of this back, and nothing else."""
