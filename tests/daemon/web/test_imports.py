"""Many keys at once by the API: good rows are stored, bad ones named, and nothing twice."""

from typing import Any

import httpx
import pytest

from daemon.store.people import People
from reconciler.model import ClientId, KeyId
from reconciler.verdicts import StoreError
from tests.daemon.web.conftest import API_KEY, API_SECRET, KEY, PASSPHRASE, Office

pytestmark = pytest.mark.anyio
GOOD = [KEY, KEY | {"exchange": "okx", "passphrase": PASSPHRASE, "label": "desk 2"}]


async def imported(admin: httpx.AsyncClient, client: ClientId, rows: Any, **query: str) -> Any:
    path = f"/api/admin/clients/{client}/api-keys/import"
    answer = await admin.post(path, params=query, json=rows)
    assert answer.status_code == 200, answer.text
    return answer.json()


def states(said: Any) -> list[str]:
    return [row["state"] for row in said["rows"]]


async def stored(admin: httpx.AsyncClient, client: ClientId) -> list[Any]:
    found: list[Any] = (await admin.get(f"/api/admin/clients/{client}/api-keys")).json()["keys"]
    return found


async def test_good_rows_are_stored_bad_ones_named_and_a_second_time_nothing_happens(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    bad = KEY | {"api_secret": f"{API_SECRET} {API_SECRET}"}
    rows = [GOOD[0], bad, GOOD[1], GOOD[0] | {"label": "once more"}, GOOD[0] | {"is_testnet": True}]
    said = await imported(admin, acme, rows)
    assert states(said) == ["added", "invalid", "added", "duplicate", "added"]
    assert said["counts"] == {"added": 3, "invalid": 1, "duplicate": 1}
    assert said["rows"][1]["words"].startswith("api_secret: holds a blank")
    assert said["rows"][3]["words"] == "the same as row 1"
    keys = await stored(admin, acme)
    assert {key["id"] for key in keys} == {row["id"] for row in said["rows"] if row["id"]}
    assert [key["api_key"] for key in keys] == ["cana…-yek"] * 3
    again = await imported(admin, acme, rows)
    assert states(again) == ["duplicate", "invalid", "duplicate", "duplicate", "duplicate"]
    assert again["rows"][0]["words"] == "stored already"
    audit = (await admin.get("/api/admin/audit")).json()["audit"]
    assert [each["actor"] for each in audit if each["action"] == "key_added"] == [
        "admin for tests"
    ] * 3


async def test_what_was_stored_by_hand_under_another_spelling_is_a_duplicate(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    await admin.post(path, json=KEY | {"exchange": "gateio"})
    said = await imported(
        admin, acme, [KEY | {"exchange": "gate"}, KEY | {"api_key": API_KEY[::-1]}]
    )
    assert states(said) == ["duplicate", "added"]


async def test_a_dry_run_says_all_that_and_stores_nothing(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    said = await imported(admin, acme, [GOOD[0], GOOD[0], GOOD[1]], dry_run="true")
    assert (said["dry_run"], states(said)) == (
        True,
        ["would_be_added", "duplicate", "would_be_added"],
    )
    assert await stored(admin, acme) == []


async def test_a_row_that_takes_a_place_says_whose(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=KEY)
    rows = [KEY | {"api_key": f"another-key-{number}"} for number in range(2)]
    for more in ({"dry_run": "true"}, {}):
        said = await imported(admin, acme, [*rows, KEY], **more)
        words = [row["words"] for row in said["rows"]]
        assert "takes the place of the one that is stored" in words[0]
        assert "takes the place of row 1" in words[1]
        assert words[2] == "stored already"


async def test_rows_may_name_their_clients_and_never_another_than_the_paths(
    admin: httpx.AsyncClient, acme: ClientId, office: Office
) -> None:
    birch = await People(office.engine).add_client("Birch")
    csv = "client,exchange,api_key,api_secret\n" + "".join(
        f"{client},binance,{API_KEY},{API_SECRET}\n"
        for client in ("Acme Capital", str(birch), "Nobody", "")
    )
    headers = {"Content-Type": "text/csv"}
    path = "/api/admin/api-keys/import"
    said = (await admin.post(path, content=csv, headers=headers)).json()
    assert states(said) == ["added", "added", "invalid", "invalid"]
    assert [row["client"] for row in said["rows"]] == ["Acme Capital", "Birch", None, None]
    path = f"/api/admin/clients/{acme}/api-keys/import"
    said = (await admin.post(path, content=csv, headers=headers)).json()
    assert states(said) == ["duplicate", "invalid", "invalid", "duplicate"]
    assert said["rows"][1]["words"] == "client: is another one than this import is for"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[", b'"text"', b"a,b\n1,2\n"])
async def test_a_body_that_is_no_list_of_keys_is_refused_whole(
    admin: httpx.AsyncClient, acme: ClientId, body: bytes
) -> None:
    for path in (f"/api/admin/clients/{acme}/api-keys/import", "/api/admin/api-keys/import"):
        answer = await admin.post(path, content=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_a_database_that_goes_away_midway_is_told_row_by_row(
    admin: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = People.add_key
    calls: list[int] = []

    async def add_key(people: People, *arguments: Any) -> KeyId:
        calls.append(1)
        if len(calls) == 2:
            raise StoreError("the connection was lost")
        return await real(people, *arguments)

    monkeypatch.setattr(People, "add_key", add_key)
    said = await imported(admin, acme, [*GOOD, KEY | {"exchange": "bybit"}])
    assert states(said) == ["added", "failed", "added"]
    assert "the connection was lost" in said["rows"][1]["words"]
    assert len(await stored(admin, acme)) == 2
    again = await imported(admin, acme, [*GOOD, KEY | {"exchange": "bybit"}])
    assert states(again) == ["duplicate", "added", "duplicate"]
