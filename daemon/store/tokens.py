"""The tokens that open the API: their digests, whose they are, and until when they are good."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.audit import NOBODY, Actor, note
from daemon.store.engine import transaction
from daemon.store.people import NoSuchThing
from daemon.tokens import Role, Token
from reconciler.model import ClientId, Instant

CHANGED = "bridgetender_tokens"
"""The channel that tells that a token, or a session of one, opens nothing any more."""


class Tokens:
    """Makes, finds and revokes them. May raise StoreError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def create(
        self,
        name: str,
        role: Role,
        digest: str,
        by: Actor,
        *,
        client_id: ClientId | None = None,
        expires_at: Instant | None = None,
    ) -> Token:
        """Keep the *digest* of a new one; a client's says whose it is."""
        values = {
            "id": uuid4(),
            "name": name,
            "role": role,
            "digest": digest,
            "by": by.name,
            "client_id": client_id,
            "expires_at": expires_at,
        }
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_CREATE, values)).one()
            told = {"name": name, "of": role, "token": values["id"]}
            await note(connection, by, "token_created", told, client_id=client_id)
        return Token(*row)

    async def first(self, digest: str) -> bool:
        """Keep an admin's token named "first"; False if there is, or was, any already."""
        values = {"id": uuid4(), "name": "first", "digest": digest, "by": NOBODY.name}
        async with transaction(self._engine) as connection:
            if not (await connection.execute(_FIRST, values)).rowcount:
                return False
            told = {"name": "first", "of": "admin", "token": values["id"]}
            await note(connection, NOBODY, "token_created", told)
        return True

    async def find(self, digest: str) -> Token | None:
        """Return the token with this digest, revoked and expired ones too."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_FIND, {"digest": digest})).first()
        return Token(*row) if row else None

    async def by_id(self, token_id: UUID) -> Token | None:
        """Return the token, a revoked or expired one too."""
        async with transaction(self._engine) as connection:
            row = (await connection.execute(_BY_ID, {"id": token_id})).first()
        return Token(*row) if row else None

    async def all(self) -> Sequence[Token]:
        async with transaction(self._engine) as connection:
            return [Token(*row) for row in await connection.execute(_ALL)]

    async def revoke(self, id_or_name: str, by: Actor) -> Sequence[Token]:
        """Let all of this name, or the one with this id, open nothing. Raises NoSuchThing."""
        async with transaction(self._engine) as connection:
            rows = (await connection.execute(_REVOKE, {"said": id_or_name})).all()
            for row in rows:
                told = {"name": row[1], "token": row[0]}
                await note(connection, by, "token_revoked", told, client_id=row[3])
            await connection.execute(_TELL)
        if not rows:
            raise NoSuchThing("no such token is in use: see 'bridgetender token list'")
        return [Token(*row) for row in rows]

    async def log_out(self, token_id: UUID) -> None:
        """End every session that was begun with the token; the token itself stays good."""
        async with transaction(self._engine) as connection:
            await connection.execute(_LOG_OUT, {"id": token_id})
            await connection.execute(_TELL)

    async def used(self, token_id: UUID, at: Instant) -> None:
        """Write down when it was used; a minute more or less does not matter."""
        async with transaction(self._engine) as connection:
            await connection.execute(_USED, {"id": token_id, "at": at})


_COLUMNS = (
    "id, name, role, client_id, by, created_at, expires_at, last_used_at, revoked_at, logouts"
)
_CREATE = text(f"""
INSERT INTO bridgetender.tokens (id, name, role, digest, by, client_id, expires_at)
VALUES (:id, :name, :role, :digest, :by, :client_id, :expires_at) RETURNING {_COLUMNS}
""")
_FIRST = text("""
INSERT INTO bridgetender.tokens (id, name, role, digest, by)
SELECT :id, :name, 'admin', :digest, :by WHERE NOT EXISTS (SELECT FROM bridgetender.tokens)
ON CONFLICT DO NOTHING
""")
_FIND = text(f"SELECT {_COLUMNS} FROM bridgetender.tokens WHERE digest = :digest")
_BY_ID = text(f"SELECT {_COLUMNS} FROM bridgetender.tokens WHERE id = :id")
_ALL = text(f"SELECT {_COLUMNS} FROM bridgetender.tokens ORDER BY created_at, id")
_REVOKE = text(f"""
UPDATE bridgetender.tokens SET revoked_at = now()
WHERE revoked_at IS NULL AND (id::text = :said OR name = :said) RETURNING {_COLUMNS}
""")
_LOG_OUT = text("UPDATE bridgetender.tokens SET logouts = logouts + 1 WHERE id = :id")
_TELL = text(f"SELECT pg_notify('{CHANGED}', '')")
_USED = text("UPDATE bridgetender.tokens SET last_used_at = :at WHERE id = :id")
