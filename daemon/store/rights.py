"""What a statement needs, whether this role has it, and how it would come to it. Pure."""

from dataclasses import dataclass

from daemon.store.found import Found
from daemon.store.hooks import Routine
from daemon.store.tables import SCHEMA


@dataclass(frozen=True, slots=True)
class Right:
    """What a statement needs, whether this role has it, and how it, or another, comes to it."""

    what: str
    held: bool
    cure: str


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


ANYBODY = Right("nothing", held=True, cure="")


def to_alter_ours(found: Found) -> Right:
    if found.ours is None:
        database = quoted(found.database)
        cure = f"GRANT CREATE ON DATABASE {database} TO {quoted(found.role)}"
        return Right(f"CREATE on database {database}", found.may_create_schema, cure)
    return _ownership(f"schema {SCHEMA}", found.ours.owner, held=found.ours.owned)


def to_alter(found: Found, table: str) -> Right:
    if table not in found.tables:
        return to_create(found)
    there = found.tables[table]
    return _ownership(f"public.{table}", there.owner, held=there.owned)


def to_create(found: Found) -> Right:
    cure = f"GRANT CREATE ON SCHEMA public TO {quoted(found.role)}"
    return Right("CREATE on schema public", found.may_create_theirs, cure)


def _ownership(what: str, owner: str, *, held: bool) -> Right:
    return Right(f"ownership of {what}", held, f"the role {quoted(owner)} has to run it")


def privilege(found: Found, name: str, table: str) -> Right:
    there = found.tables.get(table)
    held = there is None or there.owned or name in there.privileges
    cure = f"GRANT {name} ON public.{table} TO {quoted(found.role)}"
    return Right(f"{name} on public.{table}", held, cure)


def to_replace(routine: Routine, *, held: bool) -> Right:
    return Right(f"ownership of {SCHEMA}.{routine.name}", held, "its owner has to run it")
