import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from reconciler.model import ClientId
from tests.daemon.web.conftest import Office

pytestmark = pytest.mark.anyio


async def test_a_client_is_added_renamed_suspended_and_deleted(admin: httpx.AsyncClient) -> None:
    made = await admin.post("/api/admin/clients", json={"name": "Birch & Co"})
    assert made.status_code == 201
    assert (made.json()["account"], made.json()["status"]) == ("client_birch_&_co", "ACTIVE")
    path = f"/api/admin/clients/{made.json()['id']}"
    filed = (await admin.patch(path, json={"account": "birch"})).json()
    assert filed["account"] == "birch"
    renamed = (await admin.patch(path, json={"name": "Birch"})).json()
    assert (renamed["name"], renamed["account"]) == ("Birch", "birch")
    suspended = (await admin.patch(path, json={"status": "SUSPENDED"})).json()
    assert suspended["status"] == "SUSPENDED"
    nothing = await admin.patch(path, json={})
    assert (nothing.status_code, "Say what is to be" in nothing.json()["detail"]) == (422, True)
    assert (await admin.delete(path)).json()["message"] == "Client deleted, with 0 key(s)"
    assert (await admin.get(path)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [{}, {"name": ""}, {"name": "a\nb"}, {"name": "x" * 300}, {"name": "a", "account": "../x"}],
)
async def test_a_name_that_will_not_do_is_named(
    admin: httpx.AsyncClient, wrong: dict[str, str]
) -> None:
    answer = await admin.post("/api/admin/clients", json=wrong)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


async def test_the_audit_is_read_page_by_page_the_newest_first(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    for name in ("a", "b", "c"):
        await admin.patch(f"/api/admin/clients/{acme}", json={"name": name})
    first = (await admin.get("/api/admin/audit", params={"limit": 2})).json()
    rest = (await admin.get("/api/admin/audit", params={"before": first["next"]})).json()
    names = [each["detail"].get("name") for each in (*first["audit"], *rest["audit"])]
    assert [name for name in names if name in ("a", "b", "c")] == ["c", "b", "a"]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE bridgetender.audit SET actor = 'x'",
        "DELETE FROM bridgetender.audit",
        "TRUNCATE bridgetender.audit",
    ],
)
async def test_the_audit_is_only_added_to(office: Office, change: str) -> None:
    with pytest.raises(DBAPIError, match="only added to"):
        async with office.engine.begin() as connection:
            await connection.execute(text(change))


async def test_a_client_whose_account_is_anothers_too_is_warned_of_and_how_to_mend_it(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    made = (await admin.post("/api/admin/clients", json={"name": "ACME capital"})).json()
    assert "'client_acme_capital' is that of the client 'Acme Capital'" in made["warning"]
    path = f"/api/admin/clients/{made['id']}"
    assert (await admin.patch(path, json={"account": "acme-2"})).json()["warning"] is None
    other = await admin.patch(f"/api/admin/clients/{acme}", json={"account": "acme-2"})
    assert "'ACME capital'" in other.json()["warning"]
