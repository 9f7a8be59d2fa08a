"""Ciphertexts are renewed under everybody's hands, and nobody notices."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.store import rotation
from daemon.store.audit import NOBODY
from daemon.store.engine import transaction
from daemon.store.people import People, SealedEntry
from daemon.store.rotation import Tally, rotate_fingerprint_key, rotate_keys
from daemon.vault import Keyring, new_key
from daemon.wiring import open_vault
from reconciler.loop import Loop
from reconciler.model import ClientId, Phase, Secret
from tests.daemon.house import House, until
from tests.fakes import BRIDGE

pytestmark = pytest.mark.anyio
OLD, NEW = new_key(), new_key()
BEFORE, BOTH, AFTER = Keyring([OLD]), Keyring([NEW, OLD]), Keyring([NEW])


@pytest.fixture
def people(engine: AsyncEngine) -> People:
    return People(engine)


@pytest.fixture
async def acme(people: People) -> ClientId:
    return await people.add_client("Acme")


def entry(exchange: str = "binance", keyring: Keyring = BEFORE) -> SealedEntry:
    seal: Callable[[str], str] = lambda plain: keyring.seal(Secret(plain))  # noqa: E731
    return SealedEntry(exchange, seal(f"{exchange} key"), seal("secret"), seal("phrase"), "label")


async def rotated(engine: AsyncEngine) -> Tally:
    return [tally async for tally in rotate_keys(engine, BOTH.renew, NOBODY)][-1]


async def stored(engine: AsyncEngine) -> list[tuple[object, ...]]:
    """Return all of every row but its ciphertexts."""
    columns = "id, client_id, exchange, label, is_testnet, is_active, created_at"
    query = text(f"SELECT {columns} FROM exchange_api_keys ORDER BY id")
    async with transaction(engine) as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def test_all_is_readable_with_the_new_key_alone_and_nothing_else_has_changed(
    engine: AsyncEngine, people: People, acme: ClientId
) -> None:
    keys = [await people.add_key(acme, entry(exchange)) for exchange in ("okx", "kraken")]
    await people.add_key(acme, entry(keyring=AFTER))
    fingerprint_key = await open_vault(engine, BEFORE)
    before = await stored(engine)

    await rotate_fingerprint_key(engine, BOTH.renew, NOBODY)
    tally = await rotated(engine)

    assert (tally.rewritten, tally.current, tally.unreadable) == (2, 1, [])
    for key in keys:
        sealed = await people.sealed(key)
        assert AFTER.unseal(sealed.api_key).reveal().endswith(" key")
        assert AFTER.unseal(sealed.api_secret).reveal() == "secret"
        assert AFTER.unseal(sealed.passphrase or "").reveal() == "phrase"
    assert await stored(engine) == before
    vault = await open_vault(engine, AFTER)
    assert vault._fingerprint_key == fingerprint_key._fingerprint_key


async def test_a_key_without_a_passphrase_still_has_none(
    engine: AsyncEngine, people: People, acme: ClientId
) -> None:
    key = await people.add_key(acme, replace(entry(), passphrase=None))
    assert (await rotated(engine)).rewritten == 1
    assert (await people.sealed(key)).passphrase is None


async def test_what_was_interrupted_goes_on_where_it_stopped(
    engine: AsyncEngine, people: People, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "_BATCH", 2)
    for exchange in ("okx", "kraken", "bybit", "binance", "mexc"):
        await people.add_key(acme, entry(exchange))
    first = await anext(aiter(rotate_keys(engine, BOTH.renew, NOBODY)))
    assert (first.rewritten, first.current) == (2, 0)
    rest = await rotated(engine)
    assert (rest.rewritten, rest.current) == (3, 2)


async def test_a_row_that_no_key_reads_is_named_and_left_as_it_is(
    engine: AsyncEngine, people: People, acme: ClientId
) -> None:
    strange = entry(keyring=Keyring([new_key()]))
    half = replace(entry("okx"), api_secret="no ciphertext")
    unreadable = {await people.add_key(acme, each): each for each in (strange, half)}
    await people.add_key(acme, entry("kraken"))
    tally = await rotated(engine)
    assert (tally.rewritten, set(tally.unreadable)) == (1, set(unreadable))
    for key, each in unreadable.items():
        assert await people.sealed(key) == each


async def waits_for_a_lock(engine: AsyncEngine) -> bool:
    query = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""
    async with transaction(engine) as connection:
        return bool((await connection.execute(text(query))).scalar_one())


async def test_what_somebody_stores_meanwhile_is_never_overwritten(
    engine: AsyncEngine, people: People, acme: ClientId
) -> None:
    key = await people.add_key(acme, entry())
    theirs, tallies = BEFORE.seal(Secret("stored meanwhile")), []

    async def rotate() -> None:
        tallies.append(await rotated(engine))

    async with anyio.create_task_group() as tasks, transaction(engine) as connection:
        change = text("UPDATE exchange_api_keys SET api_key = :theirs")
        await connection.execute(change, {"theirs": theirs})
        tasks.start_soon(rotate)
        await until(lambda: waits_for_a_lock(engine))  # it has read what was there before
    sealed = await people.sealed(key)
    assert AFTER.unseal(sealed.api_key).reveal() == "stored meanwhile"
    assert (tallies[0].rewritten, tallies[0].changing) == (1, [])


async def test_a_row_that_changes_at_every_look_is_named(
    engine: AsyncEngine, people: People, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await people.add_key(acme, entry())

    async def nothing(*_: object) -> set[UUID]:
        return set()

    monkeypatch.setattr(rotation, "_write", nothing)
    tally = await rotated(engine)
    assert (tally.rewritten, tally.changing) == (0, [key])


async def test_a_daemon_acknowledges_it_without_a_call(
    engine: AsyncEngine, people: People, acme: ClientId
) -> None:
    for exchange in ("binance", "okx", "kraken"):
        await people.add_key(acme, entry(exchange))
    house = House(engine)
    house.ports = replace(house.ports, vault=await open_vault(engine, BOTH))
    house.loop = Loop(BRIDGE, house.ports)

    async def all_live() -> bool:
        return {phase for phase, _ in (await house.standing()).values()} == {Phase.LIVE}

    async def nothing_left_to_do() -> bool:
        return not (await house.store.ledger.survey(BRIDGE, None, None)).cases

    async with house.running():
        await until(all_live)
        house.bridge.calls.clear()
        assert (await rotated(engine)).rewritten == 3
        assert not await nothing_left_to_do()
        house.loop.look(frozenset({acme}))
        await until(nothing_left_to_do)
        assert house.bridge.calls == []
        assert await all_live()
