"""The real bridge dies in a burst, or comes late: everything comes back by itself."""

from datetime import datetime

import pytest

from reconciler.model import Phase
from tests.acceptance.firm import Firm, Site

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


async def add_keys(firm: Firm, clients: int) -> None:
    await firm.add_clients(clients, "binance", "okx")
    for key in await firm.status.keys():
        await firm.issue_on_paper(key.exchange, firm.keys[key.key_id], USDT="5")


async def test_a_bridge_that_restarts_in_the_middle_of_a_burst_gets_everything_again(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await site.start_bridge()
    await add_keys(firm, 60)
    await site.start_daemon()
    await firm.until_live(10)
    await site.kill("bridge")
    assert await firm.phases(Phase.LIVE) < len(firm.keys)
    await firm.until(lambda: told_to_probes(firm))

    await site.start_bridge()
    await firm.until_live()
    await firm.until(lambda: all_there(firm))


async def all_there(firm: Firm) -> bool:
    return await firm.labels_listed() == await firm.labels_wanted()


async def ready(firm: Firm) -> bool:
    return (await firm.health("/readyz")).status_code == 200


async def told_to_probes(firm: Firm) -> bool:
    """Tell whether the dead bridge shows in health; it is no reason to restart or avoid us."""
    told = await firm.health("/healthz/bridges/main")
    bridge = told.json()
    for path in ("/livez", "/readyz", "/startupz", "/healthz"):
        assert (await firm.health(path)).status_code == 200
    if told.status_code == 200 or bridge["up"] is None:
        return False
    since, seen = (datetime.fromisoformat(bridge[name]) for name in ("since", "seen_at"))
    return "unreachable" in bridge["reason"] and since <= seen


async def test_keys_stored_while_there_is_no_bridge_are_live_soon_after_it_comes(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await add_keys(firm, 5)
    await site.start_daemon()
    await firm.until(lambda: ready(firm))
    await firm.until(lambda: told_to_probes(firm))
    assert await firm.attempts() == 0  # not one key is tried in vain

    await site.start_bridge()
    await firm.until_live()
    assert await all_there(firm)
    assert await firm.attempts() == 10
