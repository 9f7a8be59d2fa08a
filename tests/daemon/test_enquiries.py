"""Bridges are opened for people's questions once, and closed when nobody asks any more."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest

from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.trading import TradingBridge
from daemon.enquiries import Enquiries
from daemon.settings import BridgeSettings
from reconciler.model import BridgeName
from reconciler.routes import MAIN
from reconciler.verdicts import Unavailable

pytestmark = pytest.mark.anyio
FIRST = BridgeSettings(MAIN, "http://127.0.0.1:1")
SECOND = replace(FIRST, url="http://127.0.0.1:2")


class Door:
    """Opens pretend bridges, whose answers wait until they may come."""

    def __init__(self) -> None:
        self.settings = [FIRST]
        self.open: list[str] = []
        self.opened = 0
        self.asked, self.may_answer = anyio.Event(), anyio.Event()
        self.enquiries = Enquiries(lambda: self.settings, self.of)

    @asynccontextmanager
    async def of(self, wanted: BridgeSettings) -> AsyncIterator[TradingBridge]:
        if wanted.url == "broken":
            raise BadBridgeUrl("its file has gone")
        self.opened += 1
        self.open.append(wanted.url)
        try:
            yield cast("TradingBridge", self)
        finally:
            self.open.remove(wanted.url)

    async def balances(
        self, account: str, expected: Collection[str], wait: object
    ) -> dict[str, Any]:
        self.asked.set()
        if account == "slow":
            await self.may_answer.wait()
        del expected, wait
        return {}

    async def ask(self, account: str = "acme", bridge: BridgeName = MAIN) -> None:
        await self.enquiries.balances(bridge, account, ())


async def test_a_bridge_is_opened_once_and_closed_in_the_end() -> None:
    door = Door()
    for _ in range(3):
        await door.ask()
    assert (door.opened, door.open) == (1, [FIRST.url])
    await door.enquiries.close()
    assert door.open == []


async def test_after_a_reload_the_new_one_is_asked_and_the_old_one_ends_its_answer() -> None:
    door = Door()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(door.ask, "slow")
        await door.asked.wait()
        door.settings = [SECOND]
        await door.ask()
        assert door.open == [FIRST.url, SECOND.url]
        door.may_answer.set()
    assert door.open == [SECOND.url]


async def test_a_bridge_that_is_gone_or_cannot_be_opened_is_out_of_reach() -> None:
    door = Door()
    await door.ask()
    door.settings = []
    with pytest.raises(Unavailable, match="no longer in the settings"):
        await door.ask()
    assert door.open == []
    door.settings = [replace(FIRST, url="broken")]
    with pytest.raises(Unavailable, match="its file has gone"):
        await door.ask()
