import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.store.ledger import PostgresLedger
from daemon.store.people import People
from daemon.store.preview import preview
from reconciler.model import Case, ClientId, Connector, KeyId, Observation, Phase, Reason, Slot
from reconciler.routes import MAIN

pytestmark = pytest.mark.anyio
ACME = "client_acme_capital"
TABLES = (
    *(
        "accounts",
        "answers",
        "attempts",
        "audit",
        "bridges",
        "connectors",
        "keyring",
        "leases",
        "notices",
        "pauses",
        "quiets",
    ),
    *("routes", "tokens", "wishes"),
)


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that any engine of this process sends."""
    seen: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement.strip())

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


async def _everything(engine: AsyncEngine) -> list[Any]:
    """Return all rows with the transaction that wrote each."""
    tables = [f"bridgetender.{name}" for name in TABLES]
    tables += ["public.clients", "public.exchange_api_keys"]
    async with engine.connect() as connection:
        return [
            (await connection.execute(text(f"SELECT xmin::text, t::text FROM {name} t"))).all()
            for name in tables
        ]


async def _steps(cli: Any) -> list[tuple[str, str, str, bool]]:
    said = json.loads((await cli("plan", "--json")).stdout)
    return [(s["action"], s["connector"], s["why"], s["sure"]) for s in said["steps"]]


async def test_a_plan_says_what_is_missing_and_why_and_only_reads(
    cli: Any, bridge: Any, engine: AsyncEngine, key: KeyId, statements: list[str]
) -> None:
    before = await _everything(engine)
    statements.clear()
    result = await cli("plan")
    asked, bridge_asked = list(statements), list(bridge.methods)
    assert result.exit_code == Code.OK
    assert result.stdout.startswith("1 step(s). Nothing was changed.\n")
    step = result.stdout.splitlines()[-1].split()
    assert step[:5] == ["initialize", "Acme", "Capital", ACME, "binance"]
    assert step[5:] == [str(key), "next", "pass", "the", "key", "is", "new"]
    assert await _everything(engine) == before
    assert bridge_asked
    assert set(bridge_asked) == {"GET"}
    survey = next(n for n, one in enumerate(asked) if "READ ONLY" in one)
    assert all(one.startswith(("SELECT", "WITH", "SET TRANSACTION")) for one in asked[survey:])
    assert not [one for one in asked if one.startswith(("INSERT", "UPDATE", "DELETE", "CREATE"))]


async def test_when_nothing_is_missing_there_is_nothing_to_do(cli: Any, bridge: Any) -> None:
    await bridge.add("somebody_else", "binance")
    result = await cli("plan")
    assert result.exit_code == Code.OK
    assert result.stdout == (
        "Nothing to do.\n1 connector(s) on the bridge are not ours and stay as they are.\n"
    )


async def test_a_connector_that_one_listing_lacks_is_lost_only_if_a_second_agrees(
    cli: Any, bridge: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, fingerprint="f", sent="f")
    why = "the bridge has lost the connector, if a second listing lacks it too"
    assert await _steps(cli) == [("initialize", "binance", why, False)]
    assert set(bridge.methods) == {"GET"}


@pytest.mark.usefixtures("bridge")
async def test_what_is_written_down_and_waits_is_part_of_the_plan(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    due_at = daemon.now + timedelta(days=30, hours=12)
    await daemon.write(key, Phase.RETRYING, Reason.UNCLEAR, message="HTTP 500", due_at=due_at)
    why = "the bridge gave no clear answer: HTTP 500"
    assert await _steps(cli) == [("initialize", "binance", why, True)]
    assert " in 30 d " in (await cli("plan")).stdout


async def test_every_kind_of_step_has_its_words(
    cli: Any,
    bridge: Any,
    daemon: Any,
    people: People,
    acme: ClientId,
    key: KeyId,
    sealed: Callable[..., Any],
) -> None:
    await daemon.hold()
    okx = await people.add_key(acme, sealed("okx"))
    kraken = await people.add_key(acme, sealed("kraken"))
    await daemon.hold()
    await daemon.write(kraken, Phase.PENDING, Reason.NEW)
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, fingerprint="ours", sent="ours")
    await daemon.write(okx, Phase.LIVE, Reason.APPLIED, fingerprint="f", sent="f")
    await bridge.add(ACME, "binance", fingerprint="ours")
    await people.delete_key(key)
    await people.set_active(okx, active=False)
    await people.set_active(kraken, active=False)
    steps = {(action, connector): why for action, connector, why, _ in await _steps(cli)}
    assert steps == {
        ("remove", "binance"): "its key is gone",
        ("remove", "okx"): "its key is gone, if a second listing lacks it too",
        ("forget", "kraken"): "its key is gone, and there is no connector of it",
    }


async def test_without_the_bridge_the_plan_says_that_it_lacks_the_listing(
    cli: Any, key: KeyId
) -> None:
    result = await cli("plan")
    assert result.exit_code == Code.BRIDGE
    assert "Warning: the bridge 'main' is away (Trading Bridge unreachable" in result.stderr
    assert str(key) in result.stdout
    assert json.loads((await cli("plan", "--json")).stdout)["away"]["main"].startswith(
        "Trading Bridge"
    )


async def test_before_any_daemon_ran_each_key_is_planned_on_the_bridge_of_its_rule(
    cli: Any, key: KeyId, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        "[bridges.one]\nurl = 'http://127.0.0.1:9'\n"
        "[bridges.two]\nurl = 'http://127.0.0.1:10'\nexchanges = ['binance']\n"
    )
    said = {"BRIDGETENDER_CONFIG": str(file), "TRADING_BRIDGE_URL": None}
    result = await cli("plan", "--json", **said)
    steps = json.loads(result.stdout)["steps"]
    assert [(step["bridge"], step["key_id"]) for step in steps] == [("two", str(key))]


async def test_a_bridge_url_that_cannot_be_used_is_a_wrong_setting(cli: Any) -> None:
    result = await cli("plan", TRADING_BRIDGE_URL="http://user:hunter2@bridge.example")
    assert result.exit_code == Code.USAGE
    assert "TRADING_BRIDGE_URL: " in result.output
    assert "hunter2" not in result.output


LISTINGS = {
    "no listing": None,
    "an empty one": Observation(()),
    "one with strangers": Observation(
        (
            Connector(Slot(MAIN, ACME, "binance"), "theirs"),
            Connector(Slot(MAIN, "stranger", "okx"), ""),
            Connector(Slot(MAIN, "client_birch", "kraken"), None),
        )
    ),
}


@pytest.mark.parametrize("listing", LISTINGS)
async def test_the_preview_is_what_the_survey_then_finds(
    engine: AsyncEngine,
    daemon: Any,
    people: People,
    acme: ClientId,
    key: KeyId,
    sealed: Callable[..., Any],
    listing: str,
) -> None:
    seen = LISTINGS[listing]
    leaver = await people.add_client("Leaver", {"bridge_account": "client_birch"})
    await people.add_key(leaver, sealed("okx"))
    await daemon.hold()  # claims accounts for both
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, fingerprint="ours", sent="ours")
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE public.clients SET settings = NULL WHERE name = 'Leaver'")
        )
    birch = await people.add_client("Birch")  # gets the account that Leaver left
    twin = await people.add_client("acme capital")  # never gets the one that Acme has
    for client in (birch, twin):
        await people.add_key(client, sealed("kraken"))
    foreseen = await preview(engine, MAIN, seen)
    found = await PostgresLedger(engine).survey(MAIN, seen, None)
    assert _by_slot(foreseen.cases) == _by_slot(found.cases)
    assert foreseen.unmanaged == found.unmanaged
    assert {case.want.client_id for case in found.cases if case.want} >= {birch, leaver}
    assert acme not in (birch, twin)


def _by_slot(cases: Any) -> dict[Slot, Case]:
    return {case.slot: case for case in cases}
