"""Forms of keys: check-only, verify first, and secrets that stay in the form that was sent."""

from collections.abc import AsyncIterator

import httpx
import pytest

from daemon.store.people import People
from reconciler.model import ClientId
from tests.daemon.web.conftest import API_KEY, API_SECRET, Office
from tests.daemon.web.market import Market, market_of

pytestmark = pytest.mark.anyio
FORM = {"exchange": "binance", "api_key": API_KEY, "api_secret": API_SECRET}
WRONG = FORM | {"api_secret": "d3JvbmctY2FuYXJ5LXdyb25nLWNhbmFyeQ=="}
BY_SCRIPT = {"x-live": "1"}


@pytest.fixture
async def market(office: Office) -> AsyncIterator[Market]:
    async with market_of(office) as market:
        yield market


async def test_credentials_are_checked_and_nothing_is_saved(
    market: Market, console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    await market.enrol("binance", {}, rights=["read", "trade", "withdraw"])
    here = f"/console/clients/{acme}/check"
    page = (await console.post(here, data=FORM)).text
    assert "binance accepted these credentials" in page
    assert "Nothing was saved" in page
    assert "may read, trade and withdraw" in page
    answer = await console.post(here, data=WRONG, headers=BY_SCRIPT)
    assert (answer.status_code, "x-next" in answer.headers) == (422, False)
    assert "The exchange refuses these credentials" in answer.text
    assert not await People(office.engine).keys(acme)


async def test_new_credentials_are_checked_and_the_key_stays_as_it_is(
    market: Market, console: httpx.AsyncClient, office: Office, acme: ClientId
) -> None:
    await market.enrol("binance", {})
    key = await market.live(acme, "binance")
    before = await People(office.engine).sealed(key)
    here, stale = f"/console/keys/{key}", {"no_passphrase": "true"}
    assert 'name="no_passphrase" value="true"' in (await console.get(here)).text
    page = (await console.post(f"{here}/check", data=FORM | stale, headers=BY_SCRIPT)).text
    assert "binance accepted these credentials" in page
    for deed in ("check", "rotate"):
        form = WRONG | stale | {"verify": "true"}
        answer = await console.post(f"{here}/{deed}", data=form, headers=BY_SCRIPT)
        assert answer.status_code == 422
        assert "The exchange refuses these credentials" in answer.text
    assert await People(office.engine).sealed(key) == before


async def test_a_script_is_told_where_to_go_on_once_a_key_is_saved(
    console: httpx.AsyncClient, acme: ClientId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.web.console.deeds.WAIT", 0.0)
    here = f"/console/clients/{acme}"
    wrong = await console.post(f"{here}/keys", data=FORM | {"api_key": ""}, headers=BY_SCRIPT)
    assert (wrong.status_code, "Nothing was saved. api_key: is empty" in wrong.text) == (422, True)
    answer = await console.post(f"{here}/keys", data=FORM, headers=BY_SCRIPT)
    assert (answer.status_code, answer.headers["x-next"]) == (204, here)
    assert "initialization failed" in (await console.get(here)).text


async def test_a_form_has_the_fields_of_its_exchange_under_their_names(
    market: Market, console: httpx.AsyncClient, acme: ClientId
) -> None:
    for exchange, labels in [
        ("binance", ["New API key", "New API secret"]),
        ("okx", ["New API key", "New API secret", "New Passphrase"]),
        ("hyperliquid", ["New Wallet address", "New Private key"]),
    ]:
        key = await market.stored(acme, exchange)
        page = (await console.get(f"/console/keys/{key}")).text
        assert [f'<span class="name">{label}</span>' in page for label in labels] == [True] * len(
            labels
        )
        assert page.count('class="name"') == len(labels)
    page = (await console.get(f"/console/clients/{acme}")).text
    assert "Wallet address" in page
