import json
import re
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.store.audit import NOBODY
from daemon.store.engine import transaction
from daemon.store.leases import PostgresLeases
from daemon.store.ledger import PostgresLedger
from daemon.store.people import People
from daemon.store.routes import forget_bridge, write_routes
from reconciler.model import Attempt, BridgeName, ClientId, KeyId, Phase, Reason
from reconciler.routes import Routes
from tests.daemon.cli.conftest import Cli, Daemon

pytestmark = pytest.mark.anyio
LIVE = "the bridge has these credentials"
LOST = "the bridge has lost the connector"


@dataclass
class Past:
    """Writes what a daemon would have written some minutes ago."""

    daemon: Daemon
    engine: AsyncEngine
    digests: dict[KeyId, str] = field(default_factory=dict)

    async def write(
        self,
        key: KeyId,
        phase: Phase,
        reason: Reason,
        *,
        ago: float,
        verdict: str = "",
        action: str = "initialize",
        **more: Any,
    ) -> None:
        """With a *verdict* it is what an attempt of 0.2 s came to."""
        at = self.daemon.now - timedelta(minutes=ago)
        known = {"digest": self.digests[key]} if key in self.digests else {}
        record = await self.daemon.write(key, phase, reason, **(known | more))
        self.digests[key] = record.digest
        async with transaction(self.engine) as connection:
            query = text("UPDATE bridgetender.transitions SET at = :at WHERE at >= :now")
            await connection.execute(query, {"at": at, "now": self.daemon.now})
        if verdict:
            attempt = Attempt(
                *(record.slot, key, record.exchange, action, record.cause),
                *(verdict, record.message, at - timedelta(seconds=0.2), 0.2, "1-1"),
            )
            assert self.daemon.lease
            ledger = PostgresLedger(self.engine)
            await ledger.settle(self.daemon.lease, [(record, attempt)])


@pytest.fixture
async def past(daemon: Daemon, engine: AsyncEngine) -> Past:
    await daemon.hold()
    return Past(daemon, engine)


@pytest.fixture
async def story(key: KeyId, past: Past) -> KeyId:
    """A key that was live; lost, unclear, and live again five minutes ago, proven two ago."""
    await past.write(key, Phase.LIVE, Reason.APPLIED, ago=90, verdict="done")
    lost: dict[str, Any] = {"cause": Reason.LOST}
    await past.write(key, Phase.PENDING, Reason.LOST, ago=60, **lost)
    unclear = lost | {"verdict": "unclear", "message": "no clear answer came"}
    await past.write(key, Phase.RETRYING, Reason.UNCLEAR, ago=59, **unclear)
    since = past.daemon.now - timedelta(minutes=5)
    proof = past.daemon.now - timedelta(minutes=2)
    more = lost | {"verdict": "done", "live_since": since, "verified_at": proof}
    await past.write(key, Phase.LIVE, Reason.APPLIED, ago=5, **more)
    return key


async def said(cli: Cli, *words: str) -> list[str]:
    """Return the lines of it, their times and headings left out."""
    result = await cli("history", *words)
    assert result.exit_code == Code.OK, result.output
    plain = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +", "", line) for line in _lines(result)]
    return [re.sub(r" {2,}", "  ", line) for line in plain if not line.startswith("WHEN")]


def _lines(result: Any) -> list[str]:
    lines: list[str] = result.stdout.splitlines()
    return lines


async def document(cli: Cli, *words: str) -> Any:
    result = await cli("history", *words, "--json")
    assert result.exit_code == Code.OK, result.output
    return json.loads(result.stdout)


async def test_a_keys_story_is_told_newest_last_and_ends_with_what_it_amounts_to(
    cli: Cli, story: KeyId
) -> None:
    assert await said(cli, str(story)[:8]) == [
        "initialize: done  after 0.2 s, as the key is new",
        f"nothing -> live  {LIVE}",
        f"live -> pending  {LOST}",
        "initialize: unclear  no clear answer came (after 0.2 s)",
        "pending -> retrying  the bridge gave no clear answer",
        f"initialize: done  after 0.2 s, as {LOST}",
        f"retrying -> live  {LIVE}",
        "In all that is kept: 3 attempt(s), 2 done, 1 failed (1 unclear).",
        (
            f"Went live 2 time(s); ceased to be 1 time(s), last 60 min ago: {LOST} (1)."
            " Live now, for 5 min; last proven 2 min ago."
        ),
    ]


async def test_a_client_and_a_slot_tell_the_same_as_their_only_key(
    cli: Cli, story: KeyId, acme: ClientId
) -> None:
    told = await said(cli, str(story))
    slot = "client_acme_capital/binance"
    for words in ("Acme Capital", str(acme), slot, f"main/{slot}", "client_acme_capital"):
        assert await said(cli, words) == told


async def test_what_is_gone_is_still_known_by_key_client_and_slot(
    cli: Cli, story: KeyId, acme: ClientId, people: People, past: Past
) -> None:
    await past.write(story, Phase.REMOVED, Reason.ORPHAN, ago=1)
    await people.delete_client(acme)

    for words in (str(story)[:13], str(acme), "client_acme_capital/binance"):
        told = await said(cli, words)
        assert told[-3] == "live -> removed  its key is gone"
        assert told[-1].endswith("its key is gone (1). Nothing of it is on a bridge now.")


@pytest.mark.usefixtures("story")
async def test_what_was_on_a_bridge_that_is_forgotten_is_told(
    cli: Cli, past: Past, engine: AsyncEngine
) -> None:
    lease = past.daemon.lease
    assert lease
    await PostgresLeases(engine, lease.holder, timedelta(0)).release(lease)
    await write_routes(engine, Routes(BridgeName("other")))
    assert await forget_bridge(engine, lease.bridge, NOBODY) == 1

    last = (await said(cli, "client_acme_capital/binance"))[-3]
    assert last == "live -> removed  its bridge is no longer in the settings"


async def test_a_proof_that_failed_is_told_like_any_other_attempt(
    cli: Cli, story: KeyId, past: Past
) -> None:
    failed = {"verdict": "refused", "action": "verify", "message": "no such key"}
    await past.write(story, Phase.LIVE, Reason.APPLIED, ago=2, **failed)

    assert "verify: refused  no such key (after 0.2 s)" in await said(cli, str(story))


async def test_since_limit_bridge_and_verdict_narrow_it(cli: Cli, story: KeyId) -> None:
    key = str(story)
    assert len(await said(cli, key, "--since", "10min")) == 4
    limited = await said(cli, key, "--limit", "1")
    assert limited[:2] == [
        f"retrying -> live  {LIVE}",
        "6 older line(s) are left out: see --limit and --since.",
    ]
    assert "3 attempt(s)" in limited[2]
    unclear = await said(cli, key, "--verdict", "unclear")
    assert unclear[0] == "initialize: unclear  no clear answer came (after 0.2 s)"
    assert unclear[1] == "In all that is kept: 1 attempt(s), 0 done, 1 failed (1 unclear)."
    assert len(unclear) == 2
    assert (await document(cli, key, "--bridge", "main"))["events"]
    assert not (await document(cli, key, "--bridge", "other"))["events"]


async def test_without_words_it_is_everything_of_the_last_day(
    cli: Cli, story: KeyId, people: People, acme: ClientId, past: Past, sealed: Any
) -> None:
    other = await people.add_key(acme, sealed("okx"))
    await past.write(other, Phase.PARKED, Reason.REFUSED, ago=60 * 25, message="-2015")
    await past.write(other, Phase.LIVE, Reason.APPLIED, ago=60 * 23)

    told = await said(cli)

    assert told[0].startswith(f"{other}  client_acme_capital/okx  parked -> live  ")
    assert f"{story}  client_acme_capital/binance  initialize: done" in told[1]
    assert told[-1].endswith("Now 2 of 2 slots are live.")
    assert len((await document(cli, "--since", "2d"))["events"]) == len(told) - 2 + 1


async def test_what_was_said_is_said_again_where_no_attempt_has_said_it(
    cli: Cli, story: KeyId, past: Past
) -> None:
    await past.write(story, Phase.PARKED, Reason.UNDECRYPTABLE, ago=2, message="no key reads it")

    told = await said(cli, str(story))
    assert "live -> parked  the encryption key does not read this row: no key reads it" in told


async def test_a_key_that_changed_and_was_live_at_once_says_so(
    cli: Cli, story: KeyId, past: Past, daemon: Daemon, engine: AsyncEngine
) -> None:
    record = await daemon.write(story, Phase.LIVE, Reason.APPLIED, digest=past.digests[story])
    changed = replace(record, reason=Reason.CHANGED, cause=Reason.CHANGED)
    assert daemon.lease
    ledger = PostgresLedger(engine)
    await ledger.intend(daemon.lease, [replace(changed, phase=Phase.INITIALIZING)])
    await ledger.settle(daemon.lease, [(replace(changed, reason=Reason.APPLIED), None)])

    told = await said(cli, str(story))
    assert told[-3] == "live -> live  anew, as the stored key has changed"
    assert "the stored key has changed (1)" in told[-1]


async def test_what_happened_in_one_moment_is_told_in_its_order(
    cli: Cli, story: KeyId, past: Past
) -> None:
    for phase in (Phase.REMOVING, Phase.PENDING, Phase.PARKED):
        await past.write(story, phase, Reason.CHANGED, ago=1)

    told = await said(cli, str(story))
    moves = [line.split("  ")[0] for line in told[-5:-2]]
    assert moves == ["live -> removing", "removing -> pending", "pending -> parked"]


async def test_a_key_that_is_not_live_says_when_it_last_was(
    cli: Cli, story: KeyId, past: Past
) -> None:
    await past.write(story, Phase.PARKED, Reason.REFUSED, ago=3)

    assert (await said(cli, str(story)))[-1].endswith("Not live now; it last was 3 min ago.")


async def test_machines_are_told_the_same(cli: Cli, story: KeyId) -> None:
    found = await document(cli, str(story))

    assert [each["kind"] for each in found["events"][:2]] == ["attempt", "transition"]
    lost = found["events"][2]
    assert (lost["from_phase"], lost["to_phase"], lost["to_reason"]) == ("live", "pending", "lost")
    assert lost["words"] == f"live -> pending: {LOST}"
    assert found["totals"]["failed"] == {"unclear": 1}
    assert found["totals"]["left_live"] == {"lost": 1}
    assert found["totals"]["last_proof"] is not None
    assert found["left_out"] == 0


@pytest.mark.parametrize("words", ["nobody", "deadbeef", str(UUID(int=7)), "client_x/binance", ""])
async def test_what_left_no_trace_is_not_found(cli: Cli, story: KeyId, words: str) -> None:
    result = await cli("history", words)
    assert result.exit_code == Code.NOT_FOUND
    assert str(story) not in result.output


async def test_words_that_mean_several_are_not_guessed_at(
    cli: Cli, story: KeyId, people: People, engine: AsyncEngine
) -> None:
    await people.add_client("Acme Capital")
    result = await cli("history", "Acme Capital")
    assert result.exit_code == Code.NOT_FOUND
    assert "2 clients are named 'Acme Capital': say the id" in result.output
    async with transaction(engine) as connection:  # one whose id begins like the other's
        query = text("""
INSERT INTO bridgetender.transitions (bridge, account, connector, key_id, client_id, to_phase,
  to_reason, cause, message, at)
SELECT bridge, account, connector, CAST(:twin AS uuid), client_id, to_phase, to_reason, cause,
  message, at FROM bridgetender.transitions LIMIT 1
""")
        twin = f"{str(story)[:8]}{str(uuid4())[8:]}"
        await connection.execute(query, {"twin": twin})
    result = await cli("history", str(story)[:8])
    assert result.exit_code == Code.NOT_FOUND
    assert "2 keys begin with" in result.output


@pytest.mark.parametrize(
    ("option", "value"), [("--since", "yesterday"), ("--verdict", "fine"), ("--limit", "0")]
)
async def test_a_wrong_word_is_named(cli: Cli, option: str, value: str) -> None:
    result = await cli("history", option, value)
    assert result.exit_code == Code.USAGE
    assert option in result.output


async def test_a_database_that_may_only_be_read_is_enough(
    cli: Cli, story: KeyId, engine: AsyncEngine
) -> None:
    name = engine.url.database
    async with transaction(engine) as connection:
        await connection.execute(
            text(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        )
    assert len(await said(cli, str(story))) == 9


async def test_before_anything_happened_that_is_said(cli: Cli, key: KeyId) -> None:
    assert await said(cli, str(key)) == [
        "In all that is kept: 0 attempt(s), 0 done.",
        "Went live 0 time(s). Nothing of it is on a bridge now.",
    ]
