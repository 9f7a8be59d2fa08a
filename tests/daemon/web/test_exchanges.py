"""Keys of exchanges whose credentials are others than key and secret."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from bridge.catalogue import catalogue
from daemon.settings import BridgeSettings
from reconciler.model import ClientId
from reconciler.routes import MAIN
from tests.daemon.cli.conftest import served
from tests.daemon.web.conftest import API_KEY, API_SECRET, PASSPHRASE, Office

pytestmark = pytest.mark.anyio


@pytest.fixture
async def asked(office: Office) -> AsyncIterator[list[Any]]:
    """What a bridge is asked that knows all exchanges and believes everything."""
    bodies: list[Any] = []

    async def bridge(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if scope["path"] == "/connectors/supported":
            await JSONResponse({"exchanges": catalogue()})(scope, receive, send)
            return
        bodies.append(json.loads(await request.body()))
        told = {"success": True, "verified_at": "2026-11-28T12:00:00Z"}
        await JSONResponse(told)(scope, receive, send)

    async with served(bridge) as url:
        office.bridges[:] = [BridgeSettings(MAIN, url)]
        yield bodies


async def test_each_exchange_is_listed_with_the_fields_of_its_keys(
    asked: list[Any], admin: httpx.AsyncClient
) -> None:
    said = (await admin.get("/api/admin/exchanges")).json()["exchanges"]
    found = {each["exchange"]: each for each in said}
    assert len(found) == len(catalogue())
    assert found["hyperliquid"]["fields"] == [
        {"name": "api_key", "label": "Wallet address"},
        {"name": "api_secret", "label": "Private key"},
    ]
    assert found["binance"]["unfit"] == ""
    assert "Login" in found["ndax"]["unfit"]
    assert asked == []


async def test_a_bridge_that_is_away_lists_none(admin: httpx.AsyncClient, office: Office) -> None:
    office.bridges[:] = [BridgeSettings(MAIN, "http://127.0.0.1:9")]
    assert (await admin.get("/api/admin/exchanges")).json() == {"exchanges": []}


@pytest.mark.parametrize(
    ("exchange", "sent"),
    [
        ("polymarket", {"api_secret": API_SECRET}),
        ("dydx", {"api_key": API_KEY}),
        ("coinmate", {"api_key": API_KEY, "api_secret": API_SECRET, "passphrase": PASSPHRASE}),
    ],
)
async def test_a_key_with_other_fields_is_proven_stored_and_rotated(
    asked: list[Any], admin: httpx.AsyncClient, acme: ClientId, exchange: str, sent: dict[str, str]
) -> None:
    query = {"wait": "0", "verify": "true"}
    path = f"/api/admin/clients/{acme}/api-keys"
    added = await admin.post(path, params=query, json={"exchange": exchange, **sent})
    assert (added.status_code, added.json()["verified"]) == (200, "ok")
    key = f"/api/admin/api-keys/{added.json()['id']}"
    rotated = await admin.patch(key, params=query, json=sent)
    assert (rotated.status_code, rotated.json()["changed"]) == (200, ["credentials"])
    for body in asked:
        assert body["connector_name"] == exchange
        assert body["api_key"] == sent.get("api_key", "")
        assert body["api_secret"] == sent.get("api_secret", "")
        assert body.get("password") == sent.get("passphrase")


async def test_what_the_exchange_does_have_must_be_there(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/api-keys"
    answer = await admin.post(path, json={"exchange": "binance", "api_secret": API_SECRET})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "api_key")
