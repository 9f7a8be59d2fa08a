"""The history is kept for a set time, and no longer."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import rounds
from daemon.settings import OURS, BridgeSettings, Settings
from daemon.store import history
from daemon.store.answers import Answer, Answers, Claim
from daemon.store.audit import NOBODY, Audit
from daemon.store.engine import transaction
from daemon.store.people import People
from daemon.store.tokens import Tokens
from daemon.vault import Keyring, new_key
from daemon.wiring import Parts
from reconciler.model import Attempt, KeyId, Phase, Reason, Record, Secret, Slot
from reconciler.routes import MAIN
from tests.daemon.house import House
from tests.fakes import BRIDGE, START, HandClock

pytestmark = pytest.mark.anyio
SLOT = Slot(BRIDGE, "client_acme", "binance")
ATTEMPT = Attempt(
    SLOT, KeyId(uuid4()), "binance", "initialize", Reason.NEW, "done", "", START, 0.1, "1-1"
)


@pytest.fixture
async def house(engine: AsyncEngine) -> House:
    return House(engine)


async def remembered(house: House) -> tuple[list[Any], list[Any]]:
    """Return when what is still told of happened: attempts, and transitions."""
    attempts = [each.at for each in await house.store.attempts()]
    return attempts, [each.at for each in await house.store.transitions()]


async def happened(house: House, count: int) -> Record:
    """Let an attempt and a transition end in each of *count* seconds, those of START in the middle.

    Return what was written last.
    """
    lease = await house.store.leases.acquire(BRIDGE)
    assert lease is not None
    client = await house.world.add_client("Acme")
    record = Record(
        SLOT, ATTEMPT.key_id, client, "binance", "", Phase.PARKED, Reason.REFUSED, due_at=START
    )
    for number in range(count):
        at = START + timedelta(seconds=number - count // 2)
        record = replace(record, reason=(Reason.REFUSED, Reason.UNSUPPORTED)[number % 2])
        await house.store.ledger.settle(lease, [(record, replace(ATTEMPT, at=at))])
        async with transaction(house.engine) as connection:
            last = "(SELECT max(id) FROM bridgetender.transitions)"
            query = text(f"UPDATE bridgetender.transitions SET at = :at WHERE id = {last}")
            await connection.execute(query, {"at": at})
    return record


async def test_only_what_is_older_is_forgotten_in_batches_and_what_stands_is_no_history(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH", 2)
    record = await happened(house, 10)

    assert await history.forget(house.engine, START) == 10

    kept = [START + timedelta(seconds=number) for number in range(5)]
    assert await remembered(house) == (kept, kept)
    assert await history.forget(house.engine, START) == 0
    assert await house.store.record(SLOT) == record


async def test_no_batch_is_longer_than_others_may_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "BATCH", 2)
    await happened(house, 10)
    counts: list[int] = []

    def note(_c: Any, cursor: Any, statement: str, *_rest: Any) -> None:
        if "DELETE" in statement:
            counts.append(cursor.rowcount)

    event.listen(house.engine.sync_engine, "after_cursor_execute", note)
    await history.forget(house.engine, START)

    assert counts == [2, 2, 1] * 2


async def test_only_who_holds_the_main_bridge_forgets_and_as_long_ago_as_was_set(
    house: House, database_url: str
) -> None:
    await happened(house, 3)
    clock = HandClock()
    clock.at = START + timedelta(days=7)
    url, keyring = Secret(database_url), Keyring([new_key()])
    settings = Settings(url, keyring=keyring, history_days=7, bridges=(BridgeSettings(MAIN, OURS),))
    parts = replace(Parts.of(settings), engine=house.engine, clock=clock)
    before = await remembered(house)

    await rounds.forget(parts)
    assert await remembered(house) == before

    parts.vitals.bridges[MAIN].held = True
    await rounds.forget(parts)
    assert [len(each) for each in await remembered(house)] == [2, 2]


async def test_the_audit_and_answers_are_forgotten_in_their_own_time(
    house: House, database_url: str
) -> None:
    keyring, answers = Keyring([new_key()]), Answers(house.engine)
    settings = Settings(Secret(database_url), keyring=keyring, audit_days=3)
    clock = HandClock()
    parts = replace(Parts.of(settings), engine=house.engine, clock=clock)
    parts.vitals.bridges[MAIN].held = True
    await People(house.engine).add_client("Acme")
    token = (await Tokens(house.engine).create("ada", "admin", "digest", NOBODY)).id
    async with transaction(house.engine) as connection:
        for days in (2, 4):
            query = text(
                "INSERT INTO bridgetender.audit (at, actor, role, action, detail)"
                " VALUES (now() - make_interval(days => :days), 'ada', 'admin', 'aged', '{}')"
            )
            await connection.execute(query, {"days": days})
        clock.at = (await connection.execute(text("SELECT now()"))).scalar_one()
    await answers.begin(token, "new", "digest")
    await answers.begin(token, "old", "digest")
    async with transaction(house.engine) as connection:
        query = text(
            "UPDATE bridgetender.answers SET at = at - interval '25 hours' WHERE key = 'old'"
        )
        await connection.execute(query)

    await rounds.forget(parts)

    deeds = [deed.action for deed in await Audit(house.engine).newest(10)]
    assert deeds.count("aged") == 1
    assert {"client_added", "token_created"} <= {*deeds}
    assert isinstance(await answers.begin(token, "new", "another"), Answer)
    assert isinstance(await answers.begin(token, "old", "another"), Claim)
