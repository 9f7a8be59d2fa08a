"""A daemon is told to stop while an attempt is under way, whose bridge answers when it may."""

import signal
from collections.abc import AsyncIterator

import anyio
import pytest

from reconciler.model import Phase
from tests.acceptance.firm import PATIENCE, Firm, Site
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Asked, Said, serving

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
ADD = "POST", "/connectors/add"


class Patient:
    """A bridge of the story that keeps adds waiting until they may be answered."""

    def __init__(self) -> None:
        self.story = StoryBridge()
        self.asked, self.may_answer = anyio.Event(), anyio.Event()

    async def __call__(self, asked: Asked) -> Said:
        if (asked.method, asked.path) == ADD:
            self.asked.set()
            await self.may_answer.wait()
        return self.story(asked)

    def adds(self) -> int:
        return len(self.story.requests(*ADD))


@pytest.fixture
async def bridge(site: Site) -> AsyncIterator[Patient]:
    bridge = Patient()
    async with serving(bridge) as site.bridge_url:
        yield bridge
        bridge.may_answer.set()
        await site.stop("daemon")


async def stop_with_one_under_way(site: Site, firm: Firm, bridge: Patient, grace_s: float) -> None:
    """Tell a daemon to stop in the middle of an attempt; give it another key to see to then."""
    site.settings = {"BRIDGETENDER_GRACE_SECONDS": str(grace_s)}
    await firm.add_clients(1, "binance")
    await site.start_daemon()
    with anyio.fail_after(PATIENCE):
        await bridge.asked.wait()
    site.signal("daemon", signal.SIGTERM)
    await firm.until_logged("daemon", "stopping")
    await firm.add_clients(1, "binance")


async def exit_code(site: Site) -> int:
    with anyio.fail_after(PATIENCE):
        return await site.children.pop("daemon").wait()


async def gave_back(firm: Firm) -> bool:
    """Tell whether the only lease there ever was has ended."""
    leases = "SELECT epoch, expires_at <= clock_timestamp() FROM bridgetender.leases"
    return list(await firm.ask(leases)) == [(1, True)]


async def test_what_is_under_way_is_finished_and_written_down_and_nothing_new_is_begun(
    site: Site, firm: Firm, bridge: Patient
) -> None:
    await stop_with_one_under_way(site, firm, bridge, grace_s=60)
    assert await firm.answers("/readyz", 503)
    assert await firm.answers("/livez", 200)
    assert not await gave_back(firm)
    await firm.until_logged("daemon", '"event": "planned"', times=2)
    bridge.may_answer.set()
    assert await exit_code(site) == 0
    assert await gave_back(firm)
    assert (await firm.phases(Phase.LIVE), await firm.attempts()) == (1, 1)
    assert await firm.open_intents() == 0
    assert bridge.adds() == 1


async def test_what_takes_longer_than_the_grace_time_is_left_to_the_next(
    site: Site, firm: Firm, bridge: Patient
) -> None:
    await stop_with_one_under_way(site, firm, bridge, grace_s=0.2)
    assert await exit_code(site) == 0
    assert await gave_back(firm)
    assert await firm.open_intents() == 1
    assert await firm.phases(Phase.LIVE) == 0
    bridge.may_answer.set()
    await site.start_daemon()
    await firm.until_live()
    assert await firm.open_intents() == 0
