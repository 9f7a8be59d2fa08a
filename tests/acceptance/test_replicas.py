"""Several daemons on one database: one acts, another takes over, and none undoes its work."""

import signal
from pathlib import Path

import pytest
from sqlalchemy import make_url

from daemon.embedded.postgres import Server
from daemon.vault import new_key
from tests.acceptance.firm import Firm, Site, start_slow_bridge
from tests.bouncer import bouncing
from tests.proxy import Proxy

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
HASTY = {
    "BRIDGETENDER_LEASE_SECONDS": "3",
    "BRIDGETENDER_POLL_SECONDS": "1",
    "BRIDGETENDER_RESYNC_SECONDS": "1",
}
PATIENT = {
    "BRIDGETENDER_LEASE_SECONDS": "600",
    "BRIDGETENDER_POLL_SECONDS": "600",
    "BRIDGETENDER_RESYNC_SECONDS": "3600",
}
"""Nothing is found by asking within a test: only what is told is known."""


async def two_replicas(firm: Firm) -> None:
    """Let "one" hold the bridge and "two" stand by."""
    await firm.site.start_replica("one")
    await firm.until(lambda: firm.is_held_by("one"))
    await firm.site.start_replica("two")
    await firm.until(firm.is_awaited)
    await firm.until(lambda: firm.hears(well=True, daemon="two"))


async def test_a_replica_that_stops_hands_over_at_once(site: Site, firm: Firm) -> None:
    site.settings = PATIENT
    await start_slow_bridge(site, 0)
    await firm.add_clients(2, "binance", "okx")
    await two_replicas(firm)
    await firm.until_live()

    await site.stop("one")
    await firm.until(lambda: firm.is_held_by("two"))
    await firm.add_key(await firm.add_client("Later"))
    await firm.until_live()
    assert await firm.adds() == 5


async def test_a_replica_that_is_killed_is_replaced_when_its_lease_ends(
    site: Site, firm: Firm
) -> None:
    site.settings = HASTY
    await start_slow_bridge(site, 0.1)
    await firm.add_clients(20, "binance", "okx", "kraken", "gate")
    await two_replicas(firm)
    await firm.until_live(10)
    await site.kill("one")

    await firm.until(lambda: firm.is_held_by("two"))
    await firm.until_live()
    assert await firm.all_there()
    assert await firm.open_intents() == 0


async def test_two_replicas_share_two_bridges_and_each_key_is_on_its_own(
    site: Site, firm: Firm
) -> None:
    second = site.directory / "second.sock"
    await start_slow_bridge(site, 0)
    await site.start("second", ["-m", "bench.slow_bridge", "--uds", str(second), "--latency", "0"])
    config = site.directory / "config.toml"
    config.write_text(
        f"[bridges.main]\nurl = '{site.bridge_url}'\n"
        f"[bridges.second]\nurl = 'unix:{second}'\nexchanges = ['okx']\n"
    )
    site.settings = HASTY | {"BRIDGETENDER_CONFIG": str(config), "TRADING_BRIDGE_URL": ""}
    await firm.add_clients(3, "binance", "okx")
    await site.start_replica("one")
    await firm.until_live()
    await site.start_replica("two")

    async def shared() -> bool:
        return len(set((await firm.holders()).values())) == 2

    await firm.until(shared)
    await firm.add_key(await firm.add_client("Later"), "okx")
    await firm.until_live()
    assert {connector for _, connector in await firm.labels_listed()} == {"binance"}
    assert {key.bridge for key in await firm.status.keys() if key.exchange == "okx"} == {"second"}

    await site.kill("one")

    async def taken_over() -> bool:
        return set((await firm.holders()).values()) == {str(site.children["two"].pid)}

    await firm.until(taken_over)
    await firm.add_clients(2, "binance", "okx")
    await firm.until_live()


async def test_what_a_frozen_replica_had_sent_lands_late_and_does_not_stay(
    site: Site, firm: Firm
) -> None:
    site.settings = HASTY
    await start_slow_bridge(site, 0)
    client = await firm.add_client("Acme")
    await firm.add_key(client, "okx")
    async with Proxy(Path(site.bridge_url.removeprefix("unix:"))).running() as proxy:
        slowly = f"http://127.0.0.1:{proxy.port}"
        await site.start_replica("one", TRADING_BRIDGE_URL=slowly)
        await firm.until_live()
        proxy.hold()
        key = await firm.add_key(client, "binance")

        async def sent() -> bool:
            return b"/connectors/add" in proxy.held

        await firm.until(sent)
        site.signal("one", signal.SIGSTOP)
        await site.start_replica("two")
        await firm.until_live()
        await firm.rotate(key)
        await firm.until(firm.all_there)
        assert (await firm.adds(), await firm.attempts()) == (3, 3)

        site.signal("one", signal.SIGCONT)
        proxy.let_go()

        async def put_right() -> bool:
            return (await firm.adds(), await firm.attempts()) == (5, 4)

        await firm.until(put_right)  # the late one, and that which mends it
        await firm.until(firm.all_there)
        await firm.until(firm.is_awaited)
        assert await firm.is_held_by("two")
        assert '"lease_lost"' in site.logged("one")
        await site.stop("one")


async def test_a_replica_with_another_encryption_key_takes_no_lease_and_parks_nobody(
    site: Site, firm: Firm
) -> None:
    site.settings = HASTY
    other = site.directory / "other-key"
    other.write_text(new_key().reveal())
    await start_slow_bridge(site, 0)
    await firm.add_clients(2, "binance")
    await site.start_replica("right")
    await firm.until_live()
    await site.start_replica("wrong", ENCRYPTION_KEY_FILE=str(other))
    await firm.until_logged("wrong", "ENCRYPTION_KEY is not the one")
    assert await firm.answers("/readyz/keyring", 503, "wrong")
    assert await firm.answers("/livez", 200, "wrong")

    await firm.add_clients(1, "okx")
    await firm.until_live()
    assert await firm.answers("/readyz", 200, "right")

    await site.stop("right")  # nor when nobody else is there
    refusals = site.logged("wrong").count('"not_ready"')
    await firm.until_logged("wrong", '"not_ready"', refusals + 2)
    assert await firm.holders() == {}
    assert await firm.phases("parked") == 0


async def test_all_of_it_works_through_a_pooler(
    site: Site, firm: Firm, postgres: Server, database_url: str
) -> None:
    direct = site.database_url
    async with bouncing(postgres, str(make_url(database_url).database)) as url:
        site.database_url = url
        await start_slow_bridge(site, 0)
        await firm.add_clients(10, "binance", "okx", "kraken")
        await site.start_replica("polling", **HASTY)
        await firm.until_live()
        await firm.add_clients(1, "binance")
        await firm.until_live()

        await firm.until_logged("polling", '"listen_deaf"')
        assert await firm.hears(well=False, daemon="polling")
        await site.stop("polling")

        await site.start_replica("hearing", **PATIENT, BRIDGETENDER_LISTEN_URL=direct)
        await firm.until(lambda: firm.hears(well=True, daemon="hearing"))
        await firm.add_clients(1, "binance")
        await firm.until_live()
        assert await firm.all_there()
        assert "store_away" not in site.logged("polling") + site.logged("hearing")
        await site.stop("hearing")
