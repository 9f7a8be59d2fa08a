import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from daemon.cli.exits import Code
from daemon.store.people import People
from reconciler.model import ClientId, KeyId, Phase, Reason, Rights, Verified

pytestmark = pytest.mark.anyio


async def test_nothing_stored_is_well_and_promises_nothing(cli: Any) -> None:
    result = await cli("status")
    assert result.exit_code == Code.OK
    assert result.stdout.startswith("No key is active, so there is nothing to do.\n")
    assert "no daemon has looked at it yet" in result.stdout


async def test_all_live_is_well_and_says_when_it_was_last_proven(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    proven = daemon.now - timedelta(minutes=7)
    await daemon.write(
        key, Phase.LIVE, Reason.APPLIED, verified=Verified.OK, verified_at=proven, due_at=proven
    )
    result = await cli("status")
    assert result.exit_code == Code.OK
    summary, bridge, heading, line = result.stdout.splitlines()
    assert summary == "All is well: 1 of 1 active keys are live."
    assert bridge.startswith("Bridge 'main': up for ")
    assert bridge.endswith("held by host:1:test.")
    assert heading.split()[:4] == ["KEY", "CLIENT", "EXCHANGE", "PHASE"]
    assert line.split() == [str(key), "Acme", "Capital", "binance", "live", "7", "min", "ago"]


async def test_a_key_that_may_withdraw_or_expires_is_said_to(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    rights = Rights(withdraw=True, expires_at=daemon.now + timedelta(days=3, hours=1))
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, rights=rights)
    said = (await cli("status")).stdout
    assert "it may withdraw funds: one without that right would do" in said
    assert "in 3 days: rotate it" in said


async def test_credentials_that_worked_before_say_when(cli: Any, daemon: Any, key: KeyId) -> None:
    await daemon.hold()
    failed = {"verified": Verified.FAILED, "verified_at": daemon.now - timedelta(hours=3)}
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, **failed)
    assert "  no, last 3 h ago" in (await cli("status")).stdout


async def test_a_refused_key_is_settled_and_said_in_plain_words(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    message = "binance -2015 Invalid API-key, IP, or permissions for action. " + "x" * 200
    await daemon.write(key, Phase.PARKED, Reason.REFUSED, message=message)
    result = await cli("status")
    assert result.exit_code == Code.NOT_LIVE
    assert result.stdout.startswith(
        "Settled, but not all is live: 0 of 1 active keys are live;"
        " 1 parked (the exchange refuses these credentials)."
    )
    assert f"the exchange refuses these credentials: {message}" in result.stdout


async def test_a_key_that_waits_says_when_it_is_tried_next(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    due_at = daemon.now + timedelta(hours=5, minutes=30)
    await daemon.write(key, Phase.RETRYING, Reason.THROTTLED, due_at=due_at, failures=3)
    result = await cli("status")
    assert result.exit_code == Code.UNSETTLED
    assert "1 retrying (we were told to wait: too many requests)" in result.stdout
    assert "  in 5 h  " in result.stdout
    (row,) = json.loads((await cli("status", "--json")).stdout)["keys"]
    assert datetime.fromisoformat(row["due_at"]) == due_at


async def test_live_keys_are_not_well_without_a_daemon(cli: Any, daemon: Any, key: KeyId) -> None:
    await daemon.hold()
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    async with daemon.engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE bridgetender.leases SET expires_at = now()")
    result = await cli("status")
    assert result.exit_code == Code.UNSETTLED
    assert "no daemon holds the bridge 'main', so nothing is being done" in result.stdout


async def test_live_keys_are_not_well_while_the_bridge_is_down(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold(up=False, reason="Trading Bridge unreachable: connection refused")
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    result = await cli("status")
    assert result.exit_code == Code.UNSETTLED
    assert (
        "the bridge 'main' is down (Trading Bridge unreachable: connection refused)"
        "; 0 of 1 active keys are live; 1 were live when their bridge was last seen."
    ) in result.stdout
    for told in (result, await cli("clients", "show", "Acme Capital")):
        assert "was so when its bridge was last seen" in told.stdout


async def test_a_key_without_a_record_is_pending(cli: Any, daemon: Any, key: KeyId) -> None:
    await daemon.hold()
    result = await cli("status", "--json")
    assert result.exit_code == Code.UNSETTLED
    (row,) = json.loads(result.stdout)["keys"]
    assert (row["key_id"], row["phase"], row["words"]) == (str(key), "pending", "the key is new")


async def test_a_connector_without_a_key_is_not_well(
    cli: Any, daemon: Any, people: People, key: KeyId
) -> None:
    await daemon.hold()
    await daemon.write(key, Phase.UNREMOVABLE, Reason.REMOVAL_UNSUPPORTED)
    await people.set_active(key, active=False)
    result = await cli("status")
    assert result.exit_code == Code.NOT_LIVE
    assert "1 connector(s) on the bridge whose key is gone" in result.stdout
    assert "the bridge cannot remove connectors" in result.stdout
    (left,) = json.loads((await cli("status", "--json")).stdout)["leftovers"]
    assert left["connector"] == "binance"


async def test_the_document_has_every_key_and_times_with_a_zone(
    cli: Any, daemon: Any, people: People, acme: ClientId, key: KeyId, sealed: Callable[..., Any]
) -> None:
    await people.add_key(acme, sealed("okx", is_active=False))
    await daemon.hold()
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, verified_at=daemon.now)
    said = json.loads((await cli("status", "--json")).stdout)
    assert (said["settled"], said["all_live"]) == (True, True)
    assert said["bridges"][0]["holder"] == "host:1:test"
    assert [row["words"] for row in said["keys"]] == [
        "the bridge has these credentials",
        "the key is disabled",
    ]
    for moment in (said["bridges"][0]["since"], said["keys"][0]["verified_at"]):
        assert datetime.fromisoformat(moment).utcoffset() == timedelta(0)
