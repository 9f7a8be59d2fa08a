"""The gauges of the database say what the database says, whatever is in it."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.metrics import Metrics
from daemon.store.census import count_keys, take_census
from daemon.vitals import Vitals
from daemon.watch import Watch
from reconciler.model import ClientId, KeyId, Lease, Phase, Reason, Record, Slot, Urgency
from tests.daemon.house import House
from tests.fakes import BRIDGE, START, HandClock

pytestmark = pytest.mark.anyio
PHASES = [phase for phase in Phase if phase is not Phase.REMOVED]
EXCHANGES = ("binance", "okx")


@dataclass(frozen=True)
class Drawn:
    """A client, a key of it on each exchange or none, and what is written down of their slots."""

    status: str
    keys: tuple[bool | None, ...]
    """Of each exchange: whether its key is active; None for no key."""
    records: tuple[tuple[Phase, Reason, int, int] | None, ...]
    """Of each exchange: phase, reason, minutes until due and since it was first unready."""


minutes = st.integers(-60, 60)
records = st.tuples(
    st.sampled_from(PHASES), st.sampled_from(list(Reason)), minutes, st.integers(0, 60)
)
drawn = st.builds(
    Drawn,
    st.sampled_from(["ACTIVE", "PAUSED", "SUSPENDED"]),
    st.tuples(*(st.sampled_from([True, False, None]) for _ in EXCHANGES)),
    st.tuples(*(st.none() | records for _ in EXCHANGES)),
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(clients=st.lists(drawn, max_size=4), undated=st.booleans())
async def test_gauges_are_what_the_database_says(
    engine: AsyncEngine, *, clients: list[Drawn], undated: bool
) -> None:
    house = House(engine)
    await house.do(
        "TRUNCATE clients, exchange_api_keys, bridgetender.connectors, bridgetender.accounts",
        "TRUNCATE bridgetender.leases",
        "ALTER TABLE exchange_api_keys ALTER updated_at DROP NOT NULL",
    )
    lease = await house.store.leases.acquire(BRIDGE)
    assert lease is not None
    for number, client in enumerate(clients):
        await store(house, lease, f"client {number}", client)
    if undated:
        await house.do(
            "ALTER TABLE exchange_api_keys DISABLE TRIGGER bridgetender_fill",
            "UPDATE exchange_api_keys SET updated_at = NULL",
        )

    census = await take_census(engine, BRIDGE, START)
    metrics = Metrics()
    watch = Watch(metrics, Vitals(), HandClock())
    watch.counted(BRIDGE, census)
    watch.counted_keys(await count_keys(engine))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"bridgetender_{name}", labels)

    standing = expected(clients)
    assert census.by_phase_and_reason == standing
    for phase in Phase:
        found = sum(n for (p, _), n in standing.items() if p is phase)
        assert value("connectors", bridge=BRIDGE, phase=phase) == found
    for reason in Reason:
        found = sum(n for (p, r), n in standing.items() if r is reason and p is not Phase.LIVE)
        assert value("connectors_reason", bridge=BRIDGE, reason=reason) == found
    gone = sum(n for (p, _), n in standing.items() if p in (Phase.REMOVING, Phase.UNREMOVABLE))
    assert value("orphans", bridge=BRIDGE) == gone
    keys = Counter(active for client in clients for active in client.keys)
    assert value("keys", active="true") == keys[True]
    assert value("keys", active="false") == keys[False]
    assert value("null_updated_at_rows") == (keys[True] + keys[False] if undated else 0)
    written = [record for client in clients for record in client.records if record]
    late = [-due for _, _, due, _ in written if due <= 0]
    assert value("queue_due", bridge=BRIDGE) == len(late)
    assert value("queue_oldest_due_seconds", bridge=BRIDGE) == 60 * max(late, default=0)
    settled = (Phase.LIVE, Phase.PARKED, Phase.CONFLICT, Phase.UNREMOVABLE)
    for reason in Reason:
        unready = [s for phase, r, _, s in written if r is reason and phase not in settled]
        oldest = 60 * max(unready, default=0)
        assert value("oldest_unready_seconds", bridge=BRIDGE, reason=reason) == oldest


def expected(clients: list[Drawn]) -> Counter[tuple[Phase, Reason]]:
    """Count what has a key in business, and what is still to go."""
    standing = Counter[tuple[Phase, Reason]]()
    for client in clients:
        for active, record in zip(client.keys, client.records, strict=True):
            wanted = active and client.status != "SUSPENDED"
            leaving = record is not None and record[0] in (Phase.REMOVING, Phase.UNREMOVABLE)
            if wanted or leaving:
                standing[record[:2] if record else (Phase.PENDING, Reason.NEW)] += 1
    return standing


async def store(house: House, lease: Lease, name: str, client: Drawn) -> None:
    owner = await house.world.add_client(name, client.status)
    account = f"client_{name.replace(' ', '_')}"
    await house.do(f"INSERT INTO bridgetender.accounts VALUES ('main', '{account}', '{owner}')")
    for exchange, active, record in zip(EXCHANGES, client.keys, client.records, strict=True):
        key = KeyId(owner)
        if active is not None:
            key = await house.world.add_key(owner, exchange, active=active)
        if record is not None:
            slot = Slot(BRIDGE, account, exchange)
            await house.store.ledger.plan(lease, [written_down(slot, owner, key, record)])


def written_down(
    slot: Slot, client: ClientId, key: KeyId, drawn: tuple[Phase, Reason, int, int]
) -> Record:
    phase, reason, due, since = drawn
    return Record(
        slot=slot,
        key_id=key,
        client_id=client,
        exchange=slot.connector,
        digest="",
        phase=phase,
        reason=reason,
        urgency=Urgency.SOON,
        due_at=START + timedelta(minutes=due),
        due_set_at=START,
        first_unready_at=START - timedelta(minutes=since),
    )


async def test_a_slot_that_two_want_counts_once_and_the_others_as_conflicts(
    engine: AsyncEngine,
) -> None:
    house = House(engine)
    first, second = await house.world.add_client("Acme"), await house.world.add_client("acme")
    for client in (first, first, second):
        await house.world.add_key(client, "binance")
    await house.store.ledger.survey(BRIDGE, None, None)  # which claims the account
    census = await take_census(engine, BRIDGE, START)
    assert census.by_phase_and_reason == {
        ("pending", "new"): 1,
        ("conflict", "slot_taken"): 1,
        ("conflict", "account_taken"): 1,
    }


async def test_another_bridge_is_not_counted(engine: AsyncEngine) -> None:
    house = House(engine)
    client = await house.world.add_client("Acme")
    key = await house.world.add_key(client, "binance")
    async with house.running():
        house.loop.look(None)
        await house.until_live(key)
    await house.do("UPDATE bridgetender.connectors SET bridge = 'other', phase = 'removing'")
    census = await take_census(engine, BRIDGE, START)
    assert Phase.REMOVING not in {phase for phase, _ in census.by_phase_and_reason}
    assert (census.due, census.oldest_unready) == (0, {})


async def test_what_is_paused_is_neither_due_nor_late_and_its_pauses_are_counted(
    engine: AsyncEngine,
) -> None:
    house = House(engine)
    lease = await house.store.leases.acquire(BRIDGE)
    assert lease is not None
    await store(house, lease, "acme", Drawn("ACTIVE", (True, None), (LATE, None)))
    await house.world.pause("bridge", BRIDGE)
    await house.world.pause("bridge", "other")
    await house.world.pause("key", "of somebody")

    census = await take_census(engine, BRIDGE, START)

    assert (census.due, census.oldest_due, census.oldest_unready) == (0, 0, {})
    metrics = Metrics()
    Watch(metrics, Vitals(), HandClock()).counted(BRIDGE, census)
    assert metrics.registry.get_sample_value("bridgetender_paused", {"bridge": BRIDGE}) == 2


LATE = (Phase.RETRYING, Reason.UNCLEAR, -5, 7)
