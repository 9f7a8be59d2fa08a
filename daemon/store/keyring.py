"""The fingerprint key: made once, kept in our schema under the encryption key."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store.engine import transaction
from reconciler.model import Phase, Reason, Secret

_EXISTS = text("SELECT to_regclass('bridgetender.keyring') IS NOT NULL")
_READ = text("SELECT fingerprint_key FROM bridgetender.keyring WHERE id = 1")
_RETRY = text(f"""
UPDATE bridgetender.connectors SET due_at = now(), due_set_at = now()
WHERE phase = '{Phase.PARKED}' AND reason = '{Reason.UNDECRYPTABLE}' AND due_at > now()
""")
_HINT = text("SELECT pg_notify('bridgetender', '*')")
_WRITE = text("""
INSERT INTO bridgetender.keyring (id, fingerprint_key) VALUES (1, :sealed) ON CONFLICT DO NOTHING
""")


async def fingerprint_key(
    engine: AsyncEngine, unseal: Callable[[str, str], Secret], make: Callable[[], str]
) -> Secret:
    """Return the fingerprint key; the first caller stores the one that *make* returns, sealed.

    Raises Undecryptable if it was sealed with another encryption key: it is our canary, and a
    replica that cannot read it must not act.
    """
    async with transaction(engine) as connection:
        sealed = (await connection.execute(_READ)).scalar()
        if sealed is None:
            await connection.execute(_WRITE, {"sealed": make()})
            sealed = (await connection.execute(_READ)).scalar_one()
    return unseal(sealed, "the fingerprint key of this database")


async def retry_undecryptable(engine: AsyncEngine) -> None:
    """Let rows that no key read be read anew: the keyring may be another. Raises StoreError."""
    async with transaction(engine) as connection:
        if (await connection.execute(_RETRY)).rowcount:
            await connection.execute(_HINT)


async def check_keyring(engine: AsyncEngine, unseal: Callable[[str, str], Secret]) -> None:
    """Raise Undecryptable if the fingerprint key is stored and *unseal* cannot read it.

    Writes nothing: before the first daemon, and before the schema, any encryption key will do.
    """
    async with transaction(engine) as connection:
        if not (await connection.execute(_EXISTS)).scalar_one():
            return
        sealed = (await connection.execute(_READ)).scalar()
    if sealed is not None:
        unseal(sealed, "the fingerprint key of this database")
