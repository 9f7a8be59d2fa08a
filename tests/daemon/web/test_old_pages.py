"""A page that is open may be old by now: what is pressed there, and where it leads from there."""

import re
from typing import NoReturn

import httpx
import pytest

from reconciler.model import ClientId, KeyId, Phase, Reason
from reconciler.verdicts import StoreError
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import KEY, Office, logged_in

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


async def test_who_enables_a_key_is_told_whose_place_it_takes(
    console: httpx.AsyncClient, key: KeyId, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another may have come there since the page was made that asked."""
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    form = KEY | {"api_key": "another-key", "sure": str(key)}
    await console.post(f"/console/clients/{acme}/keys", data=form)
    page = (await console.get(f"/console/clients/{acme}")).text
    (newer,) = set(re.findall(r"/console/keys/([0-9a-f-]{36})", page)) - {str(key)}
    here = f"/console/keys/{newer}"
    for active, told in (("false", False), ("true", True)):
        await console.post(f"{here}/active", data={"active": active})
        words = f"takes the place of the client&#39;s binance key {str(key)[:8]}"
        assert (words in (await console.get(here)).text) is told


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


async def test_what_was_deleted_elsewhere_is_said_to_be_gone_and_leads_on(
    console: httpx.AsyncClient, key: KeyId
) -> None:
    where = f"/console/keys/{key}"
    assert (await console.post(f"{where}/delete")).status_code == 303
    for gone in (await console.get(where), await console.post(f"{where}/delete")):
        assert gone.status_code == 404
        assert "This key is not there any more" in gone.text
        assert '<a href="/console/clients">Clients</a>' in gone.text
        assert "Log in" not in gone.text
    other = await console.get("/console/nothing")
    assert '<a href="/console/clients">Clients</a>' in other.text


async def test_while_the_database_is_away_a_page_leads_on_and_tries_again(
    office: Office, console: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> NoReturn:
        raise StoreError("the connection was lost")

    office.gate.forget()
    monkeypatch.setattr(office.gate.tokens, "by_id", away)
    page = await console.get("/console/keys?q=a&phase=live")
    assert (page.status_code, page.headers["refresh"]) == (503, "10")
    assert '<a href="/console/keys?q=a&amp;phase=live">Try again</a>' in page.text
    assert '<a href="/console/clients">Clients</a>' in page.text
    assert "data-events" not in page.text
    assert "Log in" not in page.text
    sent = await console.post("/console/reinitialize")
    assert (sent.status_code, "refresh" in sent.headers) == (503, False)
    assert "Try again" not in sent.text


async def test_who_may_not_see_a_page_keeps_the_way_back_and_a_stranger_the_login(
    office: Office, acme: ClientId
) -> None:
    async with logged_in(office, "client", client_id=acme) as web:
        page = await web.get("/console/keys")
    assert page.status_code == 403
    assert '<a href="/console/mine">My balances</a>' in page.text
    assert "Log out" in page.text
    assert "/console/clients" not in page.text
    async with office.web() as web:
        assert '<a href="/console/login">Log in</a>' in (await web.get("/console/nothing")).text
