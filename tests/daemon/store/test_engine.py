import pytest

from daemon.store.engine import make_engine, transaction
from reconciler.verdicts import StoreError

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
