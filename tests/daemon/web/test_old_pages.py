"""A page that is open may be old by now: what is pressed there, and where it leads from there."""

import httpx
import pytest

from reconciler.model import ClientId, KeyId, Phase, Reason
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import KEY, Office

pytestmark = pytest.mark.anyio


@pytest.fixture
async def daemon(office: Office) -> Daemon:
    return Daemon(office.engine)


@pytest.fixture
async def key(daemon: Daemon, admin: httpx.AsyncClient, acme: ClientId) -> KeyId:
    said = await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=KEY)
    await daemon.hold()
    return KeyId(said.json()["id"])


async def test_what_has_gone_live_since_the_page_was_made_is_not_replaced_unasked(
    daemon: Daemon, console: httpx.AsyncClient, key: KeyId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    here = f"/console/keys/{key}"
    assert (await console.post(f"{here}/reinitialize")).status_code == 303
    assert "Reinitialized." in (await console.get(here)).text
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    for sure in ("", "another"):
        form = {"sure": sure, "back": "//evil.test"}
        asked = await console.post(f"{here}/reinitialize", data=form)
        assert asked.status_code == 409
        assert "The key for binance of Acme Capital is live" in asked.text
        assert f'name="sure" value="{key}"' in asked.text
        assert "evil" not in asked.text
    assert "Reinitialized." not in (await console.get(here)).text
    agreed = await console.post(f"{here}/reinitialize", data={"sure": str(key), "back": here})
    assert (agreed.status_code, agreed.headers["location"]) == (303, here)
    assert "Reinitialized." in (await console.get(here)).text


@pytest.mark.usefixtures("key")
async def test_many_keys_are_not_initialized_again_by_one_press(
    console: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    scopes = ((f"/console/clients/{acme}", str(acme)), ("/console", "all"))
    for where, sure in scopes:
        asked = await console.post(f"{where}/reinitialize")
        assert asked.status_code == 409
        assert "connectors that trade now are replaced" in asked.text
        page = (await console.get(where)).text
        assert f'name="sure" value="{sure}"' in page  # which asks beside the button
        form = {"sure": sure}
        done = await console.post(f"{where}/reinitialize", data=form, follow_redirects=True)
        assert "1 active key is initialized again." in done.text
