import httpx
import pytest

from reconciler.model import ClientId
from tests.daemon.web.conftest import KEY

pytestmark = pytest.mark.anyio
PAUSES = "/api/admin/pauses"


async def test_a_client_is_paused_once_and_resumed(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    wanted = {"scope": "client", "id": str(acme), "reason": "maintenance"}
    first, again = [(await admin.post(PAUSES, json=wanted)).json() for _ in range(2)]
    assert first == {"message": "Paused"}
    assert again == {"message": "It is paused already, and stays as it was"}
    (pause,) = (await admin.get(PAUSES)).json()["pauses"]
    assert (pause["name"], pause["by"], pause["reason"]) == (
        "Acme Capital",
        "admin for tests",
        "maintenance",
    )
    of = {"scope": "client", "id": str(acme)}
    assert (await admin.delete(PAUSES, params=of)).json() == {"message": "Resumed"}
    assert (await admin.delete(PAUSES, params=of)).status_code == 404
    audit = (await admin.get("/api/admin/audit")).json()["audit"]
    assert [each["action"] for each in audit[:2]] == ["resumed", "paused"]


@pytest.mark.parametrize(
    "of", [("client", "x"), ("key", "x"), ("bridge", "<b>"), ("client", "0" * 32)]
)
async def test_what_is_not_there_is_not_paused(
    admin: httpx.AsyncClient, of: tuple[str, str]
) -> None:
    answer = await admin.post(PAUSES, json={"scope": of[0], "id": of[1]})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert of[1] not in answer.json()["detail"]
    assert (await admin.get(PAUSES)).json() == {"pauses": []}


async def test_everything_a_bridge_and_a_key_can_be_paused(
    admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    key = (await admin.post(path, json=KEY)).json()["id"]
    for body in ({"scope": "all"}, {"scope": "bridge", "id": "main"}, {"scope": "key", "id": key}):
        assert (await admin.post(PAUSES, json=body)).json() == {"message": "Paused"}
    listed = (await admin.get(PAUSES)).json()["pauses"]
    assert [each["scope"] for each in listed] == ["all", "bridge", "key"]
