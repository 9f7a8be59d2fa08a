"""While a bridge is away nobody is told that its keys are live, and open pages hear of it."""

import httpx
import pytest

from reconciler.model import ClientId, KeyId, Phase, Reason
from tests.daemon.cli.conftest import Daemon
from tests.daemon.web.conftest import KEY, Office, logged_in

pytestmark = pytest.mark.anyio
AWAY = "the bridge is out of reach: connection refused"


async def test_a_key_of_a_bridge_that_is_away_is_called_live_nowhere(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    key = (await admin.post(f"/api/admin/clients/{acme}/api-keys?wait=0", json=KEY)).json()["id"]
    daemon = Daemon(office.engine)
    await daemon.hold()
    await daemon.write(KeyId(key), Phase.LIVE, Reason.APPLIED)
    there = (await admin.get(f"/api/admin/api-keys/{key}")).json()
    assert (there["bridge_up"], there["why"], there["todo"]) == (
        True,
        "the bridge has these credentials",
        "nothing",
    )
    async with logged_in(office) as web:
        paths = [f"/console/keys/{key}", f"/console/clients/{acme}"]
        seen = {path: (await web.get(path)).headers["etag"] for path in paths}
        await daemon.hold(up=False, reason="connection refused")
        await office.roster.anew()
        for path, tag in seen.items():
            page = await web.get(path, headers={"if-none-match": tag})
            assert page.status_code == 200
            assert AWAY in page.text
            assert "see that the bridge runs" in page.text
        assert AWAY in (await web.get("/console/keys")).text
        assert "0 of 1 live" in (await web.get("/console/clients")).text
        for path in ("/console/clients", "/console/history"):
            assert "does not answer: connection refused" in (await web.get(path)).text
        for path in (*seen, "/console", "/console/keys"):
            shown = (await web.get(path)).text
            assert 'class="phase live"' not in shown
            assert "live when last seen" in shown
    away = (await admin.get(f"/api/admin/api-keys/{key}")).json()
    assert (away["bridge_up"], away["phase"], away["why"]) == (False, "live", AWAY)
