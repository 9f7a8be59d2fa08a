from datetime import datetime

import httpx
import pytest

from bridge.connectors import Registry

pytestmark = pytest.mark.anyio


async def test_an_account_is_created_once_and_asking_again_is_no_error(
    bridge: httpx.AsyncClient,
) -> None:
    first, again = [
        await bridge.post("/accounts/create", json={"account_name": "acme"}) for _ in range(2)
    ]
    assert first.status_code == again.status_code == 200
    assert first.json() | {"message": ""} == {
        "success": True,
        "account_name": "acme",
        "message": "",
    }
    assert "created" in first.json()["message"]
    assert "exists" in again.json()["message"]


async def test_accounts_are_listed_by_name_with_the_boot_id(bridge: httpx.AsyncClient) -> None:
    for name in ("zed", "acme"):
        await bridge.post("/accounts/create", json={"account_name": name})
    listed = (await bridge.get("/accounts")).json()
    assert [account["name"] for account in listed["accounts"]] == ["acme", "zed"]
    assert listed["boot_id"] == (await bridge.get("/health")).json()["boot_id"]


async def test_an_account_shows_its_connectors_and_a_time_without_zone(
    bridge: httpx.AsyncClient,
) -> None:
    await bridge.post("/accounts/create", json={"account_name": "acme"})
    account = (await bridge.get("/accounts/acme")).json()
    assert account["name"] == "acme"
    assert account["connectors"] == []
    assert datetime.fromisoformat(account["created_at"]).tzinfo is None


async def test_an_unknown_account_is_not_found(bridge: httpx.AsyncClient) -> None:
    answer = await bridge.get("/accounts/nobody")
    assert answer.status_code == 404
    assert answer.json() == {
        "type": "urn:bridgetender:not_found",
        "title": "There is no such thing here",
        "status": 404,
        "detail": "Account 'nobody' not found",
        "code": "not_found",
    }


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", "a\0b", "x" * 201])
async def test_a_name_that_could_not_travel_in_a_path_is_malformed(
    bridge: httpx.AsyncClient, name: str
) -> None:
    answer = await bridge.post("/accounts/create", json={"account_name": name})
    assert answer.status_code == 422
    assert answer.json()["code"] == "malformed"


async def test_a_name_with_spaces_and_letters_of_any_script_works(
    bridge: httpx.AsyncClient,
) -> None:
    await bridge.post("/accounts/create", json={"account_name": "Müller & Söhne 🦊"})
    answer = await bridge.get("/accounts/M%C3%BCller%20%26%20S%C3%B6hne%20%F0%9F%A6%8A")
    assert answer.status_code == 200


async def test_every_start_has_a_boot_id_of_its_own() -> None:
    assert Registry().boot_id != Registry().boot_id
