"""Keys change hands, places and lives while their connectors are being initialized."""

import pytest

from reconciler.model import Phase
from tests.acceptance.firm import Firm, Site, issue, start_slow_bridge
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import serving

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
ADD = "POST", "/connectors/add"


async def test_a_key_changed_while_it_is_initialized_ends_live_with_its_new_credentials(
    site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, 0.3)
    (key,) = await firm.add_clients(1, "binance")
    await site.start_daemon()
    await firm.until(lambda: under_way(firm, 1))
    before = await firm.labels_wanted()
    await firm.rotate(key)
    assert await under_way(firm, 1)  # else nothing is shown

    after = await firm.labels_wanted()
    assert after != before
    await firm.until(lambda: lists(firm, after))
    await firm.until_live()
    assert await lists(firm, after)


async def test_keys_deleted_and_disabled_while_they_are_initialized_leave_nothing_behind(
    site: Site, firm: Firm
) -> None:
    await start_slow_bridge(site, 0.6)  # longer than until the second look
    deleted, disabled = await firm.add_clients(2, "binance")
    await site.start_daemon()
    await firm.until(lambda: under_way(firm, 2))
    await firm.delete_key(deleted)
    await firm.people.set_active(disabled, active=False)
    assert await under_way(firm, 2)

    await firm.until(lambda: forgotten(firm))
    assert await lists(firm, {})
    assert await firm.attempts("remove") == 2


async def under_way(firm: Firm, count: int) -> bool:
    return await firm.open_intents() == count


async def lists(firm: Firm, labels: dict[tuple[str, str], str]) -> bool:
    return await firm.labels_listed() == labels


async def forgotten(firm: Firm) -> bool:
    return not await firm.ask("SELECT account FROM bridgetender.connectors")


async def test_two_clients_whose_names_meet_share_no_account_and_two_keys_no_slot(
    site: Site, firm: Firm
) -> None:
    story = StoryBridge()
    first = await firm.add_client("Acme Capital")
    second = await firm.add_client("ACME capital")
    older = await firm.add_key(first, "okex")
    newer = await firm.add_key(first, "okx")
    elsewhere = await firm.add_key(first, "kraken")
    stranger = await firm.add_key(second, "binance")
    async with serving(story) as site.bridge_url:
        await site.start_daemon()

        async def settled() -> bool:
            return await firm.phases(Phase.LIVE, Phase.CONFLICT) == 4

        await firm.until(settled)
        keys = await firm.standing()
        assert (keys[newer].phase, keys[elsewhere].phase) == (Phase.LIVE, Phase.LIVE)
        assert (keys[older].phase, keys[older].reason) == ("conflict", "slot_taken")
        assert keys[older].holder_id == newer
        assert (keys[stranger].phase, keys[stranger].reason) == ("conflict", "account_taken")
        assert sent(story) == {firm.keys[key].api_key for key in (newer, elsewhere)}

        await firm.delete_key(newer)  # now the older one has the slot
        await firm.until(lambda: is_live(firm, older))
        assert firm.keys[stranger].api_key not in sent(story)
        assert set(story.accounts) == {"client_acme_capital"}
        await site.stop("daemon")


async def test_the_same_credentials_are_never_sent_for_a_second_client(
    site: Site, firm: Firm
) -> None:
    story = StoryBridge()
    stolen = issue()
    owner = await firm.add_client("Owner")
    other = await firm.add_client("Other")
    async with serving(story) as site.bridge_url:
        theirs = await firm.add_key(owner, "binance", stolen)
        await site.start_daemon()
        await firm.until(lambda: is_live(firm, theirs))
        copied = await firm.add_key(other, "binance", stolen)

        async def refused() -> bool:
            return (await firm.standing())[copied].reason == "credentials_taken"

        await firm.until(refused)
        accounts = {asked.json()["account_name"] for asked in story.requests(*ADD)}
        assert accounts == {"client_owner"}
        await site.stop("daemon")


async def is_live(firm: Firm, key: object) -> bool:
    return any(k.key_id == key and k.phase == Phase.LIVE for k in await firm.status.keys())


def sent(story: StoryBridge) -> set[str]:
    return {asked.json()["api_key"] for asked in story.requests(*ADD)}
