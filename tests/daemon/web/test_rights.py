"""What a key may do is in its state and in every listing, for as long as it is there."""

from datetime import timedelta

import httpx
import pytest

from reconciler.model import ClientId, KeyId, Phase, Reason, Rights
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import KEY, Office, logged_in

pytestmark = pytest.mark.anyio


async def test_a_key_that_may_withdraw_and_ends_soon_says_so_wherever_it_is_shown(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}"
    key = (await admin.post(f"{path}/api-keys?wait=0", json=KEY)).json()["id"]
    daemon = Daemon(office.engine)
    await daemon.hold()
    end = daemon.now + timedelta(days=3, hours=1)
    rights = Rights(read=True, trade=False, withdraw=True, expires_at=end)
    await daemon.write(KeyId(key), Phase.LIVE, Reason.APPLIED, rights=rights)
    for place in (
        (await admin.get(f"/api/admin/api-keys/{key}")).json(),
        (await admin.get(f"{path}/api-keys")).json()["keys"][0],
        (await admin.get("/api/admin/connectors?warning=may_withdraw")).json()["connectors"][0],
        (await admin.get(f"{path}/status")).json()["keys"][0],
    ):
        assert [each["code"] for each in place["warnings"]] == ["may_withdraw", "expires_soon"]
        assert (place["rights"]["trade"], place["rights"]["ip_restricted"]) == (False, None)
    status = (await admin.get(f"{path}/status")).json()
    assert status["well"] is True
    assert "binance: it may withdraw funds" in status["summary"]
    async with logged_in(office) as web:
        pages = [f"keys/{key}", f"clients/{acme}", "keys"]
        shown = [(await web.get(f"/console/{page}")).text for page in pages]
    assert all("Warning: it may withdraw funds" in page for page in shown)
    assert f"may read and withdraw, may not trade, until {end:%Y-%m-%d}" in shown[0]
