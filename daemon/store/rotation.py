"""Re-encrypts what is stored, in batches, beside people who write and daemons that read."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.audit import Actor, note
from daemon.store.engine import transaction
from daemon.store.writing import columns_of
from reconciler.verdicts import Undecryptable

Renew = Callable[[str], str | None]
"""Returns the token under the first encryption key, or None if it is so already.

Raises Undecryptable.
"""
_BATCH = 500
_TURNS = 3
"""How often a row that changes under our hands is looked at."""


@dataclass(slots=True)
class Tally:
    """What became of the rows so far. *changing* ones changed at each look; run again."""

    rewritten: int = 0
    current: int = 0
    unreadable: list[UUID] = field(default_factory=list)
    changing: list[UUID] = field(default_factory=list)

    @property
    def looked_at(self) -> int:
        return self.rewritten + self.current + len(self.unreadable) + len(self.changing)


@dataclass(frozen=True, slots=True)
class _Row:
    id: UUID
    api_key: str
    api_secret: str
    passphrase: str | None


async def rotate_fingerprint_key(engine: AsyncEngine, renew: Renew, by: Actor) -> None:
    """Re-encrypt the fingerprint key, if it is made yet. Raises Undecryptable, StoreError."""
    async with transaction(engine) as connection:
        old = (await connection.execute(_FINGERPRINT_KEY)).scalar()
        new = None if old is None else renew(old)
        if new is not None:
            await connection.execute(_RENEW_FINGERPRINT_KEY, {"old": old, "new": new})
            await note(connection, by, "fingerprint_key_reencrypted", {})


async def rotate_keys(engine: AsyncEngine, renew: Renew, by: Actor) -> AsyncIterator[Tally]:
    """Re-encrypt every stored key; yield the tally after each batch. Raises StoreError.

    A row is written only if it still is as it was read, so no change of somebody else's is
    touched. What is done is done: whoever is interrupted begins anew and finds it current.
    """
    tally = Tally()
    after: UUID | None = None
    while rows := await _read(engine, _NEXT, after=after, limit=_BATCH):
        after = rows[-1].id
        for _ in range(_TURNS):
            missed = await _rotate(engine, rows, renew, tally, by)
            if not missed:
                break
            rows = await _read(engine, _AGAIN, ids=missed)
        else:
            tally.changing += [row.id for row in rows]
        yield tally


async def _rotate(
    engine: AsyncEngine, rows: Sequence[_Row], renew: Renew, tally: Tally, by: Actor
) -> list[UUID]:
    """Return the rows that changed meanwhile."""
    renewed: dict[UUID, tuple[_Row, _Row]] = {}
    for row in rows:
        try:
            new = _renewed(row, renew)
        except Undecryptable:
            tally.unreadable.append(row.id)
        else:
            if new == row:
                tally.current += 1
            else:
                renewed[row.id] = row, new
    written = await _write(engine, list(renewed.values()), by) if renewed else set()
    tally.rewritten += len(written)
    return [id_ for id_ in renewed if id_ not in written]


def _renewed(row: _Row, renew: Renew) -> _Row:
    passphrase = row.passphrase and (renew(row.passphrase) or row.passphrase)
    return _Row(
        row.id,
        renew(row.api_key) or row.api_key,
        renew(row.api_secret) or row.api_secret,
        passphrase,
    )


async def _read(engine: AsyncEngine, query: TextClause, **values: object) -> Sequence[_Row]:
    async with transaction(engine) as connection:
        return [_Row(*row) for row in await connection.execute(query, values)]


async def _write(engine: AsyncEngine, pairs: Sequence[tuple[_Row, _Row]], by: Actor) -> set[UUID]:
    values: dict[str, object] = {"ids": [was.id for was, _ in pairs]}
    for name in _TOKENS:
        values[f"was_{name}"] = [getattr(was, name) for was, _ in pairs]
        values[name] = [getattr(new, name) for _, new in pairs]
    async with transaction(engine) as connection:
        query = _write_query(await columns_of(connection, "exchange_api_keys"))
        written = set((await connection.execute(query, values)).scalars())
        if written:
            await note(connection, by, "keys_reencrypted", {"keys": len(written)})
        return written


_TOKENS = ("api_key", "api_secret", "passphrase")
_ARRAYS = ", ".join(f"CAST(:was_{name} AS text[]), CAST(:{name} AS text[])" for name in _TOKENS)
_NAMES = ", ".join(f"was_{name}, {name}" for name in _TOKENS)
_ROWS = f"SELECT id, {', '.join(_TOKENS)} FROM bridgetender.keys()"
_NEXT = text(f"""
{_ROWS} WHERE CAST(:after AS uuid) IS NULL OR id > :after ORDER BY id LIMIT :limit
""")
_AGAIN = text(f"{_ROWS} WHERE id = ANY(:ids)")


def _write_query(columns: frozenset[str]) -> TextClause:
    """Write each secret where it is found, under either name or both, if it is as it was read."""
    found = {n: [c for c in (n, f"{n}_encrypted") if c in columns] for n in _TOKENS}
    changes = (
        f"{c} = CASE WHEN k.{c} IS NOT DISTINCT FROM n.was_{n} THEN n.{n} ELSE k.{c} END"
        for n, where in found.items()
        for c in where
    )
    same = (
        f"({' OR '.join(f'k.{c} IS NOT DISTINCT FROM n.was_{n}' for c in where)})"
        for n, where in found.items()
        if where
    )
    return text(f"""
UPDATE public.exchange_api_keys k SET {", ".join(changes)}
FROM unnest(CAST(:ids AS uuid[]), {_ARRAYS}) AS n (id, {_NAMES})
WHERE k.id = n.id AND {" AND ".join(same)}
RETURNING k.id
""")


_FINGERPRINT_KEY = text("SELECT fingerprint_key FROM bridgetender.keyring WHERE id = 1 FOR UPDATE")
_RENEW_FINGERPRINT_KEY = text("""
UPDATE bridgetender.keyring SET fingerprint_key = :new WHERE id = 1 AND fingerprint_key = :old
""")
