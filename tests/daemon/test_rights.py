"""What a key may do is kept when it is proven, and what is worth a warning is said of it."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.rights import warnings_of
from reconciler.model import Rights
from tests.daemon.house import House
from tests.fakes import START

pytestmark = pytest.mark.anyio


async def test_what_the_bridge_tells_of_a_key_is_in_its_state(engine: AsyncEngine) -> None:
    house = House(engine)
    house.bridge.rights = Rights(read=True, withdraw=True, expires_at=START)
    client = await house.world.add_client("Acme")
    key = await house.world.add_key(client, "binance")
    async with house.running():
        await house.until_live(key)
    found = await house.status.key(key)
    assert found
    assert found.rights == house.bridge.rights


@pytest.mark.parametrize(
    ("rights", "codes"),
    [
        (None, []),
        (Rights(), []),
        (Rights(read=True, trade=True, withdraw=False, ip_restricted=False), []),
        (Rights(withdraw=True), ["may_withdraw"]),
        (Rights(expires_at=START + timedelta(days=40)), []),
        (Rights(withdraw=True, expires_at=START), ["may_withdraw", "expires_soon"]),
    ],
)
def test_only_what_is_worth_it_is_warned_of(rights: Rights | None, codes: list[str]) -> None:
    assert [each.code for each in warnings_of(rights, START)] == codes


@pytest.mark.parametrize(
    ("days", "words"),
    [(-1, "ended on 2026-"), (0, "ended on 2026-"), (1, "in 1 day:"), (29, "in 29 days:")],
)
def test_the_end_of_its_rights_is_said_from_now(days: int, words: str) -> None:
    then = START + timedelta(days=days)
    (warned,) = warnings_of(Rights(expires_at=then), START)
    assert words.replace("2026-", f"{then:%Y-}") in warned.text
