"""Credentials are proven by a real bridge at a paper exchange before anything is stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from daemon.settings import BridgeSettings
from reconciler.model import ClientId
from reconciler.routes import MAIN
from tests.daemon.cli.conftest import served
from tests.daemon.web.conftest import API_KEY, API_SECRET, KEY, PASSPHRASE, Office
from tests.daemon.web.market import Market, market_of

pytestmark = pytest.mark.anyio
WRONG = KEY | {"api_secret": "d3JvbmctY2FuYXJ5LXdyb25nLWNhbmFyeQ=="}


@pytest.fixture
async def market(office: Office) -> AsyncIterator[Market]:
    async with market_of(office) as market:
        yield market
    office.heard = [text.replace(WRONG["api_secret"], API_SECRET) for text in office.heard]


async def add(admin: httpx.AsyncClient, client: ClientId, body: Any) -> httpx.Response:
    path = f"/api/admin/clients/{client}/api-keys"
    return await admin.post(path, params={"wait": 0, "verify": "true"}, json=body)


async def stored(admin: httpx.AsyncClient, client: ClientId) -> list[Any]:
    found: list[Any] = (await admin.get(f"/api/admin/clients/{client}/api-keys")).json()["keys"]
    return found


async def test_a_key_that_the_exchange_takes_is_saved_and_its_rights_are_told(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    soon = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    await market.enrol("binance", {}, rights=["read", "withdraw"], expires_at=soon)
    said = (await add(admin, acme, KEY)).json()
    assert (said["message"], said["verified"]) == ("API key added successfully", "ok")
    assert said["rights"]["withdraw"] is True
    assert {"may_withdraw", "expires_soon"} <= {each["code"] for each in said["warnings"]}
    assert market.paths == ["/credentials/check"]
    assert len(await stored(admin, acme)) == 1


async def test_nothing_is_proven_unless_it_was_asked_for(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    said = (await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=KEY)).json()
    assert (said["verified"], said["warnings"], market.paths) == (None, [], [])


async def test_what_the_exchange_refuses_is_not_saved_and_the_reason_is_told(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("binance", {})
    answer = await add(admin, acme, WRONG)
    assert (answer.status_code, answer.json()["code"]) == (422, "refused")
    assert answer.json()["detail"].startswith("The exchange refuses these credentials: ")
    assert answer.json()["detail"].endswith("Nothing was saved.")
    assert await stored(admin, acme) == []
    other = await admin.post("/api/admin/credentials/check", json=WRONG)
    assert (other.status_code, other.json()["code"]) == (422, "refused")


async def test_an_exchange_that_the_bridge_does_not_know_is_not_saved(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    answer = await add(admin, acme, KEY | {"exchange": "binnance"})
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported")
    assert "binance" in answer.json()["detail"]  # what may be meant
    assert await stored(admin, acme) == []
    del market


@pytest.mark.parametrize("away", ["bridge", "exchange"])
async def test_what_could_not_be_asked_is_not_saved_and_it_is_said_how_to_save_it_nevertheless(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office, away: str
) -> None:
    await market.enrol("binance", {})
    if away == "bridge":
        office.bridges[:] = [replace(office.bridges[0], url="http://127.0.0.1:9")]
    else:
        await market.fault("binance", "html")
    answer = await add(admin, acme, KEY)
    assert (answer.status_code, answer.json()["code"]) == (503, "bridge_unavailable")
    assert "Nothing was saved" in answer.json()["detail"]
    assert "without verify" in answer.json()["detail"]
    assert await stored(admin, acme) == []


async def test_a_bridge_that_cannot_prove_says_so_and_the_key_is_saved(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    async def old(scope: Any, receive: Any, send: Any) -> None:
        await JSONResponse({"detail": "Not Found"}, 404)(scope, receive, send)

    async with served(old) as url:
        office.bridges[:] = [BridgeSettings(MAIN, url)]
        said = (await add(admin, acme, KEY)).json()
    assert said["verified"] == "unknown"
    assert "cannot prove credentials before they are stored" in said["verified_words"]
    assert len(await stored(admin, acme)) == 1


async def test_credentials_are_checked_alone_and_leave_no_trace(
    market: Market, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await market.enrol("okx", {})
    body = KEY | {"exchange": "okx", "passphrase": PASSPHRASE, "client_id": str(acme)}
    said = (await admin.post("/api/admin/credentials/check", json=body)).json()
    assert (said["verified"], said["bridge"], said["connector"]) == ("ok", "main", "okx")
    assert "okx accepted these credentials" in said["words"]
    assert await stored(admin, acme) == []
    assert (await market.bridge.get("/accounts")).json()["accounts"] == []


async def test_a_rotation_is_proven_too_before_it_replaces_what_works(
    market: Market, admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    await market.enrol("binance", {})
    key = (await add(admin, acme, KEY)).json()["id"]
    path, query = f"/api/admin/api-keys/{key}", {"verify": "true", "wait": "0"}
    new = {"api_key": API_KEY, "api_secret": WRONG["api_secret"]}
    answer = await admin.patch(path, params=query, json=new)
    assert (answer.status_code, answer.json()["code"]) == (422, "refused")
    audit = (await admin.get("/api/admin/audit")).json()["audit"]
    assert audit[0]["action"] == "key_added"
    new["api_secret"] = API_SECRET
    said = (await admin.patch(path, params=query, json=new)).json()
    assert (said["changed"], said["check"]["verified"]) == (["credentials"], "ok")
    del office
