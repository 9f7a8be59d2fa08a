"""The daemon is killed, stopped and replaced; nothing is lost, and nothing is left open."""

import pytest

from reconciler.model import Phase
from tests.acceptance.firm import Firm, Site, start_slow_bridge

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
EXCHANGES = ("binance", "okx", "kraken", "kucoin", "bybit", "gate", "mexc", "bitget")


async def test_two_hundred_keys_converge_though_the_daemon_is_killed_half_way(
    site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, 0.05)
    await firm.add_clients(25, *EXCHANGES)
    await site.start_daemon()
    await firm.until_live(100)
    await site.kill("daemon")
    assert await firm.phases(Phase.LIVE) < 200
    under_way = await firm.open_intents()
    assert under_way > 0

    await site.start_daemon()
    await firm.until_live()

    assert await firm.labels_listed() == await firm.labels_wanted()
    assert await firm.open_intents() == 0
    async with firm.bridge() as bridge:
        adds = (await bridge.get("/calls")).json()["add"]
    assert adds <= 200 + under_way


async def test_a_daemon_told_to_stop_in_a_burst_leaves_nothing_open_and_no_lease(
    site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, 0.1)
    await firm.add_clients(12, *EXCHANGES)
    await site.start_daemon()
    await firm.until_live(10)
    assert await site.children.pop("daemon").stop() == 0  # by SIGTERM

    assert await firm.phases(Phase.LIVE) < 96
    assert await firm.open_intents() == 0
    assert await firm.ask(
        "SELECT epoch, expires_at <= clock_timestamp() FROM bridgetender.leases"
    ) == [(1, True)]

    await site.start_daemon()
    await firm.until_live()
    assert (await firm.ask("SELECT epoch FROM bridgetender.leases")) == [(2,)]
    async with firm.bridge() as bridge:
        assert (await bridge.get("/calls")).json()["add"] == 96
