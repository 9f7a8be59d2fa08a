"""Balances of a real bridge before a paper exchange: nothing is hidden, and nothing is silent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from daemon.bridges.balances import Amount, Balances, Failure, Late
from daemon.settings import BridgeSettings
from daemon.store.people import People
from daemon.web.fresh import Fresh
from daemon.web.statement import Age, Remembered, statement
from daemon.web.teller import Memory
from reconciler.model import BridgeName, ClientId, Phase, Reason
from reconciler.routes import MAIN
from reconciler.verdicts import Refused
from tests.daemon.cli.conftest import served
from tests.daemon.web.conftest import Office
from tests.daemon.web.market import Market, market_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def market(office: Office) -> AsyncIterator[Market]:
    async with market_of(office) as market:
        yield market


async def told(admin: httpx.AsyncClient, client: ClientId) -> dict[str, Any]:
    answer = await admin.get(f"/api/admin/clients/{client}/balances")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def states(statement: dict[str, Any]) -> dict[str, str]:
    return {key["exchange"]: key["balances"] for key in statement["keys"]}


async def test_balances_come_by_exchange_and_are_added_up_by_asset(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {"BTC": "0.5", "USDT": "100"})
    await market.enrol("okx", {"BTC": "0.00000001"})
    await market.live(acme, "binance")
    await market.live(acme, "okx")
    said = await told(admin, acme)
    rows = {(row["exchange"], row["asset"]): row["total"] for row in said["balances"]}
    assert {place: Decimal(total) for place, total in rows.items()} == {
        ("binance", "BTC"): Decimal("0.5"),
        ("binance", "USDT"): Decimal(100),
        ("okx", "BTC"): Decimal("0.00000001"),
    }
    assert not [total for total in rows.values() if "E" in total.upper()]
    assert set(said["balances"][0]) == {"exchange", "asset", "free", "locked", "total"}
    (btc,) = [total for total in said["totals"] if total["asset"] == "BTC"]
    assert (Decimal(btc["total"]), btc["exchanges"]) == (Decimal("0.50000001"), ["binance", "okx"])
    assert (said["complete"], states(said)) == (True, {"binance": "ok", "okx": "ok"})
    assert "All 2 active keys" in said["summary"]


async def test_one_exchange_that_fails_hides_no_other_and_says_why(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {"BTC": "0.5"})
    await market.enrol("okx", {"BTC": "1"})
    await market.live(acme, "binance")
    await market.live(acme, "okx")
    await market.fault("okx", "html")
    said = await told(admin, acme)
    assert [row["exchange"] for row in said["balances"]] == ["binance"]
    assert states(said) == {"binance": "ok", "okx": "error"}
    assert said["complete"] is False
    words = next(key["words"] for key in said["keys"] if key["exchange"] == "okx")
    assert len(words) > 10
    assert f"okx: {words}" in said["summary"]


async def test_an_exchange_that_is_late_holds_up_no_other_and_shows_what_it_told_before(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    for exchange in ("binance", "okx", "kraken"):
        await market.enrol(exchange, {"BTC": "0.5"})
    await market.live(acme, "binance")
    await market.live(acme, "okx")
    assert states(await told(admin, acme)) == {"binance": "ok", "okx": "ok"}
    await market.live(acme, "kraken")
    await market.fault("okx", "hang")
    await market.fault("kraken", "hang")
    office.wait = 0.5
    said = await told(admin, acme)
    assert states(said) == {"binance": "ok", "okx": "timeout", "kraken": "timeout"}
    assert [row["exchange"] for row in said["balances"]] == ["binance", "okx"]
    assert said["complete"] is False
    lines = {key["exchange"]: key for key in said["keys"]}
    assert lines["okx"]["age_seconds"] is not None
    assert said["age_seconds"] == max(line["age_seconds"] or 0 for line in lines.values())
    assert lines["okx"]["words"].endswith(" old")
    assert lines["kraken"]["words"].startswith("kraken has not answered within 0.5 s")
    assert lines["kraken"]["words"] in said["summary"]


async def test_what_other_credentials_told_is_not_shown(key_state: Any) -> None:
    memory, late = Memory(), Failure(Late("slow"))
    held = Balances((Amount("BTC", None, None, Decimal(1)),))
    assert memory.of(key_state, held, 2.0) == held
    shown = memory.of(key_state, late, 0.0)
    assert isinstance(shown, Remembered)
    assert shown.age >= 2.0
    rotated = key_state.model_copy(update={"api_key": "wxyz…abcd"})
    assert memory.of(rotated, late, 0.0) is late
    refused = Failure(Refused("no"))
    assert memory.of(key_state, refused, 0.0) is refused


async def test_a_bridge_that_tells_nothing_in_time_is_not_waited_for(
    office: Office, market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.live(acme, "binance")

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        del scope, send
        while (await receive())["type"] != "http.disconnect":
            pass

    office.wait = 0.1
    async with served(hangs) as url:
        office.bridges[:] = [BridgeSettings(MAIN, url)]
        assert states(await told(admin, acme)) == {"binance": "timeout"}
        await office.enquiries.close()


async def test_nothing_to_show_is_explained_key_by_key(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {})
    await market.live(acme, "binance")
    refused = await market.stored(acme, "okx")
    await market.daemon.write(refused, Phase.PARKED, Reason.REFUSED, message="HTTP 400: wrong")
    await market.stored(acme, "kraken")
    await market.stored(acme, "bybit", is_active=False)
    said = await told(admin, acme)
    assert said["balances"] == said["totals"] == []
    assert states(said) == {
        "binance": "empty",
        "bybit": "not_connected",
        "kraken": "not_connected",
        "okx": "not_connected",
    }
    words = {key["exchange"]: key["words"] for key in said["keys"]}
    assert words["binance"] == "binance tells of no assets: the account is empty"
    assert words["okx"].startswith("not connected: the exchange refuses these credentials")
    assert words["bybit"] == "not connected: the key is disabled"
    assert said["summary"].startswith("1 of 3 active keys are in these balances. ")
    assert "bybit" not in said["summary"]


async def test_an_empty_account_that_was_never_proven_is_not_called_empty_without_doubt(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {})
    key = await market.live(acme, "binance")
    await market.daemon.write(key, Phase.LIVE, Reason.ADOPTED)
    (line,) = (await told(admin, acme))["keys"]
    assert "not proven to work" in line["words"]


async def test_a_bridge_that_is_away_is_named_and_the_other_ones_balances_are_shown(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    await market.enrol("binance", {"BTC": "0.5"})
    await market.live(acme, "binance")
    here = office.bridges[0]
    office.bridges[:] = [replace(here, url="http://127.0.0.1:9")]
    said = await told(admin, acme)
    assert states(said) == {"binance": "error"}
    assert "Trading Bridge unreachable" in said["summary"]
    office.bridges[:] = [here]  # as after a reload
    office.teller.fresh.seconds = 0
    assert states(await told(admin, acme)) == {"binance": "ok"}
    office.bridges[:] = [BridgeSettings(BridgeName("other"), here.url)]
    assert "no longer in the settings" in (await told(admin, acme))["summary"]


async def test_a_bridge_that_lost_the_account_is_said_to_be_mended(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    key = await market.stored(acme, "binance")
    await market.daemon.hold()
    await market.daemon.write(key, Phase.LIVE, Reason.APPLIED)
    said = await told(admin, acme)
    assert "just lost this account; the daemon puts it back" in said["keys"][0]["words"]


@pytest.mark.parametrize(
    ("scope", "held"),
    [
        ("all", "paused everything (weekend): it is put back once that is resumed"),
        ("bridge", "paused the bridge main (weekend): it"),
        ("client", "paused Acme Capital (weekend): it"),
        ("key", "paused it (weekend): it"),
        (None, "its client is paused: it is put back once that is active"),
    ],
)
async def test_what_a_pause_holds_is_not_said_to_be_put_back(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, scope: str | None, held: str
) -> None:
    key = await market.stored(acme, "binance")
    await market.daemon.hold()
    await market.daemon.write(key, Phase.LIVE, Reason.APPLIED)
    if scope:
        of = {"all": "", "bridge": MAIN, "client": str(acme), "key": str(key)}[scope]
        pause = {"scope": scope, "id": of, "reason": "weekend"}
        assert (await admin.post("/api/admin/pauses", json=pause)).status_code == 200
    else:
        await admin.patch(f"/api/admin/clients/{acme}", json={"status": "PAUSED"})
    (line,) = (await told(admin, acme))["keys"]
    assert line["words"].startswith("the bridge has just lost this account, and ")
    assert held in line["words"]
    assert "by itself" not in line["words"]
    assert line["todo"].startswith("end the pause: DELETE /api/admin/pauses")


async def test_a_balance_that_is_refused_says_what_helps_to_whom_it_does(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    key = await market.live(acme, "binance")  # which the exchange never heard of
    (line,) = (await told(admin, acme))["keys"]
    assert (line["phase"], line["balances"]) == ("live", "error")
    assert line["todo"].startswith("compare key, secret, passphrase, permissions")
    assert f"/api-keys/{key}/reinitialize" in line["todo"]
    async with office.web(await office.token("client", client_id=acme)) as web:
        (own,) = (await web.get("/api/clients/balances")).json()["keys"]
    assert own["todo"] == "ask whoever manages your keys"


async def test_a_client_sees_its_own_and_nobody_elses(
    market: Market, office: Office, acme: ClientId
) -> None:
    other = await People(office.engine).add_client("Birch")
    await market.enrol("binance", {"BTC": "0.5"})
    await market.live(acme, "binance")
    for client, rows in ((acme, 1), (other, 0)):
        async with office.web(await office.token("client", client_id=client)) as web:
            said = (await web.get("/api/clients/balances")).json()
            assert (said["client_id"], len(said["balances"])) == (str(client), rows)
            for path in ("balances", "status", "api-keys"):
                there = await web.get(f"/api/admin/clients/{acme}/{path}")
                assert there.status_code == 403


async def test_who_shares_an_accounts_name_is_shown_nothing_of_it(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    await market.enrol("binance", {"BTC": "0.5"})
    await market.live(acme, "binance")
    twin = await People(office.engine).add_client("ACME capital")
    await market.stored(twin, "binance")
    said = await told(admin, twin)
    assert said["balances"] == []
    assert "another client has the account of this name" in said["summary"]
    assert market.paths == []


async def test_a_crowd_asks_the_bridge_once_and_is_told_how_old_the_answer_is(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    now = [100.0]
    office.teller.fresh.time = lambda: now[0]
    await market.enrol("binance", {"BTC": "0.5"})
    await market.live(acme, "binance")
    await asyncio.gather(*(told(admin, acme) for _ in range(8)))
    assert market.paths == ["/portfolio"]
    now[0] += 9
    said = await told(admin, acme)
    assert (said["age_seconds"], said["cached_for"]) == (9.0, 10.0)
    now[0] += 1
    assert (await told(admin, acme))["age_seconds"] == 0
    assert market.paths == ["/portfolio"] * 2


async def test_a_key_that_has_just_become_live_is_there_at_once(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {"BTC": "0.5"})
    await market.enrol("okx", {"BTC": "1"})
    await market.live(acme, "binance")
    await told(admin, acme)
    await market.live(acme, "okx")
    assert states(await told(admin, acme)) == {"binance": "ok", "okx": "ok"}


async def test_what_is_old_is_forgotten_and_one_who_gives_up_leaves_it_to_the_next() -> None:
    now, asked, asking = [0.0], list[float](), asyncio.Event()
    fresh = Fresh[dict[str, Balances | Failure]](10.0, time=lambda: now[0])

    async def ask() -> dict[str, Balances | Failure]:
        asked.append(now[0])
        return {}

    async def hang() -> dict[str, Balances | Failure]:
        asking.set()
        await asyncio.Event().wait()
        return {}

    for number in range(5):
        now[0] = number * 10.0
        await fresh.get(number, ask)
    assert len(fresh._kept) == 1
    first = asyncio.ensure_future(fresh.get("x", hang))
    await asking.wait()
    next_one = asyncio.ensure_future(fresh.get("x", ask))
    first.cancel()
    await next_one
    assert len(asked) == 6


@pytest.fixture
async def key_state(market: Market, acme: ClientId) -> Any:
    await market.live(acme, "binance")
    return (await market.office.keeper.keys(acme))[0]


async def test_digits_are_exact_testnets_are_not_money_and_what_is_unknown_stays_so(
    key_state: Any,
) -> None:
    long = Decimal("123456789012345678901234567890.000000000000000000000000000001")
    longer = Decimal("123456789012345678901234568890.000000000000000000000000000001")

    def on(exchange: str, *, testnet: bool = False) -> Any:
        connector = f"{exchange}_testnet" if testnet else exchange
        new = {"exchange": exchange, "connector": connector, "is_testnet": testnet}
        return key_state.model_copy(update=new)

    keys = [on("binance"), on("okx"), on("kraken"), on("binance", testnet=True)]
    found: dict[tuple[str, str], Balances | Failure] = {
        ("main", "binance"): Balances((Amount("SHIB", long, Decimal("1E+3"), longer),)),
        ("main", "okx"): Balances((Amount("SHIB", None, None, Decimal("1E-8")),)),
        ("main", "kraken"): Failure(Refused("HTTP 400: no")),
        ("main", "binance_testnet"): Balances((Amount("SHIB", *[Decimal(5)] * 3),)),
    }
    said = statement(uuid4(), "Acme", keys, found, Age(1.25, 10))
    assert [row.exchange for row in said.balances] == ["binance", "okx", "binance_testnet"]
    assert (said.balances[0].free, said.balances[0].locked) == (f"{long:f}", "1000")
    (shib,) = said.totals
    assert shib.total == "123456789012345678901234568890.000000010000000000000000000001"
    assert (shib.free, shib.exchanges) == (None, ["binance", "okx"])
    assert [line.balances for line in said.keys] == ["ok", "ok", "error", "ok"]


async def test_where_a_client_stands_is_said_in_a_line_with_its_bridges_and_pauses(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/status"
    assert (await admin.get(path)).json()["summary"] == "Acme Capital has no active key."
    await market.live(acme, "binance")
    said = (await admin.get(path)).json()
    assert (said["well"], said["client"]["name"]) == (True, "Acme Capital")
    assert said["summary"] == "1 of 1 active key(s) of Acme Capital are live."
    await market.stored(acme, "okx")
    await market.daemon.hold(up=False, reason="connection refused")
    await admin.post("/api/admin/pauses", json={"scope": "client", "id": str(acme)})
    said = (await admin.get(path)).json()
    assert said["well"] is False
    assert said["summary"] == (
        "1 of 2 active key(s) of Acme Capital are live;"
        " okx: the bridge is out of reach: connection refused;"
        " bridge 'main' is down: connection refused; paused by admin for tests."
    )
    assert [bridge["up"] for bridge in said["bridges"]] == [False]
    assert [pause["scope"] for pause in said["pauses"]] == ["client"]
    assert (await admin.get(f"/api/admin/clients/{uuid4()}/status")).status_code == 404
