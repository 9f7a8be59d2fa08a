"""The story's test cases, by the admin API, on a real daemon, bridge and paper exchange."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from daemon.store.audit import NOBODY
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of, new_token
from reconciler.model import ClientId, Phase, Secret
from tests.acceptance.firm import Firm, Issued, Site, issue, spoken_to

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


@asynccontextmanager
async def admin(firm: Firm) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of the API with an admin's token."""
    token = new_token()
    firm.secrets.add(token.reveal())
    await Tokens(firm.site.engine).create("tests", "admin", digest_of(token), NOBODY)
    async with spoken_to(firm.site.addresses["api"]) as web:
        web.headers["Authorization"] = f"Bearer {token.reveal()}"
        yield web


async def add(
    firm: Firm,
    web: httpx.AsyncClient,
    client: ClientId,
    issued: Issued,
    exchange: str = "binance",
    wait: float = 20,
) -> dict[str, Any]:
    firm.secrets.update(issued.plain())
    body = {"exchange": exchange, "api_key": issued.api_key, "api_secret": issued.api_secret}
    body |= {"passphrase": issued.passphrase} if issued.passphrase else {}
    path = f"/api/admin/clients/{client}/api-keys?wait={wait}"
    answer = await web.post(path, json=body, timeout=40)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_the_four_cases_of_the_story_come_true_one_after_the_other(
    site: Site, firm: Firm
) -> None:
    """On one stage, since starting everything takes longest."""
    await site.start_paper()
    await site.start_bridge()
    await site.start_daemon()
    client = await firm.add_client("Acme")
    async with admin(firm) as web:
        await with_the_bridge_online_a_key_is_configured_and_has_balances_at_once(firm, web, client)
        await with_the_bridge_offline_a_key_is_saved_and_warned_of(firm, web, client, "okx")
        await site.start_bridge()
        await firm.until(lambda: all_live(web, client, 2))  # by itself
        await with_the_bridge_offline_a_key_is_saved_and_warned_of(firm, web, client, "kraken")
        await site.start_bridge()
        assert await reinitialized(web, client) == ["live"] * 3
        await a_row_without_updated_at_gets_one_and_is_live(firm, client)
        await reinitialize_replaces_what_is_live(firm, web, client, 4)
        await reinitialize_brings_back_a_key_that_was_refused(firm, web)


async def with_the_bridge_online_a_key_is_configured_and_has_balances_at_once(
    firm: Firm, web: httpx.AsyncClient, client: ClientId
) -> None:
    issued = issue()
    await firm.issue_on_paper("binance", issued, USDT="1000")
    said = await add(firm, web, client, issued)
    assert said["message"] == "API key added successfully"
    assert (said["trading_bridge_configured"], said["trading_bridge_warning"]) == (True, None)
    assert (said["key"]["phase"], said["key"]["verified"]) == ("live", "ok")
    async with firm.bridge() as bridge:
        told = (await bridge.get("/portfolio", params={"account": "client_acme"})).json()
    assert told["balances"]["binance"]["USDT"]["total"] == 1000
    shown = (await web.get(f"/api/admin/clients/{client}/balances")).json()
    assert [(each["asset"], float(each["total"])) for each in shown["balances"]] == [("USDT", 1000)]


async def with_the_bridge_offline_a_key_is_saved_and_warned_of(
    firm: Firm, web: httpx.AsyncClient, client: ClientId, exchange: str
) -> None:
    await firm.site.kill("bridge")
    issued = issue(exchange)
    await firm.issue_on_paper(exchange, issued, USDT="5")
    said = await add(firm, web, client, issued, exchange, wait=1)
    assert said["message"] == "API key added successfully"
    assert said["trading_bridge_configured"] is False
    warning = said["trading_bridge_warning"]
    assert warning.startswith("Trading Bridge connector initialization failed: ")
    assert warning.endswith("Use 'Reinitialize' button to retry.")
    stored = "SELECT 1 FROM exchange_api_keys WHERE id = :id AND updated_at IS NOT NULL"
    assert await firm.ask(stored, id=said["id"])
    # Of no use yet, and no harm. Of the others it may not be known yet that their bridge is away.
    assert set(await reinitialized(web, client, wait=0)) != {Phase.LIVE}


async def a_row_without_updated_at_gets_one_and_is_live(firm: Firm, client: ClientId) -> None:
    """As a backend stores it that knows nothing of us."""
    issued = issue("bybit")
    firm.secrets.update(issued.plain())
    await firm.issue_on_paper("bybit", issued, USDT="5")
    key, secret = (firm.keyring.seal(Secret(each)) for each in issued.plain())
    row = {"client": client, "key": key, "secret": secret}
    stored = await firm.ask(
        "INSERT INTO exchange_api_keys (client_id, exchange, api_key, api_secret)"
        " VALUES (:client, 'bybit', :key, :secret) RETURNING updated_at IS NOT NULL",
        **row,
    )
    assert stored == [(True,)]
    await firm.until_live(4)


async def reinitialize_replaces_what_is_live(
    firm: Firm, web: httpx.AsyncClient, client: ClientId, keys: int
) -> None:
    before = await firm.attempts()
    assert await reinitialized(web, client) == ["live"] * keys
    assert await firm.attempts() == before + keys


async def reinitialize_brings_back_a_key_that_was_refused(
    firm: Firm, web: httpx.AsyncClient
) -> None:
    """The exchange did not know the key yet; Reinitialize asks again at once."""
    client, issued = await firm.add_client("Birch"), issue()
    said = await add(firm, web, client, issued)
    assert (said["trading_bridge_configured"], said["key"]["phase"]) == (False, "parked")
    assert "refuses these credentials" in said["trading_bridge_warning"]
    await firm.issue_on_paper("binance", issued, USDT="1000")
    path = f"/api/admin/clients/{client}/api-keys/{said['id']}/reinitialize?wait=20"
    again = (await web.post(path, timeout=40)).json()
    assert again["keys"] == 1
    assert [key["phase"] for key in again["states"]] == ["live"]


async def reinitialized(web: httpx.AsyncClient, client: ClientId, wait: float = 20) -> list[str]:
    """Press the button for a whole client; return where its keys stand then."""
    path = f"/api/admin/clients/{client}/reinitialize?wait={wait}"
    said = (await web.post(path, timeout=40)).json()
    assert said["keys"] == len(said["states"])
    return [key["phase"] if key["bridge_up"] else "unknown" for key in said["states"]]


async def all_live(web: httpx.AsyncClient, client: ClientId, count: int) -> bool:
    keys = (await web.get(f"/api/admin/clients/{client}/api-keys")).json()["keys"]
    return [key["phase"] for key in keys if key["bridge_up"]] == [Phase.LIVE] * count


async def test_a_burst_of_a_thousand_adds_loses_none_and_never_starves_health(
    site: Site, firm: Firm
) -> None:
    await site.start_daemon()
    clients = [await firm.add_client(f"Client {number}") for number in range(50)]
    names = [f"{name}{suffix}" for name in ("binance", "okx", "kraken") for suffix in "abcdefg"]
    wanted = [(client, exchange) for client in clients for exchange in names[:20]]
    ill: list[int] = []
    async with admin(firm) as web, anyio.create_task_group() as tasks:
        tasks.start_soon(probe, firm, ill)
        gate = anyio.Semaphore(100)
        async with anyio.create_task_group() as burst:
            for client, exchange in wanted:
                burst.start_soon(add_one, web, client, exchange, gate)
        tasks.cancel_scope.cancel()
    stored = await firm.ask("SELECT client_id, exchange FROM public.exchange_api_keys")
    assert sorted(stored) == sorted(wanted)
    assert ill == []
    assert "lease_lost" not in site.logged()


async def add_one(
    web: httpx.AsyncClient, client: ClientId, exchange: str, gate: anyio.Semaphore
) -> None:
    body = {"exchange": exchange, "api_key": "k" * 20, "api_secret": "s" * 20}
    async with gate:
        path = f"/api/admin/clients/{client}/api-keys?wait=0"
        answer = await web.post(path, json=body, timeout=60)
    assert answer.status_code == 200, answer.text


async def probe(firm: Firm, ill: list[int]) -> None:
    """Ask for health all the time; keep what is not 200."""
    async with spoken_to(firm.site.addresses["daemon"]) as health:
        while True:
            for path in ("/livez", "/readyz"):
                status = (await health.get(path, timeout=10)).status_code
                if status != 200:
                    ill.append(status)
            await anyio.sleep(0.05)
