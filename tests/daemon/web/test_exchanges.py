"""Keys of exchanges whose credentials are others than key and secret."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse

from bridge.catalogue import catalogue
from daemon.settings import BridgeSettings
from daemon.store.people import People
from reconciler.model import BridgeName, ClientId
from reconciler.routes import MAIN
from tests.daemon.cli.conftest import served
from tests.daemon.web.conftest import API_KEY, API_SECRET, AWAY, PASSPHRASE, Office, logged_in

pytestmark = pytest.mark.anyio
LACKS = {"field": "passphrase", "problem": "is missing, and okx needs one"}
SECRETS = {"api_key": API_KEY, "api_secret": API_SECRET}


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
    office.bridges[:] = [AWAY]
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


async def test_a_key_that_lacks_what_its_exchange_needs_is_not_stored_and_the_field_is_named(
    asked: list[Any], admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path, sent = f"/api/admin/clients/{acme}/api-keys", {"exchange": "OKEx", **SECRETS}
    for query in ({}, {"verify": "true"}):
        answer = await admin.post(path, params=query, json=sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["errors"][0]["field"] == "passphrase"
    answer = await admin.post("/api/admin/credentials/check", json=sent | {"exchange": "okx"})
    assert answer.json()["errors"] == [LACKS]
    answer = await admin.post(path, json={"exchange": "coinmate", **SECRETS})
    assert "passphrase: is missing, and coinmate needs one; it is its User id" in answer.text
    assert (await admin.get(path)).json()["keys"] == []
    assert asked == []


@pytest.mark.usefixtures("asked")
async def test_new_credentials_that_lack_what_the_exchange_needs_leave_the_key_as_it_is(
    admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    sent = {"exchange": "okx", "passphrase": PASSPHRASE, **SECRETS}
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    key = (await admin.post(path, json=sent)).json()["id"]
    before = await People(office.engine).sealed(key)
    answer = await admin.patch(f"/api/admin/api-keys/{key}", json=SECRETS | {"passphrase": ""})
    assert (answer.status_code, answer.json()["errors"]) == (422, [LACKS])
    assert await People(office.engine).sealed(key) == before


@pytest.mark.usefixtures("asked")
async def test_a_row_that_lacks_what_its_exchange_needs_is_told_so_and_spoils_no_other(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    rows = [{"exchange": name, **SECRETS} for name in ("okx", "binance")]
    path = f"/api/admin/clients/{acme}/api-keys/import"
    report = (await admin.post(path, json=rows)).json()["rows"]
    assert [row["state"] for row in report] == ["invalid", "added"]
    assert report[0]["words"] == "passphrase: is missing, and okx needs one"
    assert (report[0]["client"], report[0]["exchange"]) == ("Acme Capital", "okx")


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"supported_exchanges": ["okx"]},
        {"exchanges": {"okx": {"fields": ["api_key", "api_secret", "password"]}}},
        {"exchanges": {"okx": {"requires": ["apiKey", "secret", "something new"]}}},
    ],
)
async def test_where_no_bridge_says_what_is_needed_any_key_is_stored(
    office: Office, admin: httpx.AsyncClient, acme: ClientId, told: dict[str, Any] | None
) -> None:
    async def bridge(scope: Any, receive: Any, send: Any) -> None:
        answer = JSONResponse({"detail": "Not Found"}, 404) if told is None else JSONResponse(told)
        await answer(scope, receive, send)

    path, sent = f"/api/admin/clients/{acme}/api-keys?wait=0", {"exchange": "okx", **SECRETS}
    async with served(bridge) as url:
        office.bridges[:] = [BridgeSettings(MAIN, url)]
        answer = await admin.post(path, json=sent)
    assert (answer.status_code, answer.json()["trading_bridge_configured"]) == (200, False)


async def test_what_a_bridge_told_counts_while_it_is_away(
    asked: list[Any], office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    assert (await admin.get("/api/admin/exchanges")).json()["exchanges"]
    office.bridges[:] = [AWAY]
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    answer = await admin.post(path, json={"exchange": "okx", **SECRETS})
    assert (answer.status_code, answer.json()["errors"]) == (422, [LACKS])
    assert asked == []


async def test_each_exchange_is_told_of_by_the_bridge_that_a_key_of_it_goes_to(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    def tells(**exchanges: list[str]) -> Any:
        return JSONResponse({"exchanges": {n: {"requires": r} for n, r in exchanges.items()}})

    pair = ["apiKey", "secret"]
    main = tells(binance=pair, okx=pair, kraken=pair)
    for_okx, for_acme = tells(okx=[*pair, "password"], bybit=pair), tells(okx=[*pair, "uid"])
    async with served(main) as one, served(for_okx) as two, served(for_acme) as three:
        office.bridges[:] = [
            BridgeSettings(MAIN, one),
            BridgeSettings(BridgeName("second"), two, exchanges=frozenset({"okx"})),
            BridgeSettings(BridgeName("third"), three, clients=frozenset({"Acme Capital"})),
        ]
        path = "/api/admin/exchanges"
        anybody = (await admin.get(path)).json()["exchanges"]
        whose = (await admin.get(path, params={"client_id": str(acme)})).json()["exchanges"]
        sent = {"exchange": "okx", **SECRETS}
        added = await admin.post(f"/api/admin/clients/{acme}/api-keys", json=sent)
        async with logged_in(office) as console:
            form = (await console.get(f"/console/clients/{acme}")).text
        unknown = await admin.get(path, params={"client_id": str(uuid4())})
    assert [(each["exchange"], each["bridge"], len(each["fields"])) for each in anybody] == [
        ("binance", "main", 2),
        ("kraken", "main", 2),
        ("okx", "second", 3),
    ]
    assert [(each["exchange"], each["bridge"]) for each in whose] == [("okx", "third")]
    assert "it is its User id" in added.json()["detail"]
    assert ('<option value="okx"' in form, '<option value="kraken"' in form) == (True, False)
    assert unknown.status_code == 404
