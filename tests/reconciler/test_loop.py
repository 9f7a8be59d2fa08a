from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any, NoReturn

import anyio
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from reconciler.attempting import Attempter
from reconciler.desk import Desk
from reconciler.jobs import Job
from reconciler.lookout import Lookout
from reconciler.loop import Loop
from reconciler.model import (
    Attempt,
    BridgeName,
    KeyId,
    Lease,
    Observation,
    Phase,
    Reason,
    Record,
    Slot,
    Survey,
    Verified,
)
from reconciler.pacing import Breaker
from reconciler.ports import Clients
from reconciler.records import Action
from reconciler.rules import OTHERS, Rules
from reconciler.verdicts import (
    ExchangeAway,
    LeaseLost,
    Refused,
    StoreError,
    Throttled,
    Unavailable,
    Unclear,
)
from tests.fakes import (
    BRIDGE,
    Dawdles,
    FakeClock,
    Hangs,
    HappensBut,
    Lacks,
    Lies,
    Raises,
    Waits,
    fingerprint_of,
)
from tests.reconciler.examples import record
from tests.reconciler.house import CALM, DAY, HOUR, House, story

pytestmark = pytest.mark.anyio


UNPACED = Rules(rates={OTHERS: 0})


async def acme(house: House, *exchanges: str) -> None:
    client = await house.world.add_client("Acme")
    for exchange in exchanges or ("binance",):
        await house.world.add_key(client, exchange, api_key=f"{exchange}-1")


async def key_of(house: House, exchange: str = "binance") -> KeyId:
    return next(key for key, row in house.world.keys.items() if row.exchange == exchange)


async def many(house: House, count: int, name: str = "c") -> None:
    for number in range(count):
        client = await house.world.add_client(f"{name}{number}")
        await house.world.add_key(client, "binance")


async def test_a_new_key_does_not_wait_for_a_long_look_at_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    survey = house.store.ledger.survey

    async def slow(bridge: BridgeName, seen: Observation | None, clients: Clients) -> Survey:
        found = await survey(bridge, seen, clients)
        if clients is None:
            await anyio.sleep(100)
        return found

    async with house.running():
        await acme(house)
        await house.at_rest()
        monkeypatch.setattr(house.store.ledger, "survey", slow)
        house.loop.look(None)
        await anyio.sleep(1)
        client = await house.world.add_client("Blue")
        await house.world.add_key(client, "okx")
        house.loop.look(frozenset({client}))
        await house.at_rest(within=1)
        await anyio.sleep(HOUR)

    assert house.bridge.changes() == 2


async def test_keys_that_come_while_the_bridge_is_listed_are_no_reason_to_list_it_again() -> None:
    house = House()
    house.bridge.always("observe", Dawdles(5))
    async with house.running():
        await house.at_rest()
        before = house.bridge.count("observe")
        for number in range(20):
            client = await house.world.add_client(f"c{number}")
            await house.world.add_key(client, "okx")
            house.loop.look(frozenset({client}))
            await anyio.sleep(3)

    assert house.bridge.changes() == 20
    assert house.bridge.count("observe") - before <= 3


# -- convergence -------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [House, story])
async def test_from_nothing_every_key_becomes_live_by_one_call_each(
    make: Callable[..., House],
) -> None:
    house = make(rules=UNPACED)
    await many(house, 40)

    async with house.running():
        await house.at_rest(within=5)
        await anyio.sleep(2 * HOUR)

    assert house.bridge.changes() == 40
    assert len(house.meter.convergences) == 40
    assert house.strays == []


async def test_an_hour_of_idleness_writes_nothing_but_verifications() -> None:
    house = House()
    await many(house, 10)
    async with house.running():
        await house.at_rest()
        await anyio.sleep(60)
        house.tables.writes.clear()
        house.bridge.calls.clear()

        await anyio.sleep(HOUR)

        assert house.bridge.changes() == 0
        assert house.bridge.count("verify") == 10 * 4
        assert 100 <= house.bridge.count("observe") <= 140
        assert set(house.tables.writes) == {"settle"}
        assert len(house.tables.writes) <= 10 * 4


async def test_proofs_that_find_all_as_it_was_are_no_history_and_no_news() -> None:
    house = House()
    await acme(house)
    with capture_logs() as logs:
        async with house.running():
            await anyio.sleep(10 * HOUR)
            house.bridge.script("verify", *[Raises(ExchangeAway("binance is away"))] * 3)
            await anyio.sleep(HOUR)

    assert house.bridge.count("verify") > 40
    assert [(a.action, a.verdict) for a in house.tables.attempts] == [
        ("initialize", "done"),
        ("verify", "exchange_away"),
        ("verify", "done"),
    ]
    told = [entry["log_level"] for entry in logs if entry["event"] == "verify_done"]
    assert (told.count("info"), told.count("debug")) == (1, len(told) - 1)
    assert len(house.meter.attempts) == 1 + house.bridge.count("verify") - 1


async def test_a_deleted_key_whose_add_may_still_land_is_waited_for_without_a_rush() -> None:
    house = House()
    await acme(house)
    house.bridge.always("initialize", Raises(Unclear("no answer came")))
    async with house.running():
        await anyio.sleep(3)
        await house.world.delete_key(await key_of(house))
        house.loop.look(None)
        await anyio.sleep(5)
        house.bridge.calls.clear()
        await anyio.sleep(60)
        assert house.bridge.count("observe") <= 4
        house.bridge.install(house.slot(), "binance-1")
        await anyio.sleep(120)

    assert house.there() == {}
    assert house.tables.records == {}


async def test_what_is_due_though_nothing_is_missing_is_begun_by_a_new_holder_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def nothing_missing(*_: object) -> Survey:
        return Survey([], unmanaged=0)

    house = House()
    async with house.running():
        await acme(house)
        await house.at_rest()
    await anyio.sleep(HOUR)
    house.bridge.calls.clear()
    house.stop = anyio.Event()
    monkeypatch.setattr(house.store.ledger, "survey", nothing_missing)
    async with house.running():
        await anyio.sleep(5)
        assert house.bridge.count("verify") == 1


async def test_a_hint_makes_a_new_key_live_at_once() -> None:
    house = House()
    async with house.running():
        await anyio.sleep(100)
        client = await house.world.add_client("Acme")
        await house.world.add_key(client, "binance")
        house.loop.look(frozenset({client}))

        assert await house.at_rest() < 1


async def test_hints_that_are_looked_at_hide_no_look_at_everything_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    survey = house.store.ledger.survey

    async def failing(bridge: BridgeName, seen: Observation | None, clients: Clients) -> Survey:
        if clients is None:
            raise StoreError("canceling statement due to statement timeout")
        return await survey(bridge, seen, clients)

    client = await house.world.add_client("Acme")
    async with house.running():
        await anyio.sleep(100)
        monkeypatch.setattr(house.store.ledger, "survey", failing)
        before = len(house.meter.passes)
        house.loop.look(None)
        await anyio.sleep(1)
        house.loop.look(frozenset({client}))
        await anyio.sleep(1)
        assert "ok" in house.meter.passes[before:]
        assert set(house.meter.passes_over_everything[-1:]) == {"store_error"}


async def test_without_a_hint_a_new_key_is_live_after_the_next_look() -> None:
    house = House()
    async with house.running():
        await anyio.sleep(100)
        await acme(house)

        assert await house.at_rest() < 35


async def test_a_rotated_key_replaces_what_is_there() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        await house.world.rotate_key(await key_of(house), "binance-2")
        await house.at_rest()

    assert house.there() == {house.slot(): "binance-2"}
    assert house.bridge.count("remove") == 0


async def test_a_row_encrypted_anew_is_acknowledged_without_a_call() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.calls.clear()
        key = await key_of(house)
        await house.world.reencrypt_key(key)
        await anyio.sleep(100)

        assert house.record().digest == house.world.keys[key].digest
        assert house.bridge.count("initialize", "verify") == 0


async def test_a_disabled_key_is_removed_soon_after_a_hint() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        key = await key_of(house)
        await house.world.set_key_active(key, active=False)
        house.loop.look(frozenset(house.world.clients))

        assert await house.at_rest() < 3
    assert house.there() == {}


async def test_a_client_is_paused_resumed_and_suspended() -> None:
    house = House()
    await acme(house, "binance", "kraken")
    (client,) = house.world.clients
    async with house.running():
        await house.at_rest()
        await house.world.set_client_status(client, "PAUSED")
        await house.world.add_key(client, "okx")
        await anyio.sleep(HOUR)
        assert set(house.there().values()) == {"binance-1", "kraken-1"}
        assert house.record("okx").reason is Reason.PAUSED

        await house.world.set_client_status(client, "ACTIVE")
        await house.at_rest()
        assert len(house.there()) == 3

        await house.world.set_client_status(client, "SUSPENDED")
        await house.at_rest()
    assert house.there() == {}
    assert house.tables.records == {}


async def pauses_of(house: House) -> list[tuple[str, object]]:
    (client,) = house.world.clients
    return [
        *(("all", ""), ("bridge", BRIDGE), ("client", client)),
        ("key", await key_of(house)),
    ]


@pytest.mark.parametrize("number", range(4), ids=["all", "bridge", "client", "key"])
async def test_what_is_paused_is_left_as_it_is_until_it_is_resumed(number: int) -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        pause = (await pauses_of(house))[number]
        await house.world.pause(*pause)
        await house.world.rotate_key(await key_of(house), "binance-2")
        house.loop.look(None)
        house.bridge.calls.clear()
        await anyio.sleep(HOUR)  # verifications would be due
        assert house.bridge.changes() + house.bridge.count("verify") == 0
        assert house.there() == {house.slot(): "binance-1"}

        house.bridge.restart()
        await anyio.sleep(HOUR)
        assert house.there() == {}
        assert (house.record().phase, house.record().reason) == (Phase.PARKED, Reason.PAUSED)

        await house.world.resume(*pause)
        house.loop.look(None)
        await house.at_rest(within=1)
    assert house.there() == {house.slot(): "binance-2"}


@pytest.mark.parametrize("number", range(4), ids=["all", "bridge", "client", "key"])
async def test_a_paused_connector_stays_though_its_key_is_deleted(number: int) -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        pause = (await pauses_of(house))[number]
        await house.world.pause(*pause)
        await house.world.delete_key(await key_of(house))
        house.loop.look(None)
        await anyio.sleep(HOUR)
        assert house.there() == {house.slot(): "binance-1"}
        assert house.record().phase is Phase.LIVE

        await house.world.resume(*pause)
        house.loop.look(None)
        await house.at_rest(within=1)
    assert house.tables.records == {}


async def test_a_removal_that_waits_for_its_time_waits_for_the_pause_too() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.always("remove", Raises(Unclear("busy")))
        await house.world.delete_key(await key_of(house))
        house.loop.look(None)
        await anyio.sleep(60)
        assert house.record().phase is Phase.REMOVING

        await house.world.pause("bridge", BRIDGE)
        house.loop.look(None)
        house.bridge.heal()
        house.bridge.calls.clear()
        await anyio.sleep(HOUR)
        assert house.bridge.changes() == 0

        await house.world.resume("bridge", BRIDGE)
        house.loop.look(None)
        await house.at_rest(within=1)
    assert house.there() == {}


async def test_what_is_prepared_and_not_begun_is_not_sent_once_it_is_paused() -> None:
    house = House(rules=replace(Rules(), concurrency=8))
    await many(house, 12)
    held = Waits(anyio.Event(), anyio.Event())
    house.bridge.always("initialize", held)
    async with house.running():
        await held.begun.wait()
        await anyio.sleep(1)
        begun = house.bridge.count("initialize")
        assert begun == 8
        await house.world.pause("all")
        house.loop.look(None)
        held.until.set()
        await anyio.sleep(HOUR)
        assert house.bridge.count("initialize") == begun  # what was under way has ended
        assert len(house.there()) == begun

        house.bridge.heal()
        await house.world.resume("all")
        house.loop.look(None)
        await house.at_rest(within=1)


async def test_a_hint_after_a_mistake_of_ours_is_no_second_one() -> None:
    house = House(rules=replace(Rules(), concurrency=4))
    await many(house, 12)
    held = Waits(anyio.Event(), anyio.Event())
    house.bridge.always("initialize", held)
    house.bridge.script("observe", None, Raises(KeyError("boot_id")))
    with capture_logs() as logs:
        async with house.running():
            await held.begun.wait()
            while "term_crashed" not in {entry["event"] for entry in logs}:  # noqa: ASYNC110
                await anyio.sleep(0.5)
            house.loop.look(None)  # while it waits to begin anew
            held.until.set()
            await house.at_rest(within=200)


async def test_another_clients_keys_go_on_during_a_pause() -> None:
    house = House()
    await acme(house)
    (client,) = house.world.clients
    await house.world.pause("client", client)
    await many(house, 1, "other")
    async with house.running():
        await anyio.sleep(60)
        assert list(house.there()) == [house.slot(account="client_other0")]
        assert house.record().reason is Reason.PAUSED


async def test_a_renamed_client_moves_to_another_account() -> None:
    house = House()
    await acme(house)
    (client,) = house.world.clients
    async with house.running():
        await house.at_rest()
        await house.world.rename_client(client, "Blue Sky")
        await house.at_rest()

    assert house.there() == {house.slot(account="client_blue_sky"): "binance-1"}
    assert house.strays == []


async def test_a_wish_is_granted_once() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        await house.world.wish(await key_of(house))
        await anyio.sleep(HOUR)

    assert house.bridge.count("initialize") == 2
    assert house.world.wishes == set()


async def test_what_was_there_before_is_adopted_without_being_added() -> None:
    house = story()
    await acme(house)
    house.bridge.install(house.slot(), "binance-1")
    async with house.running():
        await anyio.sleep(HOUR)

    assert house.record().reason is Reason.ADOPTED
    assert house.bridge.count("initialize") == 0


async def test_what_is_none_of_ours_is_counted_and_never_touched() -> None:
    house = House()
    await acme(house)
    stranger = house.slot("kraken", "master_account")
    house.bridge.install(stranger, "somebody's")
    async with house.running():
        await anyio.sleep(HOUR)

    assert house.there()[stranger] == "somebody's"
    assert house.meter.unmanaged_counts[-1] == 1
    assert {call.slot for call in house.bridge.calls} == {None, house.slot()}


async def test_listings_that_lack_everything_make_us_forget_no_orphan() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.script("observe", *[Lacks()] * 3)
        await house.world.delete_key(await key_of(house))
        await anyio.sleep(HOUR)
    assert house.there() == {}
    assert house.tables.records == {}


async def test_on_a_bridge_that_cannot_remove_an_orphan_is_said_to_be_unremovable() -> None:
    house = story(CALM)
    await acme(house)
    async with house.running():
        await house.at_rest()
        await house.world.delete_key(await key_of(house))
        await anyio.sleep(25 * HOUR)
        assert house.record().phase is Phase.UNREMOVABLE
        assert house.bridge.count("remove") <= 3

        house.bridge.restart()
        await anyio.sleep(700)
        assert house.tables.records == {}


# -- conflicts ---------------------------------------------------------------------------------


async def test_credentials_of_another_client_are_not_sent() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        other = await house.world.add_client("Blue")
        await house.world.add_key(other, "binance", api_key="binance-1")
        await anyio.sleep(HOUR)

        there = house.record(account="client_blue")
        assert (there.phase, there.reason) == (Phase.CONFLICT, Reason.CREDENTIALS_TAKEN)
        assert house.bridge.count("initialize", slot=there.slot) == 0

        await house.world.delete_client(next(iter(house.world.clients)))
        await house.at_rest(within=400)
    assert house.there() == {there.slot: "binance-1"}


async def test_a_client_that_lost_its_account_meanwhile_has_nothing_sent_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    first, second = [await house.world.add_client(name) for name in ("Acme", "acme")]
    intend = house.store.ledger.intend

    async def late(lease: Lease, records: Sequence[Record]) -> Mapping[Slot, Reason]:
        await anyio.sleep(2)
        return await intend(lease, records)

    monkeypatch.setattr(house.store.ledger, "intend", late)
    async with house.running():
        await anyio.sleep(5)
        await house.world.add_key(first, "binance", api_key="of the first")
        await house.world.add_key(second, "kraken", api_key="of the second")
        house.loop.look(frozenset({first}))
        await anyio.sleep(1)
        await house.world.rename_client(first, "Blue")
        house.loop.look(frozenset({first, second}))
        await house.at_rest()
    assert house.strays == []
    assert house.there() == {
        house.slot("binance", "client_blue"): "of the first",
        house.slot("kraken"): "of the second",
    }


async def test_a_client_whose_account_is_another_ones_has_nothing_sent() -> None:
    house = House()
    await acme(house)
    other = await house.world.add_client("ACME")
    await house.world.add_key(other, "kraken")
    async with house.running():
        await anyio.sleep(HOUR)
        assert house.there() == {house.slot(): "binance-1"}

        await house.world.delete_client(next(iter(house.world.clients)))
        await anyio.sleep(40)
        await house.at_rest()
    assert set(house.there()) == {house.slot("kraken")}
    assert house.strays == []


# -- the bridge fails --------------------------------------------------------------------------


async def test_an_hour_without_a_bridge_is_made_good_soon_after_and_costs_few_calls() -> None:
    house = House()
    await many(house, 50)
    house.bridge.down = True
    async with house.running():
        await anyio.sleep(HOUR)
        assert house.bridge.count("initialize") == 0
        assert house.bridge.count("observe") < 150
        assert house.meter.up[-1] == (False, "connection refused")
        assert house.tables.reports == [(False, "connection refused")]

        house.bridge.down = False
        assert await house.at_rest(within=40) <= 31
    assert house.bridge.changes() == 50


async def test_a_bridge_that_goes_down_in_the_middle_is_not_hammered() -> None:
    house = House(rules=UNPACED)
    async with house.running():
        await anyio.sleep(10)
        house.bridge.down = True
        await many(house, 200)
        house.loop.look(None)
        await anyio.sleep(HOUR)
        assert house.bridge.count("initialize") <= Rules().concurrency

        house.bridge.down = False
        assert await house.at_rest(within=60) <= 32


async def test_what_only_waits_for_the_bridge_is_tried_as_soon_as_it_is_back() -> None:
    house = House()
    await many(house, 20)
    house.bridge.always("initialize", Raises(Unavailable("503")))
    async with house.running():
        await anyio.sleep(HOUR)
        house.bridge.down = True
        await anyio.sleep(120)
        house.bridge.heal()

        assert await house.at_rest() < 32


@pytest.mark.parametrize("keys", [1, 100])
async def test_a_bridge_that_lists_and_adds_nothing_is_not_hammered(keys: int) -> None:
    house = House()
    await many(house, keys)
    house.bridge.always("initialize", Raises(Unavailable("503")))
    async with house.running():
        await anyio.sleep(HOUR)
        assert house.bridge.count("initialize") <= Rules().concurrency + 150

        house.bridge.heal()
        await house.at_rest(within=330)


async def test_one_slot_that_the_bridge_never_serves_holds_up_no_other_and_is_not_hammered() -> (
    None
):
    house = House()
    await many(house, 20)
    never = house.slot(account="client_c7")
    house.bridge.always("initialize", Raises(Unavailable("503")), never)
    async with house.running():
        await anyio.sleep(2 * HOUR)

        assert house.bridge.count("initialize", slot=never) <= 2 * 12 + 20
        assert house.bridge.count("initialize") - house.bridge.count("initialize", slot=never) == 19
        assert house.bridge.count("verify") >= 19 * 8


@pytest.mark.parametrize("make", [House, story])
async def test_after_a_restart_of_the_bridge_all_is_live_again(make: Callable[..., House]) -> None:
    house = make()
    await many(house, 50)
    async with house.running():
        await house.at_rest()
        await anyio.sleep(HOUR)
        house.bridge.restart()

        assert await house.at_rest() < 36
    assert house.bridge.changes() == 100


async def test_a_bridge_that_forgets_again_and_again_is_filled_ever_more_rarely() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        for _ in range(4 * 180):
            house.bridge.restart()
            await anyio.sleep(20)

    assert house.bridge.count("initialize") < 150


async def test_a_bridge_whose_listings_disagree_is_named_and_nothing_is_added_again() -> None:
    house = story()
    await many(house, 3)
    async with house.running():
        await house.at_rest()
        for _ in range(3):
            house.bridge.script("observe", Lacks())
            await anyio.sleep(60)

        assert house.bridge.changes() == 3
        up, reason = house.tables.reports[-1]
        assert up
        assert "return by themselves" in reason
        await anyio.sleep(HOUR)
        assert house.tables.reports[-1] == (True, "")


async def test_one_short_listing_changes_nothing() -> None:
    house = House()
    await many(house, 20)
    async with house.running():
        await house.at_rest()
        for lacks in (Lacks(), Lacks(keeps=2)):
            house.bridge.script("observe", lacks)
            await anyio.sleep(100)

    assert house.bridge.changes() == 20


async def test_one_short_listing_is_not_the_second_of_what_was_added_since_the_first() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.restart()
        await anyio.sleep(5)
        await house.at_rest()
        house.bridge.script("observe", Lacks())
        await house.world.set_key_active(await key_of(house), active=False)
        house.loop.look(None)
        await anyio.sleep(5)

        assert house.there() == {}
        assert house.tables.records == {}


async def test_a_success_that_was_a_lie_is_found_out() -> None:
    house = House()
    await acme(house)
    house.bridge.script("initialize", Lies())
    async with house.running():
        assert await house.at_rest() < 10


async def test_an_unclear_attempt_that_happened_is_settled_by_the_listing() -> None:
    house = House()
    await acme(house)
    house.bridge.script("initialize", HappensBut())
    slow = replace(house.rules.backoff, first=timedelta(seconds=60))
    house.rules = replace(house.rules, backoff=slow)
    house.loop = house.replica(house.store.leases)
    async with house.running():
        assert await house.at_rest() < 3
        await anyio.sleep(HOUR)

    assert house.bridge.count("initialize") == 1
    assert house.record().verified is Verified.OK


async def test_an_unclear_attempt_is_made_again_with_backoff_where_nothing_can_settle_it() -> None:
    house = story()
    await acme(house)
    house.bridge.always("initialize", HappensBut(Unclear("500")))
    async with house.running():
        await anyio.sleep(HOUR)
        assert 15 <= house.bridge.count("initialize") <= 22
        house.bridge.heal()
        await house.at_rest(within=320)


async def test_another_ones_label_in_our_slot_is_replaced() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.install(house.slot(), "somebody's")
        await anyio.sleep(40)
        await house.at_rest()

    assert house.there() == {house.slot(): "binance-1"}


# -- keys fail ---------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [House, story])
async def test_a_wrong_key_parks_while_others_proceed(make: Callable[..., House]) -> None:
    house = make()
    await acme(house, "binance", "kraken", "okx")
    house.bridge.refused.add("kraken-1")
    async with house.running():
        await anyio.sleep(2)
        phases = {c: house.record(c).phase for c in ("binance", "kraken", "okx")}
        assert phases == {"binance": Phase.LIVE, "kraken": Phase.PARKED, "okx": Phase.LIVE}

        await house.world.rotate_key(await key_of(house, "kraken"), "kraken-2")
        await house.at_rest()


@pytest.mark.parametrize("make", [House, story])
async def test_a_refused_key_is_asked_about_four_times_a_day(make: Callable[..., House]) -> None:
    house = make(rules=CALM)
    await acme(house)
    house.bridge.refused.add("binance-1")
    async with house.running():
        await anyio.sleep(10)
        house.bridge.calls.clear()

        await anyio.sleep(DAY)

        asked = house.bridge.count("initialize", "verify")
        assert 3 <= asked <= 4
        assert house.bridge.proves == (house.bridge.count("initialize") == 0)


async def test_a_refused_key_that_works_later_is_live_at_its_next_recheck() -> None:
    house = House(rules=CALM)
    await acme(house)
    house.bridge.refused.add("binance-1")
    async with house.running():
        await anyio.sleep(10)
        house.bridge.refused.clear()
        await house.at_rest(within=7 * HOUR)


async def test_a_recheck_adds_where_anothers_connector_is_and_does_not_prove_that_one() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.install(house.slot(), "a stranger's")
        house.bridge.always("initialize", Raises(Refused("address not allowed")))
        await anyio.sleep(HOUR)
        assert house.record().phase is Phase.PARKED

        house.bridge.heal()
        house.meter.attempts.clear()
        await anyio.sleep(7 * HOUR)
        assert house.there() == {house.slot(): "binance-1"}
        assert house.meter.attempts[0].action == Action.INITIALIZE


async def test_credentials_refused_when_added_are_not_live_because_the_old_ones_are() -> None:
    house = House(rules=CALM)
    await acme(house)
    async with house.running():
        await house.at_rest()
        house.bridge.always("initialize", Raises(Refused("bad key")))
        await house.world.rotate_key(await key_of(house), "binance-2")
        await anyio.sleep(DAY)

        assert house.there() == {house.slot(): "binance-1"}
        assert house.record().phase is Phase.PARKED
        assert house.bridge.count("initialize") <= 6


async def test_a_key_that_nobody_can_decrypt_parks_and_nothing_is_sent() -> None:
    house = House()
    await acme(house)
    key = await key_of(house)
    await house.world.break_key(key)
    async with house.running():
        await anyio.sleep(HOUR)
        assert house.record().reason is Reason.UNDECRYPTABLE
        assert house.bridge.count("initialize") == 0
        assert len(house.tables.attempts) == 1

        await house.world.rotate_key(key)
        await house.at_rest()


async def test_what_is_parked_of_a_paused_client_is_not_looked_at_every_second() -> None:
    house = House(rules=CALM)
    await acme(house)
    house.bridge.unsupported.add("binance")
    (client,) = house.world.clients
    async with house.running():
        await anyio.sleep(700)
        await house.world.set_client_status(client, "PAUSED")
        await anyio.sleep(25 * HOUR)
        house.tables.writes.clear()
        await anyio.sleep(2 * HOUR)

    assert len(house.tables.writes) <= 4


async def test_a_throttled_exchange_waits_while_others_go_on() -> None:
    house = House(rules=replace(Rules(), concurrency=1))
    await many(house, 10)
    client = await house.world.add_client("Acme")
    asked = Throttled("slow down", retry_after=timedelta(minutes=10))
    house.bridge.script("initialize", Raises(asked))
    async with house.running():
        await anyio.sleep(5)
        await house.world.add_key(client, "kraken")
        await anyio.sleep(300)
        assert house.bridge.count("initialize") == 2
        assert list(house.there()) == [house.slot("kraken")]

        await house.at_rest(within=400)
    calls = [c.at for c in house.bridge.calls if c.slot and c.slot.connector == "binance"]
    assert min(calls[1:]) >= 600


async def test_what_was_prepared_for_an_exchange_waits_too_once_it_is_throttled() -> None:
    house = House(rules=replace(Rules(), concurrency=8))
    await many(house, 30)
    asked = Throttled("slow down", retry_after=timedelta(minutes=10))
    house.bridge.script("initialize", *[Raises(asked)] * 8)
    async with house.running():
        await anyio.sleep(500)
        assert house.bridge.count("initialize") == 8
        assert {r.phase for r in house.tables.records.values()} <= {Phase.PENDING, Phase.RETRYING}

        await house.at_rest(within=400)


async def test_the_next_holder_leaves_alone_what_asked_the_last_one_for_quiet() -> None:
    house = House()
    await acme(house, "binance", "okx")
    throttled = Throttled("429", retry_after=timedelta(minutes=5))
    house.bridge.always("initialize", Raises(throttled), slot=house.slot("okx"))
    async with house.running():
        await anyio.sleep(10)
    house.bridge.heal()
    (client,) = house.world.clients
    await house.world.add_key(client, "okx", api_key="okx-2", testnet=True)
    house.stop = anyio.Event()
    house.bridge.calls.clear()
    async with house.running(house.replica(house.store.rival)):
        await anyio.sleep(270)
        assert house.bridge.count("initialize") == 0
        await house.at_rest(within=60)


async def test_an_exchange_sees_no_more_than_its_rate_while_another_is_asked_faster() -> None:
    house = House(rules=Rules(rates={"binance": 2, "okx": 0}))
    await many(house, 100)
    for number in range(50):
        client = await house.world.add_client(f"o{number}")
        await house.world.add_key(client, "okx")
    async with house.running():
        await anyio.sleep(2)
        assert sum(slot.connector == "okx" for slot in house.there()) == 50
        await house.at_rest(within=60)

    adds = [call for call in house.bridge.calls if call.action == "initialize"]
    added = [add.at for add in adds if add.slot and add.slot.connector == "binance"]
    assert len(added) == 100
    assert all(
        later - first >= 10 / 2 - 2.1 for first, later in zip(added, added[10:], strict=False)
    )


async def test_an_exchange_that_hangs_keeps_no_place_from_others() -> None:
    house = House(rules=UNPACED)
    await many(house, 200)
    for slot in house.wanted():
        house.bridge.always("initialize", Hangs(35), slot)
    async with house.running():
        await anyio.sleep(20)
        client = await house.world.add_client("Blue")
        await house.world.add_key(client, "okx")
        house.loop.look(frozenset({client}))
        await anyio.sleep(1)
        assert house.slot("okx", "client_blue") in house.there()


async def test_a_new_key_in_the_middle_of_a_burst_is_next() -> None:
    house = House(rules=UNPACED)
    await many(house, 500)
    async with house.running():
        await house.at_rest()
        house.bridge.always("initialize", Dawdles(1))
        house.bridge.restart()
        house.loop.look(None)
        await anyio.sleep(3.5)
        assert 0 < len(house.there()) < 500
        client = await house.world.add_client("Blue")
        await house.world.add_key(client, "okx")
        house.loop.look(frozenset({client}))
        await anyio.sleep(2.1)
        assert house.slot("okx", "client_blue") in house.there()
        assert len(house.there()) < 500


async def test_trouble_halves_what_is_tried_at_once() -> None:
    house = House(rules=UNPACED)
    await many(house, 300)
    async with house.running():
        await house.at_rest()
        assert house.meter.limits[-1] == Rules().concurrency
        house.bridge.script("verify", *[Raises(Unavailable("503"))] * 3)
        await anyio.sleep(1000)
        assert house.meter.limits[-1] < Rules().concurrency


async def test_proofs_keep_to_half_an_exchanges_rate_and_hold_up_nothing_else() -> None:
    often = timedelta(seconds=20)
    house = House(rules=Rules(rates={"binance": 2}, verify_every=often))
    await many(house, 100)
    async with house.running():
        await house.at_rest(within=120)
        await anyio.sleep(100)
        before = house.bridge.count("verify")
        await anyio.sleep(200)
        assert 180 <= house.bridge.count("verify") - before <= 202

        client = await house.world.add_client("Blue")
        await house.world.add_key(client, "binance")
        house.loop.look(frozenset({client}))
        await anyio.sleep(0.1)
        assert house.slot(account="client_blue") in house.there()
        lost = [slot for slot in house.there() if slot.account in ("client_c1", "client_c2")]
        for slot in lost:
            del house.bridge.connectors[slot]
        assert await house.at_rest() < 40


# -- mass refusal ------------------------------------------------------------------------------


@asynccontextmanager
async def thirty_that_are_refused(**rules: Any) -> AsyncIterator[House]:
    """Yield a house in which thirty clients' keys were live, until their exchange refused all."""
    house = House(rules=Rules(**rules))
    await many(house, 30)
    async with house.running():
        await house.at_rest(within=60)
        house.bridge.refused |= set(house.there().values())
        yield house


async def test_when_an_exchange_refuses_all_at_once_nothing_parks_and_it_is_asked_rarely() -> None:
    house = House()
    await many(house, 30)
    client = await house.world.add_client("Blue")
    await house.world.add_key(client, "okx")
    async with house.running():
        await house.at_rest(within=60)
        house.bridge.refused |= set(house.there().values()) - {house.there()[blue_okx()]}
        await anyio.sleep(HOUR)
        assert house.meter.mass_refusals == [("binance", True)]
        phases = Counter(record.phase for record in house.tables.records.values())
        assert phases == {Phase.LIVE: 31}
        before = house.bridge.count("verify")
        await anyio.sleep(HOUR)
        assert house.bridge.count("verify") - before < 60

        house.bridge.refused.clear()
        await anyio.sleep(2 * HOUR)
        assert house.meter.mass_refusals == [("binance", True), ("binance", False)]
        records = house.tables.records.values()
        assert {record.verified for record in records} == {Verified.OK}


async def test_a_mass_refusal_ends_with_the_keys_that_were_refused() -> None:
    async with thirty_that_are_refused() as house:
        await anyio.sleep(HOUR)
        for key in list(house.world.keys):
            await house.world.delete_key(key)
        house.loop.look(None)
        await anyio.sleep(HOUR)
        assert house.meter.mass_refusals == [("binance", True), ("binance", False)]


async def test_a_mass_refusal_does_not_end_because_it_is_asked_rarely() -> None:
    async with thirty_that_are_refused(verify_every=timedelta(minutes=1)) as house:
        await anyio.sleep(2 * HOUR)
        assert house.meter.mass_refusals == [("binance", True)]
        assert {record.phase for record in house.tables.records.values()} == {Phase.LIVE}


async def test_a_mass_refusal_does_not_end_because_the_bridge_is_away() -> None:
    async with thirty_that_are_refused() as house:
        await anyio.sleep(HOUR)
        house.bridge.down = True
        await anyio.sleep(HOUR)
        house.bridge.down = False
        await anyio.sleep(HOUR)
        assert house.meter.mass_refusals == [("binance", True)]


def blue_okx() -> Slot:
    return Slot(BRIDGE, "client_blue", "okx")


async def test_what_had_parked_before_a_mass_refusal_was_noticed_is_asked_about_after_it() -> None:
    house = House()
    await many(house, 30)
    async with house.running():
        await house.at_rest(within=60)
        wrong = set(house.there().values())
        house.bridge.refused |= wrong
        await anyio.sleep(600)
        client = await house.world.add_client("Blue")
        await house.world.add_key(client, "binance")
        house.loop.look(frozenset({client}))
        await anyio.sleep(600)
        house.bridge.refused.clear()
        await anyio.sleep(HOUR)
        assert {record.phase for record in house.tables.records.values()} == {Phase.LIVE}


async def test_keys_that_are_refused_one_after_the_other_are_a_mass_refusal_too() -> None:
    house = House()
    async with house.running():
        for number in range(9):
            client = await house.world.add_client(f"c{number}")
            await house.world.add_key(client, "binance")
            house.loop.look(frozenset({client}))
            await anyio.sleep(100)
        house.bridge.refused |= set(house.there().values())
        await anyio.sleep(HOUR)
        assert house.meter.mass_refusals == [("binance", True)]

        house.bridge.refused.clear()
        await anyio.sleep(HOUR)
        assert {record.phase for record in house.tables.records.values()} == {Phase.LIVE}


async def test_after_a_restart_of_the_storys_bridge_a_mass_refusal_parks_nobody() -> None:
    house = story(UNPACED)
    await many(house, 20)
    async with house.running():
        await house.at_rest()
        await anyio.sleep(HOUR)
        house.bridge.refused |= set(house.there().values())
        house.bridge.restart()
        await anyio.sleep(600)
        assert house.meter.mass_refusals == [("binance", True)]

        house.bridge.refused.clear()
        await house.at_rest(within=2 * HOUR)


async def test_one_at_most_is_one_at_most() -> None:
    house = House(rules=replace(UNPACED, concurrency=1))
    client = await house.world.add_client("Acme")
    for exchange in ("binance", "okx", "kraken", "gate", "mexc"):
        await house.world.add_key(client, exchange)
    house.bridge.always("initialize", Dawdles(1))
    async with house.running():
        await house.at_rest()
    begun = [call.at for call in house.bridge.calls if call.action == "initialize"]
    assert all(later - first >= 1 for first, later in pairwise(begun))


async def test_one_clients_wrong_keys_are_no_mass_refusal() -> None:
    house = House()
    await many(house, 10)
    async with house.running():
        await house.at_rest()
        for number in range(5):
            client = await house.world.add_client(f"wrong{number}")
            await house.world.add_key(client, "binance", api_key=f"wrong{number}")
            house.bridge.refused.add(f"wrong{number}")
        house.loop.look(None)
        await anyio.sleep(HOUR)
        assert house.meter.mass_refusals == []
        phases = Counter(record.phase for record in house.tables.records.values())
        assert phases == {Phase.LIVE: 10, Phase.PARKED: 5}


async def test_a_new_key_is_first_written_down_with_the_intent_to_send_it() -> None:
    house = House()
    async with house.running():
        await anyio.sleep(5)
        house.tables.writes.clear()
        await acme(house)
        house.loop.look(frozenset(house.world.clients))
        await house.at_rest(within=1)

    assert house.tables.writes[:2] == ["intend", "settle"]


async def test_a_new_key_that_cannot_be_sent_now_is_written_down_all_the_same() -> None:
    house = House()
    await acme(house, "binance")
    asked = Throttled("slow down", retry_after=timedelta(minutes=10))
    house.bridge.script("initialize", Raises(asked))
    async with house.running():
        await anyio.sleep(5)
        blue = await house.world.add_client("Blue")
        await house.world.add_key(blue, "binance")
        house.loop.look(frozenset({blue}))
        await anyio.sleep(0.1)

        assert house.record(account="client_blue").phase is Phase.PENDING


async def test_a_new_key_whose_intent_could_not_be_written_is_planned_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    intend = house.store.ledger.intend
    failed: list[Lease] = []

    async def fail_once(lease: Lease, records: Sequence[Record]) -> Collection[Slot]:
        if not failed:
            failed.append(lease)
            raise StoreError("a connection was lost")
        return await intend(lease, records)

    monkeypatch.setattr(house.store.ledger, "intend", fail_once)
    async with house.running():
        await anyio.sleep(5)
        await acme(house)
        house.loop.look(frozenset(house.world.clients))
        await house.at_rest(within=5)
    assert failed


async def test_a_hinted_key_is_sent_as_the_look_at_it_found_it_and_not_read_once_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()

    async def refuse(_: object) -> NoReturn:
        raise StoreError("the reader is away")

    monkeypatch.setattr(house.store.keys, "read", refuse)
    async with house.running():
        await anyio.sleep(5)
        await acme(house)
        house.loop.look(frozenset(house.world.clients))
        await house.at_rest(within=1)


async def test_one_slots_surprise_stops_no_other() -> None:
    house = House()
    await acme(house, "binance", "kraken", "okx")
    house.bridge.always("initialize", Raises(KeyError("api_key")), house.slot("kraken"))
    with capture_logs() as logs:
        async with house.running():
            await anyio.sleep(60)
    assert {s.connector for s in house.there()} == {"binance", "okx"}
    assert house.record("kraken").reason is Reason.UNCLEAR
    assert "attempt_crashed" in {entry["event"] for entry in logs}


async def test_every_line_of_an_attempt_names_it_as_the_history_does() -> None:
    house = House()
    await acme(house, "binance", "okx")
    house.bridge.script("initialize", Raises(KeyError("a")), slot=house.slot("okx"))
    with capture_logs(processors=[merge_contextvars]) as logs:
        async with house.running():
            await house.at_rest()
    tried = {a.id: a.slot.connector for a in house.tables.attempts}
    assert sorted(tried.values()) == ["binance", "okx", "okx"]
    assert set(tried) == {"1-1", "1-2", "1-3"}
    events = ("attempt_crashed", "initialize_failed", "initialize_done")
    said = [(e["attempt"], e["slot"], e["event"]) for e in logs if e["event"] in events]
    assert [tried[name] for name, _, _ in said] == [slot.split("/")[-1] for _, slot, _ in said]
    assert sorted(event for _, _, event in said) == sorted((*events, "initialize_done"))


async def test_a_mistake_of_ours_in_a_pass_does_not_end_the_watch() -> None:
    house = House()
    await acme(house, "binance", "okx")
    house.bridge.script("observe", *[Raises(KeyError("boot_id"))] * 3)
    with capture_logs() as logs:
        async with house.running():
            await anyio.sleep(60)
    assert {s.connector for s in house.there()} == {"binance", "okx"}
    assert [entry["event"] for entry in logs].count("term_crashed") == 3


# -- keys change while they are being initialized ----------------------------------------------


async def held_call(house: House) -> tuple[Waits, Slot]:
    await acme(house)
    held = Waits(anyio.Event(), anyio.Event())
    house.bridge.script("initialize", held)
    return held, house.slot()


async def test_a_key_that_changes_meanwhile_is_initialized_again() -> None:
    house = House()
    held, slot = await held_call(house)
    async with house.running():
        await held.begun.wait()
        await house.world.rotate_key(await key_of(house), "binance-2")
        house.loop.look(None)
        await anyio.sleep(20)
        held.until.set()
        assert await house.at_rest() < 2

    assert house.there() == {slot: "binance-2"}


async def test_a_key_that_is_deleted_meanwhile_leaves_nothing_behind() -> None:
    house = House()
    held, _ = await held_call(house)
    async with house.running():
        await held.begun.wait()
        await house.world.delete_key(await key_of(house))
        house.loop.look(None)
        await anyio.sleep(20)
        held.until.set()
        assert await house.at_rest() < 40

    assert house.there() == {}
    assert house.tables.records == {}


async def test_a_key_that_goes_meanwhile_is_removed_though_listings_are_slow() -> None:
    house = House()
    held, _ = await held_call(house)
    house.bridge.always("observe", Dawdles(5.3))
    async with house.running():
        await held.begun.wait()
        key = await key_of(house)
        await house.world.rotate_key(key)
        await house.world.set_key_active(key, active=False)
        held.until.set()
        await anyio.sleep(60)

    assert house.there() == {}
    assert house.tables.records == {}
    assert house.bridge.count("observe") < 10


async def test_a_request_that_lands_after_we_gave_up_is_put_right() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        key = await key_of(house)
        await house.world.rotate_key(key, "binance-2")
        await house.at_rest()
        house.bridge.install(house.slot(), "binance-1")
        await anyio.sleep(40)
        await house.at_rest()

    assert house.there() == {house.slot(): "binance-2"}


# -- leases ------------------------------------------------------------------------------------


async def test_who_loses_the_lease_sends_and_writes_nothing_more() -> None:
    house = House()
    held, _ = await held_call(house)
    async with house.running():
        await held.begun.wait()
        await house.store.expire(house.bridge.name)
        assert await house.store.rival.acquire(house.bridge.name)
        house.tables.writes.clear()
        calls = len(house.bridge.calls)
        held.until.set()
        await acme(house, "kraken")
        house.loop.look(None)
        await anyio.sleep(10)

        assert house.tables.writes == []
        assert {call.action for call in house.bridge.calls[calls:]} <= {"observe", "verify"}
        assert house.meter.held[-1] is False


async def test_a_worker_that_is_told_of_the_loss_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told while it holds the streams of outcomes open."""
    house = House()
    await acme(house)
    intend = house.store.ledger.intend
    told: list[Lease] = []

    async def lose_once(lease: Lease, records: Sequence[Record]) -> Collection[Slot]:
        if not told:
            told.append(lease)
            raise LeaseLost("another replica holds it")
        return await intend(lease, records)

    monkeypatch.setattr(house.store.ledger, "intend", lose_once)
    with capture_logs() as logs:
        async with house.running():
            await anyio.sleep(60)
    lost = [entry["reason"] for entry in logs if entry["event"] == "lease_lost"]
    assert lost == ["another replica holds it"]
    assert "term_crashed" not in {entry["event"] for entry in logs}
    assert {s.connector for s in house.there()} == {"binance"}


async def test_nothing_is_sent_once_the_lease_has_ended() -> None:
    house = House()
    ports = house.ports(house.store.leases)
    lease = Lease(house.bridge.name, "one", 1)
    desk = Desk(ports, lease, Breaker(Rules().probe, 5), Lookout(), lease_ends=5)
    job = Job(Action.VERIFY, record(), record())
    attempter = Attempter(desk)
    await anyio.sleep(4.9)
    assert (await attempter.attempt(job)).attempt

    await anyio.sleep(0.1)
    with pytest.raises(LeaseLost):
        await attempter.attempt(job)
    assert len(house.bridge.calls) == 1


async def test_a_lease_outlives_a_store_that_is_away_for_less_than_its_term() -> None:
    house = House()
    async with house.running():
        await anyio.sleep(9)
        house.tables.away = True
        await anyio.sleep(9)
        house.tables.away = False
        await anyio.sleep(60)

    assert house.tables.leases[house.bridge.name].epoch == 1


async def test_who_cannot_renew_stops_before_the_lease_ends() -> None:
    house = House()
    await many(house, 3)
    async with house.running():
        await house.at_rest()
        house.tables.away = True
        await anyio.sleep(15)
        calls = len(house.bridge.calls)
        await anyio.sleep(HOUR)
        assert len(house.bridge.calls) == calls

        house.tables.away = False
        await many(house, 3, "d")
        await house.at_rest()


def with_clock(house: House, ahead: timedelta = timedelta(0)) -> tuple[Loop, FakeClock]:
    """Return a loop on a machine with a clock of its own."""
    clock = FakeClock()
    clock.ahead = ahead
    return Loop(BRIDGE, replace(house.ports(house.store.leases), clock=clock)), clock


async def test_a_clock_that_is_set_back_delays_no_retry() -> None:
    house = House()
    await acme(house)
    house.bridge.always("initialize", Raises(Unclear("500")))
    loop, clock = with_clock(house)
    async with house.running(loop):
        await anyio.sleep(10)
        house.bridge.heal()
        clock.ahead = timedelta(days=-1)
        await house.at_rest(within=10)


async def test_an_outcome_that_is_written_after_the_clock_was_set_back_is_due_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = House()
    await acme(house)
    house.bridge.always("initialize", Raises(Unclear("500")))
    loop, clock = with_clock(house)
    ledger = house.store.ledger

    async def settle(*_: object) -> NoReturn:
        raise StoreError("outcomes are not taken now")

    async with house.running(loop):
        await anyio.sleep(3)
        with monkeypatch.context() as patch:
            patch.setattr(ledger, "settle", settle)
            await anyio.sleep(6)
            house.bridge.heal()
            clock.ahead = timedelta(days=-1)
            await anyio.sleep(8)
        await house.at_rest(within=10)


async def test_a_clock_that_is_ahead_for_a_moment_delays_nothing_that_was_dated_then() -> None:
    house = House()
    await acme(house)
    house.bridge.always("initialize", Raises(Unclear("500")))
    loop, clock = with_clock(house)
    async with house.running(loop):
        await anyio.sleep(6.5)
        tried, clock.ahead = house.bridge.count("initialize"), timedelta(days=1)
        await anyio.sleep(1.5)
        assert house.bridge.count("initialize") == tried + 1
        clock.ahead = timedelta(0)
        house.bridge.heal()
        await house.at_rest(within=10)


async def test_what_a_holder_dated_whose_clock_was_ahead_does_not_wait_for_that_time() -> None:
    house = House()
    await acme(house)
    house.bridge.always("initialize", Raises(Unclear("500")))
    loop, _ = with_clock(house, timedelta(days=1))
    async with house.running(loop):
        await anyio.sleep(10)
    house.bridge.heal()
    house.stop = anyio.Event()
    async with house.running():
        await house.at_rest(within=10)


async def test_another_replica_takes_over_when_the_holder_dies() -> None:
    house = House()
    held, slot = await held_call(house)
    successor = house.replica(house.store.rival)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.loop.run, anyio.Event())
        await held.begun.wait()
        tasks.cancel_scope.cancel()
    await house.store.rival.acquire(house.bridge.name)
    house.tables.leases[house.bridge.name].ends = house.clock.now() + timedelta(seconds=15)
    assert house.record().phase is Phase.INITIALIZING

    async with house.running(successor):
        seconds = await house.at_rest()

    assert 15 <= seconds <= 17
    assert house.bridge.count("initialize", slot=slot) == 2


async def test_a_dead_holders_intent_for_a_key_that_changed_waits_until_it_is_over() -> None:
    house = House()
    await held_call(house)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.loop.run, anyio.Event())
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    await house.world.rotate_key(await key_of(house), "binance-2")

    async with house.running(house.replica(house.store.rival)):
        await anyio.sleep(70)
        assert house.bridge.count("initialize") == 1
        await house.at_rest()
    assert house.there() == {house.slot(): "binance-2"}


async def test_a_dead_holders_intent_for_a_key_that_is_gone_leaves_nothing_behind() -> None:
    house = House()
    await held_call(house)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.loop.run, anyio.Event())
        await anyio.sleep(1)
        tasks.cancel_scope.cancel()
    await house.world.delete_key(await key_of(house))

    async with house.running(house.replica(house.store.rival)):
        await anyio.sleep(100)
        assert house.tables.records == {}


async def test_of_two_replicas_one_works() -> None:
    house = House()
    await many(house, 20)
    async with house.running(), house.running(house.replica(house.store.rival)):
        await house.at_rest()
        await anyio.sleep(HOUR)

    assert house.bridge.changes() == 20
    assert house.tables.leases[house.bridge.name].epoch == 1


async def test_a_bridge_that_is_given_back_is_taken_at_once_by_who_is_told() -> None:
    house, stop = House(), anyio.Event()
    successor = house.replica(house.store.rival)
    house.tables.on_free = lambda _: successor.ask()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(house.loop.run, stop)
        await anyio.sleep(1)
        async with house.running(successor):
            await anyio.sleep(20)
            assert holders(house) == {house.bridge.name: "one"}
            stop.set()
            await anyio.sleep(0.5)
            assert holders(house) == {house.bridge.name: "two"}


async def test_the_first_replica_gives_one_of_two_bridges_to_the_second_and_keeps_the_other() -> (
    None
):
    house = House()
    names = [BridgeName("a"), BridgeName("b")]
    loops = [Loop(name, house.ports(house.store.leases)) for name in names]
    others = [Loop(name, house.ports(house.store.rival)) for name in names]
    stop = anyio.Event()
    async with anyio.create_task_group() as tasks:
        for loop in loops:
            tasks.start_soon(loop.run, stop)
        await anyio.sleep(20)
        assert holders(house) == {"a": "one", "b": "one"}
        for loop in others:
            tasks.start_soon(loop.run, stop)
        await anyio.sleep(20)
        assert set(holders(house).values()) == {"one", "two"}
        epochs = {name: row.epoch for name, row in house.tables.leases.items()}
        await anyio.sleep(HOUR)
        assert {name: row.epoch for name, row in house.tables.leases.items()} == epochs
        stop.set()
    assert house.tables.waiting == {}


def holders(house: House) -> dict[str, str]:
    now = house.clock.now()
    return {name: row.holder for name, row in house.tables.leases.items() if row.ends > now}


# -- the store fails, the loop stops -----------------------------------------------------------


async def test_a_store_that_is_away_for_a_moment_costs_nothing() -> None:
    house = House()
    await many(house, 10)
    async with house.running():
        house.tables.away = True
        await anyio.sleep(6)
        house.tables.away = False
        await house.at_rest()
        house.tables.away = True
        await anyio.sleep(6)
        house.tables.away = False
        await many(house, 3, "d")
        await house.at_rest(within=40)

    assert house.bridge.changes() == 13
    assert house.tables.leases[house.bridge.name].epoch == 1


async def test_outcomes_wait_for_the_store() -> None:
    house = House()
    held, _ = await held_call(house)
    async with house.running():
        await held.begun.wait()
        house.tables.away = True
        held.until.set()
        await anyio.sleep(5)
        house.tables.away = False
        await house.at_rest(within=3)

    assert house.bridge.changes() == 1


async def test_nothing_is_begun_whose_outcome_cannot_be_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database that may only be read lets removals and verifications be found, and no more."""
    house = House()
    await many(house, 300)
    settle = house.store.ledger.settle
    only_read = [False]

    async def refuse(lease: Lease, ended: Sequence[tuple[Record, Attempt | None]]) -> None:
        if only_read[0]:
            raise StoreError("cannot execute UPDATE in a read-only transaction")
        await settle(lease, ended)

    monkeypatch.setattr(house.store.ledger, "settle", refuse)
    async with house.running():
        await house.at_rest()
        only_read[0] = True
        before = len(house.bridge.calls)
        await anyio.sleep(HOUR)
        assert house.bridge.count("verify") - 300 <= 2 * Rules().concurrency
        assert len(house.bridge.calls) > before
        only_read[0] = False
        await anyio.sleep(HOUR)
        assert house.bridge.count("verify") >= 4 * 300


async def test_writes_whose_answer_was_lost_do_no_harm() -> None:
    house = House()
    await many(house, 5)
    house.tables.loses_answers = 20
    async with house.running():
        await house.at_rest(within=200)
        house.tables.loses_answers = 3
        house.bridge.restart()
        await anyio.sleep(40)
        await house.at_rest(within=200)

    assert house.strays == []


async def test_a_stop_ends_what_is_under_way_and_gives_the_bridge_back() -> None:
    house = House()
    held, slot = await held_call(house)
    async with house.running():
        await held.begun.wait()
        await acme(house, "kraken")
        house.stop.set()
        await anyio.sleep(10)
        held.until.set()

    assert house.record().phase is Phase.LIVE
    assert list(house.there()) == [slot]
    assert await house.store.rival.acquire(house.bridge.name)


async def test_a_stop_does_not_wait_for_ever() -> None:
    house = House()
    held, _ = await held_call(house)
    async with house.running():
        await held.begun.wait()
        began = anyio.current_time()
        house.stop.set()

    assert anyio.current_time() - began == Rules().grace.total_seconds()
    assert house.record().phase is Phase.INITIALIZING


async def test_what_was_lost_between_two_listings_of_one_boot_is_looked_for_twice() -> None:
    house = House()
    await acme(house)
    async with house.running():
        await house.at_rest()
        del house.bridge.connectors[house.slot()]
        before = house.bridge.count("observe")
        await house.at_rest()
        assert house.bridge.count("observe") - before == 2


async def test_no_secret_is_in_a_log_line_or_a_record() -> None:
    house = House()
    await acme(house, "binance", "kraken")
    house.bridge.script("initialize", Raises(RuntimeError("boom")))
    with capture_logs() as logs:
        async with house.running():
            await house.at_rest()

    written = repr((logs, house.tables.records, house.tables.attempts))
    assert "binance-1" not in written
    assert "secret of" not in written
    assert fingerprint_of("binance-1") in written
