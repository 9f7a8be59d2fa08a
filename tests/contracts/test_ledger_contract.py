"""The store's ports, whatever is behind them."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from anyio import create_task_group
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon.store.pauses import Scope
from reconciler.decide import decide
from reconciler.history import transition
from reconciler.model import (
    Absence,
    Attempt,
    BridgeName,
    Case,
    Connector,
    Instant,
    KeyId,
    Lease,
    Observation,
    Phase,
    Reason,
    Record,
    Rights,
    Slot,
    StoredKey,
    Transition,
    Urgency,
    Verified,
)
from reconciler.rules import CLOCK_SKEW, LONGEST_REQUEST
from reconciler.slots import Candidate, account_name, claim, connector_name, elect
from reconciler.verdicts import LeaseLost
from tests.contracts.stores import Store

pytestmark = pytest.mark.anyio

BRIDGE = BridgeName("main")
NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


def slot(account: str, connector: str = "binance") -> Slot:
    return Slot(BRIDGE, account, connector)


async def leased(store: Store) -> Lease:
    lease = await store.leases.acquire(BRIDGE)
    assert lease is not None
    return lease


async def cases(
    store: Store, observation: Observation | None = None, *clients: object
) -> dict[Slot, Case]:
    narrowed = frozenset(clients) if clients else None
    survey = await store.ledger.survey(BRIDGE, observation, narrowed)  # type: ignore[arg-type]
    assert len({case.slot for case in survey.cases}) == len(survey.cases)
    return {case.slot: case for case in survey.cases}


async def desired(store: Store) -> dict[Slot, StoredKey]:
    """Return what a survey of everything wants; nothing is recorded, so nothing may be left out."""
    return {s: case.want for s, case in (await cases(store)).items() if case.want}


async def wanted(store: Store, where: Slot) -> StoredKey:
    return (await desired(store))[where]


def record_of(key: StoredKey, phase: Phase = Phase.LIVE, **values: object) -> Record:
    reason = values.pop("reason", Reason.APPLIED)
    record = Record(
        slot=key.slot,
        key_id=key.id,
        client_id=key.client_id,
        exchange=key.exchange,
        digest=key.digest,
        phase=phase,
        reason=reason,  # type: ignore[arg-type]
        due_at=NOW,
        due_set_at=NOW,
    )
    return replace(record, **values)  # type: ignore[arg-type]


def attempt_of(record: Record) -> Attempt:
    return Attempt(
        record.slot, record.key_id, "binance", "verify", Reason.NEW, "done", "", NOW, 0.25, "7-1"
    )


async def acme(store: Store, **values: object) -> tuple[KeyId, StoredKey]:
    client = await store.world.add_client("Acme")
    key = await store.world.add_key(client, "binance", **values)  # type: ignore[arg-type]
    return key, await wanted(store, slot("client_acme"))


# -- leases ------------------------------------------------------------------------------------


async def test_a_bridge_that_is_held_is_not_given_to_anybody_else(store: Store) -> None:
    await leased(store)

    assert await store.rival.acquire(BRIDGE) is None
    assert await store.leases.acquire(BRIDGE) is None


async def test_each_bridge_is_held_by_itself(store: Store) -> None:
    await leased(store)

    other = await store.rival.acquire(BridgeName("other"))

    assert other is not None
    assert other.bridge == "other"


async def test_every_holder_has_an_epoch_of_its_own(store: Store) -> None:
    first = await leased(store)
    await store.leases.release(first)

    second = await store.rival.acquire(BRIDGE)

    assert second is not None
    assert second.epoch > first.epoch
    assert second.holder != first.holder


async def test_a_lease_whose_term_is_over_can_be_taken(store: Store) -> None:
    first = await leased(store)
    await store.expire(BRIDGE)

    assert await store.rival.acquire(BRIDGE) is not None
    with pytest.raises(LeaseLost):
        await store.leases.renew(first)


async def test_a_renewed_lease_is_held_on_to(store: Store) -> None:
    lease = await leased(store)
    await store.expire(BRIDGE)

    await store.leases.renew(lease)

    assert await store.rival.acquire(BRIDGE) is None


async def test_giving_back_what_another_has_taken_changes_nothing(store: Store) -> None:
    first = await leased(store)
    await store.expire(BRIDGE)
    second = await store.rival.acquire(BRIDGE)
    assert second is not None

    await store.leases.release(first)

    await store.rival.renew(second)
    assert await store.leases.acquire(BRIDGE) is None


async def test_of_many_who_ask_at_once_one_gets_the_bridge(store: Store) -> None:
    got: list[Lease | None] = []

    async def ask() -> None:
        got.append(await store.leases.acquire(BRIDGE))

    async with create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(ask)

    assert sum(lease is not None for lease in got) == 1


async def test_who_waits_is_seen_by_all_until_they_leave_or_get_it(store: Store) -> None:
    other = BridgeName("other")
    lease = await leased(store)
    await store.rival.wait(BRIDGE)
    sharing = await store.rival.wait(other)

    assert (sharing.me, sharing.held_by("one")) == ("two", [BRIDGE])
    assert (await store.leases.renew(lease)).waiting == {(BRIDGE, "two"), (other, "two")}

    await store.rival.leave(BRIDGE)
    await store.rival.acquire(other)
    sharing = await store.leases.renew(lease)
    assert (sharing.me, sharing.waiting) == ("one", frozenset())
    assert (sharing.held_by("one"), sharing.held_by("two")) == ([BRIDGE], [other])


async def test_a_bridge_that_was_given_back_is_free_since_then(store: Store) -> None:
    lease = await leased(store)
    assert (await store.rival.wait(BRIDGE)).left(BRIDGE) > timedelta(minutes=0)

    await store.leases.release(lease)

    sharing = await store.rival.wait(BRIDGE)
    assert sharing.is_free(BRIDGE)
    assert sharing.left(BRIDGE) > -timedelta(minutes=1)


# -- epochs ------------------------------------------------------------------------------------

Write = Callable[[Store, Lease, Record], Awaitable[object]]
WRITES: dict[str, Write] = {
    "plan": lambda s, lease, r: s.ledger.plan(lease, [replace(r, failures=9)]),
    "drop": lambda s, lease, r: s.ledger.plan(lease, [replace(r, phase=Phase.REMOVED)]),
    "intend": lambda s, lease, r: s.ledger.intend(lease, [replace(r, sent="other")]),
    "settle": lambda s, lease, r: s.ledger.settle(lease, [(replace(r, failures=9), attempt_of(r))]),
    "reclaim": lambda s, lease, _: s.ledger.reclaim(lease, NOW),
    "redate": lambda s, lease, _: s.ledger.redate(lease, NOW - timedelta(hours=1)),
    "waive": lambda s, lease, _: s.ledger.waive(lease, NOW),
    "hush": lambda s, lease, _: s.ledger.hush(lease, {"okx": NOW + timedelta(days=1)}, NOW),
    "report": lambda s, lease, _: s.ledger.report(lease, up=False, reason="no", now=NOW),
}


@pytest.mark.parametrize("write", WRITES)
async def test_who_lost_the_bridge_writes_nothing(store: Store, write: str) -> None:
    _, key = await acme(store)
    lease = await leased(store)
    later = NOW + timedelta(minutes=1)
    waiting = record_of(
        key,
        Phase.INITIALIZING if write == "reclaim" else Phase.RETRYING,
        reason=Reason.BRIDGE_UNAVAILABLE,
        due_at=later,
        intent_epoch=lease.epoch - 1,
        intent_at=NOW,
    )
    await store.ledger.plan(lease, [waiting])
    await store.expire(BRIDGE)
    assert await store.rival.acquire(BRIDGE) is not None

    with pytest.raises(LeaseLost):
        await WRITES[write](store, lease, waiting)

    assert await store.record(key.slot) == waiting
    assert list(await store.attempts()) == []


# -- what is desired ---------------------------------------------------------------------------


async def test_a_new_key_is_desired_and_unrecorded(store: Store) -> None:
    key, want = await acme(store)

    case = (await cases(store))[want.slot]

    assert (want.id, want.exchange, want.held, want.wished) == (key, "binance", False, False)
    assert case.record is None
    assert case.seen is None


@pytest.mark.parametrize(
    ("exchange", "testnet", "connector"),
    [
        ("binance", False, "binance"),
        (" GateIO ", False, "gate"),
        ("huobi", True, "htx_testnet"),
        ("OKEx", False, "okx"),
    ],
)
async def test_connectors_have_canonical_names(
    store: Store, exchange: str, *, testnet: bool, connector: str
) -> None:
    client = await store.world.add_client("Acme Trading Ltd")
    await store.world.add_key(client, exchange, testnet=testnet)

    assert list(await desired(store)) == [slot("client_acme_trading_ltd", connector)]


async def test_an_account_can_be_named_otherwise(store: Store) -> None:
    client = await store.world.add_client("Acme", account="house")
    await store.world.add_key(client, "binance")

    assert list(await desired(store)) == [slot("house")]


async def test_a_paused_clients_key_is_held_and_a_suspended_ones_is_not_wanted(
    store: Store,
) -> None:
    key, want = await acme(store)

    await store.world.set_client_status(want.client_id, "PAUSED")
    assert (await wanted(store, want.slot)).held

    await store.world.set_client_status(want.client_id, "SUSPENDED")
    assert await desired(store) == {}
    assert await store.keys.read([(want.slot, want.client_id)]) == {}

    await store.world.set_client_status(want.client_id, "ACTIVE")
    assert (await wanted(store, want.slot)).id == key


async def test_the_newest_active_key_holds_the_slot(store: Store) -> None:
    old, want = await acme(store)
    new = await store.world.add_key(want.client_id, "binance")
    assert (await wanted(store, want.slot)).id == new

    await store.world.set_key_active(new, active=False)
    assert (await wanted(store, want.slot)).id == old

    await store.world.delete_key(old)
    assert await desired(store) == {}


async def test_the_first_client_keeps_an_account_that_another_would_meet(store: Store) -> None:
    _, want = await acme(store)
    other = await store.world.add_client("ACME")
    await store.world.add_key(other, "kraken")

    assert list(await desired(store)) == [want.slot]
    assert await store.keys.read([(slot("client_acme", "kraken"), other)]) == {}


async def test_an_account_goes_to_the_next_once_nothing_of_the_first_is_left(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])
    other = await store.world.add_client("ACME")
    await store.world.add_key(other, "kraken")
    await store.world.delete_client(want.client_id)
    await cases(store)
    assert await store.keys.read([(slot("client_acme", "kraken"), other)]) == {}

    await store.ledger.plan(lease, [record_of(want, Phase.REMOVED)])

    assert list(await desired(store)) == [slot("client_acme", "kraken")]


async def test_a_digest_tells_changes_from_touches(store: Store) -> None:
    key, want = await acme(store)
    digests = [want.digest]

    await store.world.touch_key(key)
    assert (await wanted(store, want.slot)).digest == want.digest

    await store.world.reencrypt_key(key)
    digests.append((await wanted(store, want.slot)).digest)
    await store.world.rotate_key(key)
    digests.append((await wanted(store, want.slot)).digest)
    assert len(set(digests)) == 3


async def test_keys_are_read_as_they_are_now_with_ciphertexts_that_do_not_print(
    store: Store,
) -> None:
    key, want = await acme(store)
    before = (await store.keys.read([(want.slot, want.client_id)]))[want.slot]

    await store.world.rotate_key(key)
    after = (await store.keys.read([(want.slot, want.client_id)]))[want.slot]

    assert before.key == want
    assert after.key == await wanted(store, want.slot)
    assert after.api_key != before.api_key
    assert after.api_key not in repr(after)
    assert after.api_secret not in repr(after)


async def test_only_asked_slots_are_read(store: Store) -> None:
    _, want = await acme(store)
    await store.world.add_key(want.client_id, "kraken")
    await desired(store)

    nowhere = slot("client_acme", "okx")
    read = await store.keys.read([(want.slot, want.client_id), (nowhere, want.client_id)])

    assert set(read) == {want.slot}


@dataclass(frozen=True)
class Plan:
    """One key of a world to be: whose, where, how old."""

    client: int
    exchange: str
    testnet: bool
    active: bool
    age: int


NAMES = ("Acme", "acme", "Blue Sky", "blue_sky", "Cedar")
STATUSES = st.sampled_from(["ACTIVE", "ACTIVE", "PAUSED", "SUSPENDED"])
PLANS = st.lists(
    st.builds(
        Plan,
        st.integers(0, 4),
        st.sampled_from(["binance", "gate", "gateio", "GATE_IO"]),
        st.booleans(),
        st.booleans(),
        st.integers(0, 2),
    ),
    max_size=8,
)


@given(statuses=st.lists(STATUSES, min_size=5, max_size=5), plans=PLANS)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_what_is_desired_is_what_the_election_says(
    store: Store, statuses: list[str], plans: list[Plan]
) -> None:
    clients = [await store.world.add_client(n, s) for n, s in zip(NAMES, statuses, strict=True)]
    candidates = []
    for plan in plans:
        created_at = NOW - timedelta(hours=plan.age)
        key = await store.world.add_key(
            clients[plan.client],
            plan.exchange,
            active=plan.active,
            testnet=plan.testnet,
            created_at=created_at,
        )
        candidates.append(
            Candidate(
                id=key,
                client_id=clients[plan.client],
                account=account_name(NAMES[plan.client]),
                connector=connector_name(plan.exchange, testnet=plan.testnet),
                created_at=created_at,
                client_created_at=NOW + timedelta(seconds=plan.client),
                active=plan.active,
                suspended=statuses[plan.client] == "SUSPENDED",
            )
        )

    found = await desired(store)

    elected = elect(candidates, claim(candidates, {})).holders
    assert {(s.account, s.connector): key.id for s, key in found.items()} == elected
    asked = [(s, key.client_id) for s, key in found.items()]
    assert {s: each.key for s, each in (await store.keys.read(asked)).items()} == found
    for client in clients:
        await store.world.delete_client(client)
    assert await desired(store) == {}


# -- survey ------------------------------------------------------------------------------------

PHASES = [phase for phase in Phase if phase is not Phase.REMOVED]


REASONS = {Phase.PARKED: (Reason.PAUSED, Reason.REFUSED)}
LABELS = {"ours": "ours", "another's": "another's", "unlabelled": None}


@pytest.mark.parametrize("status", ["ACTIVE", "PAUSED", "SUSPENDED"])
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("change", ["none", "rotated", "disabled", "wished", "newer"])
async def test_a_survey_leaves_out_no_slot_that_needs_a_step(
    store: Store, *, status: str, change: str, paused: bool
) -> None:
    key, want = await acme(store)
    lease = await leased(store)
    if paused:
        await store.world.pause("client", want.client_id)
    match change:
        case "rotated":
            await store.world.rotate_key(key)
        case "disabled":
            await store.world.set_key_active(key, active=False)
        case "wished":
            await store.world.wish(key)
        case "newer":
            await store.world.add_key(want.client_id, "binance")
        case _:
            pass
    await store.world.set_client_status(want.client_id, status)
    read = await store.keys.read([(want.slot, want.client_id)])
    current = read[want.slot].key if want.slot in read else None

    for record in recorded(want):
        await store.ledger.plan(lease, [record])
        for listed in ("nothing asked", "nothing there", *LABELS):
            connector = Connector(want.slot, LABELS[listed]) if listed in LABELS else None
            asked = listed != "nothing asked"
            observation = Observation([connector] if connector else []) if asked else None
            sight = connector or (Absence.BELIEVED if asked else Absence.UNKNOWN)
            if decide(current, record, sight, NOW, held=paused) is not None:
                expected = Case(want.slot, current, record, connector, held=paused)
                for clients in ((), (want.client_id,)):
                    found = (await cases(store, observation, *clients))[want.slot]
                    assert replace(found, sealed=None) == expected


def recorded(want: StoredKey) -> Iterator[Record]:
    for phase in PHASES:
        for reason in REASONS.get(phase, (Reason.NEW,)):
            for adopted in (False, True):
                yield record_of(
                    want, phase, reason=reason, fingerprint="ours", sent="ours", adopted=adopted
                )


async def test_a_survey_of_few_clients_brings_their_keys_as_they_are(store: Store) -> None:
    client = await store.world.add_client("Acme")
    key = await store.world.add_key(client, "binance", api_key="hunter2")
    where = slot("client_acme")

    for _ in range(2):
        case = (await cases(store, None, client))[where]
        assert case.sealed is not None
        assert case.sealed == (await store.keys.read([(where, client)]))[where]
        assert case.sealed.key == case.want
        assert "hunter2" not in repr(case)
        await store.world.rotate_key(key, "hunter2 as well")

    assert (await cases(store))[where].sealed is None
    await store.world.set_key_active(key, active=False)
    assert await cases(store, None, client) == {}


async def test_a_survey_of_some_clients_speaks_of_no_others(store: Store) -> None:
    _, want = await acme(store)
    other = await store.world.add_client("Blue Sky")
    await store.world.add_key(other, "kraken")
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want, Phase.PENDING)])

    found = await cases(store, None, other)

    assert list(found) == [slot("client_blue_sky", "kraken")]


async def test_connectors_that_are_none_of_ours_are_counted_and_no_cases(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])
    stranger = slot("master_account", "kraken")
    listing = Observation([Connector(want.slot), Connector(stranger)])

    survey = await store.ledger.survey(BRIDGE, listing, None)

    assert survey.unmanaged == 1
    assert stranger not in {case.slot for case in survey.cases}
    assert (await store.ledger.survey(BRIDGE, None, None)).unmanaged is None


async def test_another_bridges_records_are_left_alone(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])
    elsewhere = BridgeName("other")

    survey = await store.ledger.survey(elsewhere, Observation([]), None)

    assert [(case.slot.bridge, case.record) for case in survey.cases] == [(elsewhere, None)]
    assert list(await store.ledger.due(elsewhere, NOW, 10, {})) == []


# -- plan --------------------------------------------------------------------------------------


async def test_a_record_comes_back_as_it_was_written(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    moments = iter(NOW + timedelta(seconds=s, microseconds=s) for s in range(1, 10))
    record = Record(
        slot=want.slot,
        key_id=want.id,
        client_id=want.client_id,
        exchange="binance",
        digest="other than the row's",
        phase=Phase.RETRYING,
        reason=Reason.UNCLEAR,
        cause=Reason.LOST,
        message='it\'s "unclear" \\ 100 % — {}',
        urgency=Urgency.BULK,
        failures=3,
        due_at=next(moments),
        due_set_at=next(moments),
        fingerprint="f1",
        sent="f2",
        adopted=True,
        intent_epoch=7,
        intent_at=next(moments),
        first_unready_at=next(moments),
        last_attempt_at=next(moments),
        live_since=next(moments),
        verified=Verified.FAILED,
        verified_at=next(moments),
        rights=Rights(read=True, withdraw=False, expires_at=next(moments)),
    )

    await store.ledger.plan(lease, [record])

    assert await store.record(want.slot) == record
    assert (await cases(store))[want.slot].record == record


async def test_a_removed_record_is_dropped(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])

    await store.ledger.plan(lease, [record_of(want, Phase.REMOVED)])

    assert await store.record(want.slot) is None


async def test_a_removed_record_is_dropped_by_its_outcome_too(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want, Phase.REMOVING)])

    await store.ledger.settle(
        lease, [(record_of(want, Phase.REMOVED), attempt_of(record_of(want)))]
    )

    assert await store.record(want.slot) is None
    assert len(await store.attempts()) == 1


async def test_a_wish_lasts_until_it_is_planned(store: Store) -> None:
    key, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])
    await store.world.wish(key)
    await store.world.wish(key)

    assert (await cases(store))[want.slot].want == replace(want, wished=True)

    granted = record_of(want, Phase.PENDING, reason=Reason.REINITIALIZE)
    await store.ledger.plan(lease, [granted])

    assert (await cases(store))[want.slot].want == want


async def test_another_keys_plan_grants_no_wish(store: Store) -> None:
    key, want = await acme(store)
    other = await store.world.add_key(want.client_id, "kraken")
    lease = await leased(store)
    await store.world.wish(key)

    elsewhere = await wanted(store, slot("client_acme", "kraken"))
    assert elsewhere.id == other
    planned = record_of(elsewhere, Phase.PENDING, reason=Reason.REINITIALIZE)
    await store.ledger.plan(lease, [planned])

    assert (await wanted(store, want.slot)).wished


# -- due ---------------------------------------------------------------------------------------


async def waiting(store: Store, count: int) -> list[StoredKey]:
    client = await store.world.add_client("Acme")
    names = ["binance", "gate", "kraken", "okx", "bybit"][:count]
    for name in names:
        await store.world.add_key(client, name)
    found = await desired(store)
    return [found[slot("client_acme", name)] for name in names]


async def test_what_is_due_comes_most_urgent_and_then_longest_due_first(store: Store) -> None:
    lease = await leased(store)
    keys = await waiting(store, 4)
    ages = [(Urgency.BULK, 9), (Urgency.NOW, 1), (Urgency.SOON, 5), (Urgency.NOW, 2)]
    records = [
        record_of(key, urgency=urgency, due_at=NOW - timedelta(seconds=age))
        for key, (urgency, age) in zip(keys, ages, strict=True)
    ]
    await store.ledger.plan(lease, records)

    due = await store.ledger.due(BRIDGE, NOW, 10, {})
    assert list(due) == [records[3], records[1], records[2], records[0]]
    few = [record.urgency for record in await store.ledger.due(BRIDGE, NOW, 1, {})]
    assert few == [Urgency.NOW, Urgency.SOON, Urgency.BULK]


async def test_exchanges_take_turns_and_of_a_lane_no_more_is_due_than_was_asked_for(
    store: Store,
) -> None:
    lease = await leased(store)
    for number in range(3):
        client = await store.world.add_client(f"c{number}")
        for exchange in ("binance", "kraken"):
            await store.world.add_key(client, exchange)
    keys = sorted((await desired(store)).values(), key=lambda key: (key.exchange, key.slot))
    ages = range(len(keys), 0, -1)
    records = [
        record_of(key, due_at=NOW - timedelta(seconds=age))
        for key, age in zip(keys, ages, strict=True)
    ]
    await store.ledger.plan(lease, records)
    binance, kraken = records[:3], records[3:]

    due = await store.ledger.due(BRIDGE, NOW, 4, {})
    assert list(due) == [binance[0], kraken[0], binance[1], kraken[1]]
    few = {("binance", Urgency.NOW): 1, ("kraken", Urgency.BULK): 0}
    assert list(await store.ledger.due(BRIDGE, NOW, 4, few)) == [binance[0], *kraken]
    none = {("binance", Urgency.NOW): 0}
    assert list(await store.ledger.due(BRIDGE, NOW, 4, none)) == kraken


async def test_a_recheck_makes_due_what_an_exchange_refused_since_then(store: Store) -> None:
    lease = await leased(store)
    keys = await waiting(store, 4)
    later, before = NOW + timedelta(hours=6), NOW - timedelta(minutes=5)
    parked = [
        record_of(
            key,
            phase=Phase.PARKED,
            reason=reason,
            due_at=later,
            last_attempt_at=NOW - timedelta(minutes=age),
        )
        for key, reason, age in zip(
            keys,
            [Reason.REFUSED, Reason.UNSUPPORTED, Reason.REFUSED, Reason.REFUSED],
            [1, 1, 1, 9],
            strict=True,
        )
    ]
    await store.ledger.plan(lease, parked)
    for exchange in {key.exchange for key in keys}:
        await store.ledger.recheck(lease, exchange, before, NOW)

    due = await store.ledger.due(BRIDGE, NOW, 10, {})
    assert {record.slot for record in due} == {parked[0].slot, parked[2].slot}


async def test_what_is_not_due_or_has_no_time_is_not_returned(store: Store) -> None:
    lease = await leased(store)
    keys = await waiting(store, 4)
    later = NOW + timedelta(seconds=1)
    dues = [NOW, later, None, NOW]
    records = [record_of(key, due_at=at) for key, at in zip(keys, dues, strict=True)]
    await store.ledger.plan(lease, records)

    assert set(await store.ledger.due(BRIDGE, NOW, 10, {})) == {records[0], records[3]}
    assert len(await store.ledger.due(BRIDGE, later, 10, {})) == 3


async def test_the_next_due_time_is_the_first_later_one(store: Store) -> None:
    lease = await leased(store)
    keys = await waiting(store, 4)
    seconds = [0, 5, 3, 9]
    times = [NOW + timedelta(seconds=s) for s in seconds]
    await store.ledger.plan(
        lease, [record_of(key, due_at=at) for key, at in zip(keys, times, strict=True)]
    )

    assert await store.ledger.next_due(BRIDGE, NOW) == times[2]
    assert await store.ledger.next_due(BRIDGE, times[2]) == times[1]
    assert await store.ledger.next_due(BRIDGE, times[3]) is None


# -- pauses ------------------------------------------------------------------------------------


def reaching(want: StoredKey) -> list[tuple[Scope, object]]:
    return [
        *(("all", ""), ("bridge", BRIDGE)),
        *(("client", want.client_id), ("key", want.id)),
    ]


def others() -> list[tuple[Scope, object]]:
    stranger = UUID(int=77)
    return [("bridge", "other"), ("client", stranger), ("key", stranger)]


async def test_a_pause_holds_the_key_and_lets_nothing_of_it_be_due_until_it_ends(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    later = NOW + timedelta(seconds=1)
    await store.ledger.plan(lease, [record_of(want, Phase.RETRYING, due_at=later)])
    record = await store.record(want.slot)

    for pause in reaching(want):
        await store.world.pause(*pause)
        assert (await cases(store))[want.slot] == Case(
            want.slot, replace(want, held=True), record, None, held=True
        )
        read = await store.keys.read([(want.slot, want.client_id)])
        assert read[want.slot].key.held
        assert list(await store.ledger.due(BRIDGE, later, 10, {})) == []
        assert await store.ledger.next_due(BRIDGE, NOW) is None

        await store.world.resume(*pause)
        assert (await cases(store))[want.slot] == Case(want.slot, want, record, None)
        assert list(await store.ledger.due(BRIDGE, later, 10, {})) == [record]
        assert await store.ledger.next_due(BRIDGE, NOW) == later


async def test_a_pause_of_something_else_holds_nothing(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want, Phase.RETRYING)])
    for pause in others():
        await store.world.pause(*pause)

    case = (await cases(store))[want.slot]
    assert case.want == want
    assert not case.held
    assert len(await store.ledger.due(BRIDGE, NOW, 10, {})) == 1


async def test_a_pause_reaches_what_a_key_and_a_client_that_are_gone_have_left(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.ledger.plan(lease, [record_of(want)])
    await store.world.delete_client(want.client_id)

    assert not (await cases(store))[want.slot].held
    for pause in reaching(want):
        await store.world.pause(*pause)
        assert (await cases(store))[want.slot].held
        await store.world.resume(*pause)


# -- intend and settle -------------------------------------------------------------------------


async def test_an_intent_is_written(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    intent = record_of(want, Phase.INITIALIZING, sent="f1", intent_epoch=lease.epoch, intent_at=NOW)

    assert not await store.ledger.intend(lease, [intent])
    assert await store.record(want.slot) == intent


async def test_credentials_of_another_clients_slot_are_taken(store: Store) -> None:
    _, want = await acme(store)
    other = await store.world.add_client("Blue Sky")
    await store.world.add_key(other, "binance")
    theirs = await wanted(store, slot("client_blue_sky"))
    lease = await leased(store)
    await store.ledger.intend(lease, [record_of(want, Phase.INITIALIZING, sent="f1")])

    taken = await store.ledger.intend(lease, [record_of(theirs, Phase.INITIALIZING, sent="f1")])

    assert set(taken) == {theirs.slot}
    assert await store.record(theirs.slot) is None


async def test_within_one_batch_the_first_client_has_the_credentials(store: Store) -> None:
    _, want = await acme(store)
    other = await store.world.add_client("Blue Sky")
    await store.world.add_key(other, "binance")
    theirs = await wanted(store, slot("client_blue_sky"))
    lease = await leased(store)

    taken = await store.ledger.intend(
        lease, [record_of(key, Phase.INITIALIZING, sent="f1") for key in (want, theirs)]
    )

    assert taken == {theirs.slot: Reason.CREDENTIALS_TAKEN}
    assert await store.record(want.slot) is not None
    assert await store.record(theirs.slot) is None


async def test_within_one_batch_who_may_not_have_the_credentials_takes_them_from_nobody(
    store: Store,
) -> None:
    _, want = await acme(store)
    other = await store.world.add_client("Blue Sky")
    await store.world.add_key(other, "binance")
    await store.world.add_key(other, "kraken")
    theirs = await wanted(store, slot("client_blue_sky"))
    more = await wanted(store, slot("client_blue_sky", "kraken"))
    lease = await leased(store)
    await store.ledger.intend(lease, [record_of(theirs, Phase.INITIALIZING, sent="f1")])

    taken = await store.ledger.intend(
        lease, [record_of(key, Phase.INITIALIZING, sent="f1") for key in (want, more)]
    )

    assert set(taken) == {want.slot}
    assert await store.record(more.slot) is not None


async def test_nothing_is_sent_to_an_account_that_is_not_the_clients_any_more(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.world.rename_client(want.client_id, "Blue Sky")
    await store.ledger.survey(BRIDGE, None, None)

    taken = await store.ledger.intend(lease, [record_of(want, Phase.INITIALIZING, sent="f1")])

    assert taken == {want.slot: Reason.ACCOUNT_TAKEN}
    assert await store.record(want.slot) is None


async def test_a_client_may_use_the_same_credentials_twice_and_send_them_again(
    store: Store,
) -> None:
    lease = await leased(store)
    records = [record_of(key, Phase.INITIALIZING, sent="f1") for key in await waiting(store, 2)]

    assert not await store.ledger.intend(lease, records)
    assert not await store.ledger.intend(lease, records)


async def test_outcomes_and_history_are_written(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    record = record_of(want)

    await store.ledger.settle(lease, [(record, attempt_of(record))])
    await store.ledger.settle(lease, [(record, None)])

    assert await store.record(want.slot) == record
    assert list(await store.attempts()) == [attempt_of(record)]


async def test_live_counts_only_for_the_row_that_was_sent(store: Store) -> None:
    key, want = await acme(store)
    lease = await leased(store)
    await store.world.rotate_key(key)

    await store.ledger.settle(lease, [(record_of(want), None)])

    record = await store.record(want.slot)
    assert record is not None
    assert (record.phase, record.reason) == (Phase.PENDING, Reason.CHANGED)
    assert record.due_at == NOW
    assert list(await store.ledger.due(BRIDGE, NOW, 1, {})) == [record]


async def test_a_failure_of_a_row_that_changed_is_written_as_it_is(store: Store) -> None:
    key, want = await acme(store)
    lease = await leased(store)
    await store.world.rotate_key(key)
    record = record_of(want, Phase.PARKED, reason=Reason.REFUSED)

    await store.ledger.settle(lease, [(record, None)])

    assert await store.record(want.slot) == record


# -- the history of a slot ---------------------------------------------------------------------

Told = tuple[str, str]
NEW_LIVE = ("", "live/applied")


async def told(store: Store) -> list[Told]:
    """Return from where to where each transition goes, the oldest first."""
    return [
        ("/".join(each.was) if each.was else "", f"{each.phase}/{each.reason}")
        for each in await store.transitions()
    ]


async def tried(store: Store, lease: Lease, before: Record, after: Record) -> None:
    """Write an attempt's intent, and its outcome."""
    await store.ledger.intend(
        lease, [replace(before, phase=Phase.INITIALIZING, sent="f1", intent_epoch=lease.epoch)]
    )
    await store.ledger.settle(lease, [(replace(after, sent="f1", last_attempt_at=NOW), None)])


async def test_a_new_key_comes_from_nothing_with_its_cause_though_no_plan_was_written(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    new = record_of(want, Phase.PENDING, reason=Reason.NEW)

    await tried(store, lease, new, record_of(want, message="not proven"))

    assert await told(store) == [NEW_LIVE]
    (only,) = await store.transitions()
    assert (only.slot, only.key_id, only.client_id) == (want.slot, want.id, want.client_id)
    assert (only.cause, only.message) == (Reason.NEW, "not proven")


async def test_a_planned_key_is_told_once_by_its_plan_and_once_by_its_outcome(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    new = record_of(want, Phase.PENDING, reason=Reason.NEW)
    refused = record_of(want, Phase.PARKED, reason=Reason.REFUSED)

    await store.ledger.plan(lease, [new])
    await tried(store, lease, new, refused)

    assert await told(store) == [("", "pending/new"), ("pending/new", "parked/refused")]


async def test_what_does_not_move_is_not_told(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    retrying = record_of(want, Phase.RETRYING, reason=Reason.UNCLEAR, last_attempt_at=NOW)

    await store.ledger.plan(lease, [retrying])
    await tried(store, lease, retrying, replace(retrying, failures=2, message="other words"))
    await store.ledger.plan(lease, [replace(retrying, due_at=None)])
    await store.ledger.waive(lease, NOW)
    await store.ledger.reclaim(lease, NOW)

    assert await told(store) == [("", "retrying/unclear")]


async def test_a_changed_key_that_is_live_again_at_once_is_told_with_its_cause(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    live = record_of(want)
    changed = replace(live, phase=Phase.PENDING, reason=Reason.CHANGED, cause=Reason.CHANGED)

    await store.ledger.settle(lease, [(live, None)])
    await tried(store, lease, changed, replace(live, cause=Reason.CHANGED))

    assert await told(store) == [NEW_LIVE, ("live/applied", "live/applied")]
    assert (await store.transitions())[-1].cause is Reason.CHANGED


async def test_another_key_in_a_slot_is_told_though_the_slot_stands_as_before(
    store: Store,
) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    other = replace(want, id=KeyId(UUID(int=77)))

    await store.ledger.settle(lease, [(record_of(want), None)])
    await store.ledger.settle(lease, [(record_of(other), None)])

    assert [each.key_id for each in await store.transitions()] == [want.id, other.id]


async def test_a_loss_and_the_end_of_a_record_are_told(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    live = record_of(want)
    lost = replace(live, phase=Phase.PENDING, reason=Reason.LOST, cause=Reason.LOST)
    removing = replace(live, phase=Phase.REMOVING, reason=Reason.ORPHAN)
    removed = replace(removing, phase=Phase.REMOVED)

    await store.ledger.settle(lease, [(live, None)])
    await store.ledger.plan(lease, [lost])
    await tried(store, lease, lost, live)
    await store.ledger.plan(lease, [removing])
    await store.ledger.settle(lease, [(removed, None)])
    await store.ledger.settle(lease, [(removed, None)])  # nothing is there any more

    assert await told(store) == [
        NEW_LIVE,
        ("live/applied", "pending/lost"),
        ("pending/lost", "live/applied"),
        ("live/applied", "removing/orphan"),
        ("removing/orphan", "removed/orphan"),
    ]


async def test_a_slot_that_was_empty_in_between_begins_anew(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    new = record_of(want, Phase.PENDING, reason=Reason.NEW)

    await tried(store, lease, new, record_of(want))
    await store.ledger.plan(lease, [record_of(want, Phase.REMOVED, reason=Reason.ORPHAN)])
    await tried(store, lease, new, record_of(want))

    assert (await told(store))[-1] == NEW_LIVE


async def test_a_recalled_key_was_live_and_is_pending(store: Store) -> None:
    key, want = await acme(store)
    lease = await leased(store)
    await store.world.rotate_key(key)

    await store.ledger.settle(lease, [(record_of(want), None)])

    assert await told(store) == [NEW_LIVE, ("live/applied", "pending/changed")]
    assert (await store.transitions())[-1].cause is Reason.CHANGED


async def test_an_attempt_on_what_nothing_was_told_of_is_told_if_it_moves_it(
    store: Store,
) -> None:
    """So it is right after an upgrade, and where the history was forgotten."""
    _, want = await acme(store)
    lease = await leased(store)
    parked = record_of(want, Phase.PARKED, reason=Reason.UNSUPPORTED, last_attempt_at=NOW)

    await tried(store, lease, parked, parked)
    await tried(store, lease, parked, record_of(want))

    assert await told(store) == [("initializing/unsupported", "live/applied")]


async def test_without_the_lease_nothing_is_told(store: Store) -> None:
    _, want = await acme(store)
    lease = await leased(store)
    await store.leases.release(lease)
    await store.rival.acquire(BRIDGE)

    with pytest.raises(LeaseLost):
        await store.ledger.plan(lease, [record_of(want)])

    assert await told(store) == []


_MOVES = st.lists(
    st.tuples(
        st.sampled_from(["plan", "intend", "settle"]),
        st.sampled_from(Phase),
        st.sampled_from([Reason.NEW, Reason.LOST, Reason.UNCLEAR]),
        st.sampled_from([None, NOW]),
        st.integers(1, 2),
    ),
    max_size=12,
)


@given(moves=_MOVES)
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_whatever_is_written_is_told_as_the_pure_function_says(
    store: Store, moves: list[tuple[str, Phase, Reason, Instant | None, int]]
) -> None:
    lease = await leased(store)
    name = str(uuid4())
    await store.world.add_key(await store.world.add_client(name), "binance")
    want = await wanted(store, slot(f"client_{name}"))
    before: Record | None = None
    expected: list[Transition] = []
    for what, phase, reason, tried_at, key in moves:
        after = record_of(want, phase, reason=reason, last_attempt_at=tried_at, sent=str(uuid4()))
        after = replace(
            after, key_id=KeyId(UUID(int=10**9 + key))
        )  # no row is its, so none changed
        if what == "intend":
            after = replace(after, phase=Phase.INITIALIZING)
            await store.ledger.intend(lease, [after])
        elif what == "plan":
            await store.ledger.plan(lease, [after])
        else:
            await store.ledger.settle(lease, [(after, None)])
        last = expected[-1] if expected else None
        if move := transition(before, last, after, NOW):
            expected.append(move)
        before = None if after.phase is Phase.REMOVED else after
    await store.leases.release(lease)

    mine = [each for each in await store.transitions() if each.slot == want.slot]
    assert [replace(each, at=NOW) for each in mine] == expected


# -- reclaim and waive -------------------------------------------------------------------------


async def test_intents_of_an_earlier_epoch_are_due_now_unless_the_key_changed(
    store: Store,
) -> None:
    lease = await leased(store)
    same, other, own = await waiting(store, 3)
    later = NOW + timedelta(minutes=1)
    await store.ledger.intend(
        lease,
        [
            record_of(key, Phase.INITIALIZING, due_at=later, intent_epoch=lease.epoch, sent=name)
            for key, name in ((same, "f1"), (other, "f2"))
        ],
    )
    await store.world.rotate_key(other.id)
    await store.leases.release(lease)
    successor = await store.rival.acquire(BRIDGE)
    assert successor is not None
    mine = record_of(own, Phase.INITIALIZING, due_at=later, intent_epoch=successor.epoch, sent="f3")
    await store.ledger.intend(successor, [mine])

    await store.ledger.reclaim(successor, NOW)

    due = await store.ledger.due(BRIDGE, NOW, 10, {})
    assert [record.slot for record in due] == [same.slot]
    assert due[0].due_set_at == NOW


async def test_what_a_clock_dated_that_was_ahead_is_due_now(store: Store) -> None:
    """By how much replicas' clocks may differ is no reason."""
    lease = await leased(store)
    keys = await waiting(store, 4)
    back = NOW - timedelta(hours=1)
    dates = [(Phase.RETRYING, NOW), (Phase.RETRYING, back), (Phase.INITIALIZING, NOW)]
    dates.append((Phase.RETRYING, back + CLOCK_SKEW))
    records = [
        record_of(key, phase, due_at=at + timedelta(minutes=1), due_set_at=at, last_attempt_at=at)
        for key, (phase, at) in zip(keys, dates, strict=True)
    ]
    await store.ledger.plan(lease, records)

    await store.ledger.redate(lease, back)

    ahead, _, under_way, _ = records
    assert await store.ledger.due(BRIDGE, back, 10, {}) == [_dated(ahead, back, back)]
    over = _dated(under_way, back, back + LONGEST_REQUEST)
    assert await store.record(under_way.slot) == over
    assert [await store.record(r.slot) for r in records[1::2]] == records[1::2]


def _dated(record: Record, at: Instant, due_at: Instant) -> Record:
    return replace(record, due_at=due_at, due_set_at=at, last_attempt_at=at)


async def test_a_quiet_is_known_to_the_next_holder_until_it_is_over(store: Store) -> None:
    lease = await leased(store)
    first, later = NOW + timedelta(minutes=1), NOW + timedelta(minutes=5)
    await store.ledger.hush(lease, {"okx": first, "kraken": first}, NOW)
    await store.ledger.hush(lease, {"okx": later}, NOW)

    assert await store.ledger.quiets(BRIDGE, NOW) == {"okx": later, "kraken": first}
    assert await store.ledger.quiets(BRIDGE, first) == {"okx": later}
    assert await store.ledger.quiets(BridgeName("other"), NOW) == {}


async def test_a_quiet_that_a_clock_wrote_which_was_ahead_is_none(store: Store) -> None:
    lease = await leased(store)
    await store.ledger.hush(lease, {"okx": NOW + timedelta(minutes=1)}, NOW)

    assert await store.ledger.quiets(BRIDGE, NOW - CLOCK_SKEW) != {}
    assert await store.ledger.quiets(BRIDGE, NOW - timedelta(hours=1)) == {}


async def test_only_what_waited_for_the_bridge_is_waived(store: Store) -> None:
    lease = await leased(store)
    keys = await waiting(store, 4)
    later = NOW + timedelta(minutes=1)
    reasons = [
        Reason.BRIDGE_UNAVAILABLE,
        Reason.UNCLEAR,
        Reason.THROTTLED,
        Reason.EXCHANGE_AWAY,
    ]
    await store.ledger.plan(
        lease,
        [
            record_of(key, Phase.RETRYING, reason=reason, due_at=later)
            for key, reason in zip(keys, reasons, strict=True)
        ],
    )

    await store.ledger.waive(lease, NOW)

    assert [r.slot for r in await store.ledger.due(BRIDGE, NOW, 10, {})] == [keys[0].slot]
