import struct

import anyio
import pytest
from anyio.lowlevel import checkpoint
from sqlalchemy import TextClause, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.store.direct import ask
from daemon.store.engine import connected, driver_of, make_engine, require_writable, transaction
from reconciler.verdicts import StoreError
from tests.bouncer import bouncing
from tests.proxy import Proxy

pytestmark = pytest.mark.anyio
SECRET = "hunter2-canary"


async def test_the_spellings_of_the_field_are_understood() -> None:
    for scheme in ("postgresql", "postgresql+asyncpg", "postgresql+psycopg2"):
        engine = make_engine(f"{scheme}://user:{SECRET}@host:5432/shop?sslmode=require")
        assert engine.url.drivername == "postgresql+asyncpg"
        assert engine.url.query == {"ssl": "require"}
        assert SECRET not in repr(engine)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop",
        f"mysql://user:{SECRET}@host/shop",
        f"postgresql://user:{SECRET}@host:port/shop",
        f"postgresql://user:{SECRET}@host/shop?channel_binding=require",
    ],
)
async def test_a_url_that_cannot_work_is_named_without_its_password(url: str) -> None:
    with pytest.raises(StoreError, match="DATABASE_URL") as caught:
        make_engine(url)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_a_database_that_is_away_is_one_line_without_its_password() -> None:
    engine = make_engine(f"postgresql://user:{SECRET}@127.0.0.1:1/shop")
    with pytest.raises(StoreError) as caught:
        async with transaction(engine):
            pass
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)
    await engine.dispose()


@pytest.mark.parametrize("servers", [1, 4])
async def test_many_transactions_at_once_go_through_a_pooler(
    postgres: Server, database_url: str, servers: int
) -> None:
    """Of several server processes none knows another's statements; one alone is everybody's."""
    database = str(make_url(database_url).database)
    async with bouncing(postgres, database, servers) as url:
        engine = make_engine(url)

        async def work(number: int) -> None:
            for _ in range(20):
                assert await double(engine, number) == 2 * number
                assert await ask(engine, times(number), {"n": 3}) == [(3 * number,)]

        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(work, number)
        async with transaction(engine) as connection:
            kept = await connection.execute(text("SELECT count(*) FROM pg_prepared_statements"))
            assert kept.scalar_one() == 0
        await engine.dispose()


def times(number: int) -> TextClause:
    """Return a statement that is unlike all others'."""
    return text(f"SELECT {number} * CAST(:n AS int)")


_DOUBLE = text("SELECT 2 * CAST(:n AS int)")


async def double(engine: AsyncEngine, number: int) -> int:
    async with transaction(engine) as connection:
        return int((await connection.execute(_DOUBLE, {"n": number})).scalar_one())


async def test_what_one_statement_writes_stays_and_what_a_failed_transaction_writes_does_not(
    engine: AsyncEngine,
) -> None:
    await ask(engine, _INSERT, {"name": "stays"})
    with pytest.raises(StoreError):
        await write_and_fail(engine)
    assert await ask(engine, text("SELECT name FROM public.clients"), {}) == [("stays",)]


async def write_and_fail(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(_INSERT, {"name": "goes"})
        raise StoreError("and what went before it")


_INSERT = text("INSERT INTO public.clients (name) VALUES (:name) RETURNING id")


async def test_without_a_pooler_statements_are_kept(engine: AsyncEngine) -> None:
    await double(engine, 1)
    async with transaction(engine) as connection:
        kept = await connection.execute(text("SELECT statement FROM pg_prepared_statements"))
        assert any("2 * CAST" in statement for (statement,) in kept)


async def test_a_statement_outlives_a_change_of_what_it_reads(engine: AsyncEngine) -> None:
    everything = text("SELECT * FROM written")
    await write(engine)
    assert await ask(engine, everything, {}) == []
    async with transaction(engine) as connection:
        await connection.execute(text("ALTER TABLE written ADD m int"))
        await connection.execute(text("INSERT INTO written VALUES (1, 2)"))
    assert await ask(engine, everything, {}) == [(1, 2)]


async def test_a_statement_that_is_given_up_leaves_its_connection_in_order(
    database_url: str,
) -> None:
    engine = make_engine(database_url, pool_size=1)
    with anyio.move_on_after(0.1) as patience:
        await ask(engine, text("SELECT pg_sleep(60)"), {})
    assert patience.cancelled_caught
    assert await ask(engine, times(2), {"n": 3}) == [(6,)]
    assert await double(engine, 4) == 8
    await engine.dispose()


async def test_connections_that_the_server_closed_are_replaced_before_they_are_used(
    engine: AsyncEngine, database_url: str
) -> None:
    await at_once(engine, 4)
    other = make_engine(database_url)
    async with transaction(other) as connection:
        await connection.execute(_END_ALL_OTHERS)
    for _ in range(4):
        await at_once(engine, 4)  # raises nothing
    await other.dispose()


@pytest.mark.parametrize("way", ["alchemy", "direct"])
async def test_a_connection_that_was_told_its_end_and_not_closed_yet_is_used_once_at_most(
    postgres: Server, database_url: str, way: str
) -> None:
    """As between the last word of a server that dies and the end of its connection."""
    url = make_url(database_url)
    async with Proxy(postgres.socket / ".s.PGSQL.5432").running() as proxy:
        engine = make_engine(
            f"postgresql://{url.username}@127.0.0.1:{proxy.port}/{url.database}?sslmode=disable",
            pool_size=1,
        )

        async def doubled(number: int) -> int:
            if way == "alchemy":
                return await double(engine, number)
            return int((await ask(engine, times(2), {"n": number}))[0][0])

        assert await doubled(1) == 2
        async with connected(engine) as connection:
            driver = await driver_of(connection)
        proxy.say(_message(b"S", b"application_name\0told\0") + _LAST_WORDS)
        while driver.get_settings().application_name != "told":
            await checkpoint()
        with pytest.raises(StoreError, match="was ending the connection"):
            await doubled(1)
        assert await doubled(2) == 4
        await engine.dispose()


def _message(kind: bytes, words: bytes) -> bytes:
    """https://www.postgresql.org/docs/current/protocol-message-formats.html"""
    return kind + struct.pack("!i", 4 + len(words)) + words


_LAST_WORDS = _message(b"E", b"SFATAL\0VFATAL\0C57P01\0Mterminating connection\0\0")

_END_ALL_OTHERS = text("""
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
""")


async def at_once(engine: AsyncEngine, count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(double, engine, number)


async def test_a_connection_that_may_only_read_is_not_used_again(engine: AsyncEngine) -> None:
    """It stays so after the database takes writes again, or another one does."""
    name = engine.url.database
    await require_writable(engine)
    async with transaction(engine) as connection:
        await connection.execute(
            text(f"ALTER DATABASE {name} SET default_transaction_read_only=on")
        )
    await engine.dispose()
    with pytest.raises(StoreError, match="read-only"):
        await require_writable(engine)
    with pytest.raises(StoreError, match="read-only"):
        await write(engine)
    async with transaction(engine) as connection:
        await connection.execute(text("SET TRANSACTION READ WRITE"))
        await connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
    with pytest.raises(StoreError, match="read-only"):
        await write(engine)  # by the connection of then
    await write(engine)
    await require_writable(engine)


async def write(engine: AsyncEngine) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS written (n int)"))
