"""Compares desired, recorded and listed, set-wise; returns the slots that may need something."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from anyio.lowlevel import checkpoint
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from daemon.store.desired import ACCOUNTS, BRIDGE, ROUTES, desired, paused
from daemon.store.direct import ask
from daemon.store.engine import driver_of, transaction
from daemon.store.rows import COLUMNS, KEY_COLUMNS, columns, to_key, to_record
from reconciler.model import (
    BridgeName,
    Case,
    ClientId,
    Connector,
    Observation,
    SealedKey,
    Slot,
    Survey,
)
from reconciler.ports import Clients

_CHUNK = 2_000
"""Rows of a listing that are copied between two looks at the event loop."""


async def survey(
    connection: AsyncConnection, bridge: BridgeName, seen: Observation | None, clients: Clients
) -> Survey:
    """Return the cases of *clients* (None: of everybody), held against *seen* if there is one."""
    values: dict[str, Any] = {"bridge": bridge}
    if clients is not None:
        values["clients"] = list(clients)
    await _settle_accounts(connection, values)
    if seen is not None:
        await _upload(connection, seen)
    query = _QUERIES[clients is not None, seen is not None]
    rows = (await connection.execute(query, values)).all()
    cases = [to_case(bridge, row) for row in rows]
    if seen is None:
        return Survey(cases)
    unrecorded = (await connection.execute(_UNRECORDED, values)).scalar_one()
    return Survey(cases, unmanaged(cases, unrecorded))


async def survey_of(
    engine: AsyncEngine, bridge: BridgeName, clients: frozenset[ClientId]
) -> Survey:
    """Return the cases of *clients*, their keys' ciphertexts included, in one round trip.

    There are two more where an account is to be claimed first.
    """
    values = {"bridge": bridge, "clients": list(clients), "client": next(iter(clients))}
    query = _SURVEYS_OF[len(clients) == 1]
    rows = await ask(engine, query, values)
    if rows[0][0]:
        async with transaction(engine) as connection:
            await connection.execute(_CLAIM[True], values)
        rows = await ask(engine, query, values)
    cases = [to_case(bridge, row[1:]) for row in rows]
    return Survey([case for case in cases if case.want or case.record])


def unmanaged(cases: Sequence[Case], unrecorded: int) -> int:
    """Count the listed connectors that have no record and that no key would adopt either."""
    adopted = sum(1 for case in cases if case.record is None and case.seen is not None)
    return unrecorded - adopted


def to_case(bridge: BridgeName, row: Sequence[Any]) -> Case:
    desired_, row = row[: len(KEY_COLUMNS)], row[len(KEY_COLUMNS) :]
    recorded, (held, account, fingerprint, *ciphertexts) = row[: len(COLUMNS)], row[len(COLUMNS) :]
    want = None if desired_[0] is None else to_key(bridge, desired_)
    record = None if recorded[0] is None else to_record(recorded)
    slot = want.slot if want else record.slot if record else Slot(bridge, "", "")
    seen = None if account is None else Connector(slot, fingerprint)
    sealed = SealedKey(want, *ciphertexts) if want and ciphertexts else None
    return Case(slot, want, record, seen, held, sealed)


async def _settle_accounts(connection: AsyncConnection, values: dict[str, Any]) -> None:
    """Give an account without an owner to its first client; take it from one that left it."""
    of_clients = "clients" in values
    if not of_clients:
        left = (await connection.execute(_LEFT_ACCOUNTS, values)).scalars().all()
        if left:
            await connection.execute(_LOCK_ACCOUNTS, values | {"accounts": left})
            await connection.execute(_RELEASE_ACCOUNTS, values | {"accounts": left})
    if (await connection.execute(_UNCLAIMED[of_clients], values)).first() is not None:
        await connection.execute(_CLAIM[of_clients], values)


async def _upload(connection: AsyncConnection, seen: Observation) -> None:
    await connection.execute(text("DROP TABLE IF EXISTS pg_temp.observed"))
    await connection.execute(
        text(
            "CREATE TEMP TABLE observed (account text, connector text, fingerprint text)"
            " ON COMMIT DROP"
        )
    )
    driver = await driver_of(connection)
    names = ("account", "connector", "fingerprint")
    await driver.copy_records_to_table("observed", records=_records(seen), columns=names)
    await connection.execute(text("ANALYZE pg_temp.observed"))


async def _records(seen: Observation) -> AsyncIterator[tuple[str, str, str | None]]:
    for count, connector in enumerate(seen.connectors, 1):
        yield connector.slot.account, connector.slot.connector, connector.fingerprint
        if count % _CHUNK == 0:
            await checkpoint()


_PAUSED = f"r.key_id IS NOT NULL AND {paused('r.bridge', 'r.client_id', 'r.key_id')}"
_MAY_NEED = """
  d.key_id IS NULL OR r.key_id IS NULL
  OR r.phase NOT IN ('live', 'parked', 'conflict')
  OR NOT d.held AND (d.wished OR r.key_id <> d.key_id OR r.digest <> d.digest)
  OR NOT d.held AND r.phase = 'parked' AND r.reason = 'paused'
"""
_MAY_HAVE_MOVED = """
  OR r.phase = 'live' AND o.account IS NULL
  OR r.phase = 'live' AND NOT r.adopted AND o.fingerprint IS DISTINCT FROM r.fingerprint
     AND o.fingerprint IS NOT NULL
"""
_OBSERVED = """
LEFT JOIN observed o ON o.account = coalesce(d.account, r.account)
                    AND o.connector = coalesce(d.connector, r.connector)
"""
_UNOBSERVED = "CROSS JOIN (SELECT NULL::text AS account, NULL::text AS fingerprint) o"


def narrowed(
    *, of_clients: bool, seen: bool, before: str = "", accounts: str = ACCOUNTS, more: str = ""
) -> str:
    """Return the query for the slots that may need something.

    *before* are CTEs it builds on, *more* columns to return beside those of `to_case`.
    """
    return f"""
WITH {before} {desired(of_clients=of_clients, accounts=accounts)}, recorded AS (
  SELECT * FROM bridgetender.connectors
  WHERE bridge = :bridge {"AND client_id = ANY(:clients)" if of_clients else ""}
)
SELECT {columns("d", KEY_COLUMNS)}, {columns("r", COLUMNS)}, {_PAUSED}, o.account, o.fingerprint
  {more}
FROM desired d
FULL JOIN recorded r ON r.account = d.account AND r.connector = d.connector
{_OBSERVED if seen else _UNOBSERVED}
WHERE {_MAY_NEED} {_MAY_HAVE_MOVED if seen else ""}
"""


_QUERIES = {
    (of_clients, seen): text(narrowed(of_clients=of_clients, seen=seen))
    for of_clients in (False, True)
    for seen in (False, True)
}
UNRECORDED = """
SELECT count(*) FROM observed o WHERE NOT EXISTS (
  SELECT FROM bridgetender.connectors r
  WHERE r.bridge = :bridge AND r.account = o.account AND r.connector = o.connector)
"""
_UNRECORDED = text(UNRECORDED)


def unclaimed(*, of_clients: bool, accounts: str = ACCOUNTS) -> str:
    """Return the query for accounts without an owner, each with the client that gets it."""
    return f"""
WITH {desired(of_clients=of_clients)}
SELECT DISTINCT ON (n.account) :bridge, n.account, n.id FROM named n
WHERE n.status <> 'SUSPENDED'
  AND EXISTS (
    SELECT FROM bridgetender.keys() k {ROUTES}
    WHERE k.client_id = n.id AND k.is_active AND {BRIDGE} = :bridge)
  AND NOT EXISTS (
    SELECT FROM {accounts} o WHERE o.bridge = :bridge AND o.account = n.account)
ORDER BY n.account, n.created_at, n.id
"""


_UNCLAIMED = {narrow: text(unclaimed(of_clients=narrow)) for narrow in (False, True)}
_CLAIM = {
    narrow: text(
        "INSERT INTO bridgetender.accounts (bridge, account, client_id)"
        f" {unclaimed(of_clients=narrow)} ON CONFLICT DO NOTHING"
    )
    for narrow in (False, True)
}
_CIPHERTEXTS = ", d.api_key, d.api_secret, d.passphrase"
_OF_SOME = f"""
SELECT EXISTS ({unclaimed(of_clients=True)}) AS unclaimed, n.*
FROM (SELECT) one LEFT JOIN ({narrowed(of_clients=True, seen=False, more=_CIPHERTEXTS)}) n ON true
"""
"""One row that names no slot if nothing may be needed."""
_OF_ONE = _OF_SOME.replace("= ANY(:clients)", "= CAST(:client AS uuid)")
"""As nearly every hint asks. PostgreSQL plans it once; with an array, anew each time, which takes
longer than running it."""
_SURVEYS_OF = {one: text(query) for one, query in ((True, _OF_ONE), (False, _OF_SOME))}
LEFT = f"""
WITH {desired(of_clients=False)}
SELECT o.account FROM bridgetender.accounts o
WHERE o.bridge = :bridge
  AND NOT EXISTS (SELECT FROM named n WHERE n.id = o.client_id AND n.account = o.account)
  AND NOT EXISTS (
    SELECT FROM bridgetender.connectors r WHERE r.bridge = o.bridge AND r.account = o.account)
"""
"""Accounts whose owner has left them, with nothing of it on record."""

_LEFT_ACCOUNTS = text(LEFT)
_LOCK_ACCOUNTS = text("""
SELECT FROM bridgetender.accounts WHERE bridge = :bridge AND account = ANY(:accounts) FOR UPDATE
""")
"""Waits for intents that are written just now, which the statement after it sees."""
_RELEASE_ACCOUNTS = text("""
DELETE FROM bridgetender.accounts a WHERE a.bridge = :bridge AND a.account = ANY(:accounts)
  AND NOT EXISTS (
    SELECT FROM bridgetender.connectors r WHERE r.bridge = a.bridge AND r.account = a.account)
""")
