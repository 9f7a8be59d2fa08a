import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from daemon.store.engine import make_engine, transaction
from daemon.store.people import People
from daemon.web.models import KeyState
from daemon.web.standing import added
from reconciler.model import ClientId, KeyId, Phase, Reason, Secret
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import API_KEY, API_SECRET, KEY, PASSPHRASE, Office

pytestmark = pytest.mark.anyio


async def add(admin: httpx.AsyncClient, client: ClientId, **more: Any) -> dict[str, Any]:
    path = f"/api/admin/clients/{client}/api-keys?wait=0"
    answer = await admin.post(path, json=KEY | more)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_key_is_saved_encrypted_though_no_bridge_is_there(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    said = await add(admin, acme, passphrase=PASSPHRASE, label="desk 2")

    assert said["message"] == "API key added successfully"
    assert said["trading_bridge_configured"] is False
    warning = said["trading_bridge_warning"]
    assert warning.startswith("Trading Bridge connector initialization failed: ")
    assert warning.endswith(" Use 'Reinitialize' button to retry.")
    assert (said["key"]["phase"], said["key"]["label"]) == ("pending", "desk 2")
    assert said["key"]["api_key"] == "cana…-yek"
    stored = await People(office.engine).sealed(said["id"])
    assert office.keyring.unseal(stored.api_secret) == Secret(API_SECRET)
    assert API_KEY not in stored.api_key


async def test_the_storys_other_endpoint_takes_the_client_in_the_body(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    answer = await admin.post("/api/admin/api-keys?wait=0", json=KEY | {"client_id": str(acme)})
    listed = (await admin.get(f"/api/admin/clients/{acme}/api-keys")).json()["keys"]
    assert [each["id"] for each in listed] == [answer.json()["id"]]


async def test_updated_at_is_set_though_nobody_says_it(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await add(admin, acme)
    async with transaction(office.engine) as connection:
        query = text("SELECT updated_at IS NOT NULL FROM public.exchange_api_keys")
        assert (await connection.execute(query)).scalar_one() is True


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"exchange": ""}, "exchange"),
        ({"exchange": "<b>binance</b>"}, "exchange"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "a\u0000b"}, "api_key"),
        ({"api_key": "\U0001f511"}, "api_key"),
        ({"api_key": 7}, "api_key"),
        ({"api_secret": "x" * 70_000}, "api_secret"),
        ({"api_secret": None}, "api_secret"),
        ({"passphrase": "x" * 300}, "passphrase"),
        ({"label": "a\nb"}, "label"),
        ({"is_testnet": "perhaps"}, "is_testnet"),
        ({"surprise": API_SECRET}, "surprise"),
    ],
)
async def test_what_cannot_be_used_is_named_and_not_repeated(
    admin: httpx.AsyncClient, acme: ClientId, wrong: dict[str, Any], field: str
) -> None:
    answer = await admin.post(f"/api/admin/clients/{acme}/api-keys", json=KEY | wrong)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid"
    assert field in [each["field"] for each in answer.json()["errors"]]
    assert (await admin.get(f"/api/admin/clients/{acme}/api-keys")).json() == {"keys": []}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"api_key": 7}, "api_key: is not text"),
        ({"is_testnet": "perhaps"}, "is_testnet: is neither true nor false"),
        ({"surprise": 1}, "surprise: there is no such field here"),
        ({"client_id": "acme"}, "client_id: is not an id, which looks like "),
        ([], "body: is not a JSON object; send one, as Content-Type: application/json"),
    ],
)
async def test_what_is_wrong_is_said_in_words_for_whoever_sent_it(
    admin: httpx.AsyncClient, acme: ClientId, wrong: dict[str, Any] | list[Any], words: str
) -> None:
    whole = KEY | {"client_id": str(acme)}
    sent = whole | wrong if isinstance(wrong, dict) else wrong
    answer = await admin.post("/api/admin/api-keys", json=sent)
    assert (answer.status_code, answer.json()["detail"][: len(words)]) == (422, words)


async def test_an_unknown_client_and_an_unknown_key_are_not_found(admin: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", f"/api/admin/clients/{uuid4()}/api-keys"),
        ("GET", f"/api/admin/clients/{uuid4()}/api-keys"),
        ("GET", f"/api/admin/api-keys/{uuid4()}"),
        ("DELETE", f"/api/admin/api-keys/{uuid4()}"),
        ("POST", f"/api/admin/clients/{uuid4()}/reinitialize"),
    ):
        answer = await admin.request(method, path, json=KEY if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


async def test_a_key_is_rotated_relabelled_disabled_and_deleted_and_all_of_it_is_audited(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/api-keys/{(await add(admin, acme))['id']}?wait=0"
    new = {"api_key": f"{API_KEY}-2", "api_secret": API_SECRET, "label": "desk 3"}
    assert (await admin.patch(path, json=new)).json()["label"] == "desk 3"
    off = (await admin.patch(path, json={"is_active": False})).json()
    assert (off["phase"], off["reason"], off["label"]) == ("inactive", "disabled", "desk 3")
    half = await admin.patch(path, json={"api_key": API_KEY})
    assert (half.status_code, half.json()["code"]) == (422, "invalid")
    assert (await admin.delete(path)).status_code == 200
    assert (await admin.get(path)).status_code == 404

    audit = (await admin.get("/api/admin/audit")).json()["audit"]
    assert [each["action"] for each in audit][:5] == [
        "key_deleted",
        "key_disabled",
        "key_relabelled",
        "key_rotated",
        "key_added",
    ]
    assert {each["actor"] for each in audit[:5]} == {"admin for tests"}
    assert {each["client_id"] for each in audit[:5]} == {str(acme)}
    del office


async def test_a_repeated_request_is_carried_out_once(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path, once = f"/api/admin/clients/{acme}/api-keys?wait=0", {"Idempotency-Key": str(uuid4())}
    first, again = [await admin.post(path, json=KEY, headers=once) for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await admin.post(path, json=KEY | {"label": "x"}, headers=once)
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert len((await admin.get(path)).json()["keys"]) == 1


async def test_requests_that_are_repeated_at_once_are_carried_out_once(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path, once = f"/api/admin/clients/{acme}/api-keys?wait=0", {"Idempotency-Key": "x"}
    posts = [admin.post(path, json=KEY, headers=once) for _ in range(5)]
    codes = {answer.status_code for answer in await asyncio.gather(*posts)}
    assert codes <= {200, 409}
    assert len((await admin.get(path)).json()["keys"]) == 1


async def test_what_was_refused_may_be_sent_again_under_the_same_key(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path, once = f"/api/admin/clients/{acme}/api-keys?wait=0", {"Idempotency-Key": "x"}
    assert (await admin.post(path, json=KEY | {"exchange": ""}, headers=once)).status_code == 422
    assert (await admin.post(path, json=KEY, headers=once)).status_code == 200


async def test_without_a_database_the_answer_says_so_and_nothing_is_half_saved(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    there = office.keeper.engine
    office.keeper.engine = make_engine("postgresql://nobody@127.0.0.1:1/nowhere")
    for path in (f"/api/admin/clients/{acme}/api-keys", "/api/admin/api-keys"):
        body = KEY if "clients" in path else KEY | {"client_id": str(acme)}
        answer = await admin.post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.headers["Retry-After"]
    await office.keeper.engine.dispose()
    office.keeper.engine = there
    assert (await admin.get(f"/api/admin/clients/{acme}/api-keys")).json() == {"keys": []}


async def test_a_key_is_reinitialized_under_its_own_client_only(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    key = (await add(admin, acme))["id"]
    other = (await admin.post("/api/admin/clients", json={"name": "Birch"})).json()["id"]
    path = "/api/admin/clients/{}/api-keys/{}/reinitialize?wait=0"
    assert (await admin.post(path.format(other, key))).status_code == 404
    assert (await admin.post(path.format(acme, key))).json()["keys"] == 1


async def test_what_does_not_change_a_key_says_so(admin: httpx.AsyncClient, acme: ClientId) -> None:
    body = KEY | {"exchange": "okx", "passphrase": PASSPHRASE, "label": "desk"}
    answer = await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=body)
    path = f"/api/admin/api-keys/{answer.json()['id']}?wait=0"
    same = (await admin.patch(path, json={"label": "desk", "is_active": True})).json()
    assert (same["changed"], same["message"]) == ([], "Nothing changed: it was so before")
    new = {"api_key": API_KEY, "api_secret": API_SECRET}
    for wrong, field in [
        ({}, None),
        ({"api_key": "", "api_secret": ""}, "api_key"),
        (new, "passphrase"),
        ({"api_key": API_KEY}, "api_secret"),
    ]:
        answer = await admin.patch(path, json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        errors = answer.json().get("errors", [{"field": None}])
        assert field in [each["field"] for each in errors]
    audit = (await admin.get("/api/admin/audit")).json()["audit"]
    assert audit[0]["action"] == "key_added"
    bare = (await admin.patch(path, json=new | {"passphrase": "", "label": "x"})).json()
    assert bare["changed"] == ["credentials", "label"]


async def test_a_key_that_waits_for_its_bridge_says_so_and_why_wherever_it_is_shown(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}"
    said = await add(admin, acme)
    assert "it has not ended yet, and goes on by itself" in said["trading_bridge_warning"]
    daemon = Daemon(office.engine)
    await daemon.hold(up=False, reason="connection refused")
    said = await add(admin, acme, exchange="okx")
    why, todo = "the bridge is out of reach: connection refused", "Use 'Reinitialize' button"
    failed = f"Trading Bridge connector initialization failed: {why}. {todo} to retry."
    assert said["trading_bridge_warning"] == failed
    for place in (
        said["key"],
        (await admin.get(f"/api/admin/api-keys/{said['id']}")).json(),
        (await admin.get(f"{path}/api-keys")).json()["keys"][0],
        (await admin.get("/api/admin/connectors")).json()["connectors"][0],
        (await admin.get(f"{path}/balances")).json()["keys"][0],
    ):
        assert (place["why"], place["phase"]) == (why, "pending")
        assert "see that the bridge runs" in place["todo"]


async def test_an_exchange_that_is_not_known_is_saved_with_a_doubt_and_the_nearest_names(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    (doubt,) = (await add(admin, acme, exchange="binanc"))["warnings"]
    assert doubt["code"] == "unknown_exchange"
    assert "did you mean binance" in doubt["text"]
    names = doubt["text"].partition("did you mean ")[2].partition("?")[0].split(" or ")
    assert len(names) == len(set(names))
    assert (await add(admin, acme, exchange="gate.io".replace(".", "_")))["warnings"] == []


async def test_a_key_that_takes_anothers_place_says_whose(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    first = (await admin.post(path, json=KEY)).json()
    again = (await admin.post(path, json=KEY | {"api_key": "another-key"})).json()
    assert first["warnings"] == []
    (warning,) = again["warnings"]
    assert warning["code"] == "displaced"
    assert f"takes the place of the client's binance key {first['id'][:8]}" in warning["text"]


async def test_a_key_that_is_enabled_says_whose_place_it_takes(
    admin: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    first = await add(admin, acme)
    newer = await add(admin, acme, api_key="another-key")
    await Daemon(office.engine).hold()
    for key, codes in ((newer, ["displaced"]), (first, [])):
        path = f"/api/admin/api-keys/{key['id']}"
        assert (await admin.patch(path, json={"is_active": False})).json()["warnings"] == []
        told = (await admin.patch(path, json={"is_active": True})).json()
        assert [warning["code"] for warning in told["warnings"]] == codes


async def test_a_key_that_could_not_be_proven_is_not_called_right(
    admin: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    """As while its exchange is away."""
    path = f"/api/admin/api-keys/{(await add(admin, acme))['id']}"
    daemon = Daemon(office.engine)
    for message, codes in (("", []), ("the exchange answered HTTP 503", ["unproven"])):
        await daemon.hold()
        await daemon.write(KeyId(UUID(path[-36:])), Phase.LIVE, Reason.APPLIED, message=message)
        told = added(KeyState.model_validate((await admin.get(path)).json()), [])
        assert told.trading_bridge_configured
        assert [warning.code for warning in told.warnings] == codes
        assert all(message in warning.text for warning in told.warnings)


async def test_a_key_in_anothers_place_shows_nothing_of_what_that_one_was(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    key = (await add(admin, acme))["id"]
    daemon = Daemon(office.engine)
    await daemon.hold()
    born = {"live_since": datetime(2026, 1, 1, tzinfo=UTC)}
    for phase, shown in ((Phase.LIVE, True), (Phase.PENDING, False), (Phase.RETRYING, False)):
        await daemon.write(KeyId(key), phase, Reason.CHANGED, **born)
        said = (await admin.get(f"/api/admin/api-keys/{key}")).json()
        assert (said["live_since"] is not None) == shown
