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
from reconciler.model import ClientId, KeyId, Phase
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
    firm: Firm, web: httpx.AsyncClient, client: ClientId, issued: Issued, wait: float = 20
) -> dict[str, Any]:
    firm.secrets.update(issued.plain())
    body = {"exchange": "binance", "api_key": issued.api_key, "api_secret": issued.api_secret}
    path = f"/api/admin/clients/{client}/api-keys?wait={wait}"
    answer = await web.post(path, json=body, timeout=40)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def test_with_the_bridge_online_a_key_is_saved_and_configured(site: Site, firm: Firm) -> None:
    await site.start_paper()
    await site.start_bridge()
    await site.start_daemon()
    client, issued = await firm.add_client("Acme"), issue()
    await firm.issue_on_paper("binance", issued, USDT="1000")
    async with admin(firm) as web:
        said = await add(firm, web, client, issued)

    assert said["message"] == "API key added successfully"
    assert (said["trading_bridge_configured"], said["trading_bridge_warning"]) == (True, None)
    assert (said["key"]["phase"], said["key"]["verified"]) == ("live", "ok")
    async with firm.bridge() as bridge:
        told = (await bridge.get("/portfolio", params={"account": "client_acme"})).json()
    assert told["balances"]["binance"]["USDT"]["total"] == 1000


async def test_with_the_bridge_offline_a_key_is_saved_with_a_warning_and_live_once_it_returns(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await site.start_daemon()
    client, issued = await firm.add_client("Acme"), issue()
    await firm.issue_on_paper("binance", issued, USDT="1000")
    async with admin(firm) as web:
        said = await add(firm, web, client, issued, wait=0)
        assert said["trading_bridge_configured"] is False
        warning = said["trading_bridge_warning"]
        assert warning.startswith("Trading Bridge connector initialization failed: ")
        assert warning.endswith("Use 'Reinitialize' button to retry.")
        await site.start_bridge()
        await firm.until(lambda: is_live(web, said["id"]))


async def test_reinitialize_brings_back_a_key_that_was_refused(site: Site, firm: Firm) -> None:
    """The exchange did not know the key yet; Reinitialize asks again at once."""
    await site.start_paper()
    await site.start_bridge()
    await site.start_daemon()
    client, issued = await firm.add_client("Acme"), issue()
    async with admin(firm) as web:
        said = await add(firm, web, client, issued)
        assert (said["trading_bridge_configured"], said["key"]["phase"]) == (False, "parked")
        assert "refuses these credentials" in said["trading_bridge_warning"]
        await firm.issue_on_paper("binance", issued, USDT="1000")

        path = f"/api/admin/clients/{client}/api-keys/{said['id']}/reinitialize?wait=20"
        again = (await web.post(path, timeout=40)).json()
        assert again["keys"] == 1
        assert [key["phase"] for key in again["states"]] == ["live"]


async def test_reinitialize_replaces_what_is_live_for_a_whole_client(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await site.start_bridge()
    keys = await firm.add_clients(1, "binance", "okx")
    for key in await firm.status.keys():
        await firm.issue_on_paper(key.exchange, firm.keys[key.key_id], USDT="5")
    await site.start_daemon()
    await firm.until_live()
    before = await firm.attempts()
    (client,) = {key.client_id for key in await firm.status.keys()}
    async with admin(firm) as web:
        path = f"/api/admin/clients/{client}/reinitialize?wait=20"
        said = (await web.post(path, timeout=40)).json()
    assert said["keys"] == len(keys)
    assert {key["phase"] for key in said["states"]} == {"live"}
    assert await firm.attempts() == before + len(keys)


async def is_live(web: httpx.AsyncClient, key: KeyId) -> bool:
    answer = await web.get(f"/api/admin/api-keys/{key}")
    return bool(answer.json()["phase"] == Phase.LIVE)


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
