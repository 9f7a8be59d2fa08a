import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from daemon.cli.exits import Code
from daemon.store.people import People
from daemon.vault import new_key
from reconciler.model import ClientId, KeyId, Phase, Reason, Rights, Verified

pytestmark = pytest.mark.anyio
ACME = "client_acme_capital"
LINKS = [
    *("database", "row", "decryption", "account", "slot", "daemon", "bridge"),
    *("connector", "listing", "credentials", "rights", "balance"),
]


@pytest.fixture
async def live(daemon: Any, bridge: Any, key: KeyId) -> KeyId:
    """A key that is live on a real bridge, and proven."""
    await daemon.hold()
    await bridge.add(ACME, "binance", fingerprint="ours")
    await _live(daemon, key)
    return key


async def _live(daemon: Any, key: KeyId, **more: Any) -> None:
    proven = {"verified": Verified.OK, "verified_at": daemon.now - timedelta(minutes=5)}
    labels = {"fingerprint": "ours", "sent": "ours", "rights": Rights(read=True, trade=True)}
    await daemon.write(key, Phase.LIVE, Reason.APPLIED, **(proven | labels | more))


async def _broken(cli: Any, key: Any, code: Code, **environment: str) -> Any:
    """Return the first broken link; the whole is also printed for people."""
    result = await cli("explain", str(key), "--json", **environment)
    broken = json.loads(result.stdout)["broken"]
    plain = await cli("explain", str(key), **environment)
    assert result.exit_code == plain.exit_code == code
    assert f"First broken link: {broken['name']}: " in plain.stdout
    assert f"What to do: {broken['cure']}" in plain.stdout
    assert broken["cure"]
    return broken


async def test_a_live_key_holds_in_every_link(cli: Any, live: KeyId, bridge: Any) -> None:
    result = await cli("explain", str(live)[:8])
    assert result.exit_code == Code.OK
    before = f"What happened before: bridgetender history {str(live)[:8]}"
    assert result.stdout.endswith(f"\nEvery link holds.\n{before}\n")
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:-2]] == [
        [name, "ok"] for name in LINKS
    ]
    for found in ("api key cana…-yek", "last proven 5 min ago", "0.6 BTC", "active"):
        assert found in result.stdout
    assert set(bridge.methods) == {"GET"}
    said = json.loads((await cli("explain", str(live), "--json")).stdout)
    assert said["broken"] is None
    assert [link["name"] for link in said["links"]] == LINKS


async def test_rights_are_told_and_a_warning_breaks_nothing(
    cli: Any, daemon: Any, live: KeyId
) -> None:
    await _live(daemon, live, rights=Rights(read=True, withdraw=True, ip_restricted=False))
    result = await cli("explain", str(live), "--json")
    (found,) = (link for link in json.loads(result.stdout)["links"] if link["name"] == "rights")
    assert result.exit_code == Code.OK
    assert found["found"] == (
        "may read and withdraw, trade: not told, from any address;"
        " WARNING: it may withdraw funds: one without that right would do"
    )


async def test_a_disabled_key_is_broken_at_its_row(cli: Any, people: People, live: KeyId) -> None:
    await people.set_active(live, active=False)
    broken = await _broken(cli, live, Code.NOT_LIVE)
    assert "suspended" not in broken["found"]
    assert broken["name"] == "row"
    assert broken["cure"] == f"if it should trade: bridgetender keys enable {live}"


async def test_a_row_that_nothing_reads_is_broken_at_its_decryption(cli: Any, live: KeyId) -> None:
    broken = await _broken(cli, live, Code.NOT_LIVE, ENCRYPTION_KEY=new_key().reveal())
    assert broken["name"] == "decryption"
    assert "api_key" in broken["found"]


async def test_an_account_that_another_client_has_is_a_broken_link(
    cli: Any, people: People, live: KeyId, sealed: Callable[..., Any]
) -> None:
    twin = await people.add_client("ACME capital")
    key = await people.add_key(twin, sealed("okx"))
    assert key != live
    assert (await _broken(cli, key, Code.NOT_LIVE))["name"] == "account"


async def test_a_slot_that_a_newer_key_has_is_a_broken_link_that_names_it(
    cli: Any, people: People, acme: ClientId, live: KeyId, sealed: Callable[..., Any]
) -> None:
    newer = await people.add_key(acme, sealed())
    broken = await _broken(cli, live, Code.NOT_LIVE)
    assert broken["name"] == "slot"
    assert str(newer) in broken["found"]


async def test_no_daemon_is_a_broken_link(cli: Any, key: KeyId) -> None:
    assert (await _broken(cli, key, Code.NOT_LIVE))["name"] == "daemon"


async def test_a_bridge_that_is_away_is_a_broken_link_with_its_exit_code(
    cli: Any, live: KeyId
) -> None:
    away = {"TRADING_BRIDGE_URL": "http://127.0.0.1:9"}
    broken = await _broken(cli, live, Code.BRIDGE, **away)
    assert broken["name"] == "bridge"
    assert "connection refused" in broken["found"]
    links = json.loads((await cli("explain", str(live), "--json", **away)).stdout)["links"]
    assert [link["name"] for link in links if link["ok"] is None] == ["listing", "balance"]


@pytest.mark.usefixtures("bridge")
async def test_a_parked_key_is_broken_at_its_connector_with_reason_and_cure(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    due_at = daemon.now + timedelta(hours=5, minutes=30)
    await daemon.write(key, Phase.PARKED, Reason.REFUSED, message="-2015", due_at=due_at)
    broken = await _broken(cli, key, Code.NOT_LIVE)
    assert broken["name"] == "connector"
    assert broken["found"] == (
        "parked: the exchange refuses these credentials: -2015; next try in 5 h"
    )
    assert "allowlist" in broken["cure"]


@pytest.mark.usefixtures("bridge")
async def test_a_connector_that_the_bridge_does_not_list_is_a_broken_link(
    cli: Any, daemon: Any, key: KeyId
) -> None:
    await daemon.hold()
    await _live(daemon, key)
    broken = await _broken(cli, key, Code.NOT_LIVE)
    assert (broken["name"], broken["found"]) == ("listing", "the bridge does not list it")


async def test_a_connector_with_credentials_of_somebody_else_is_a_broken_link(
    cli: Any, bridge: Any, live: KeyId
) -> None:
    await bridge.add(ACME, "binance", fingerprint="theirs")
    broken = await _broken(cli, live, Code.NOT_LIVE)
    assert broken["name"] == "listing"
    assert "not ours" in broken["found"]


async def test_credentials_that_were_refused_since_are_a_broken_link(
    cli: Any, daemon: Any, live: KeyId
) -> None:
    await _live(daemon, live, verified=Verified.FAILED)
    assert (await _broken(cli, live, Code.NOT_LIVE))["name"] == "credentials"


async def test_a_balance_that_cannot_be_had_is_a_broken_link_with_its_reason(
    cli: Any, bridge: Any, live: KeyId
) -> None:
    await bridge.fault("html")
    broken = await _broken(cli, live, Code.NOT_LIVE)
    assert broken["name"] == "balance"


async def test_a_database_that_is_away_is_the_broken_link_with_its_exit_code(cli: Any) -> None:
    url = "postgresql://user:hunter2@127.0.0.1:1/shop"
    broken = await _broken(cli, "01234567", Code.DATABASE, DATABASE_URL=url)
    assert broken["name"] == "database"
    assert "hunter2" not in json.dumps(broken)


async def test_a_key_that_is_not_there_is_not_found(cli: Any) -> None:
    result = await cli("explain", "0123456789")
    assert result.exit_code == Code.NOT_FOUND
    assert "no key '0123456789'" in result.output
