from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text

from daemon.store.engine import transaction
from reconciler.model import ClientId
from tests.daemon.web.conftest import KEY, Office

pytestmark = pytest.mark.anyio

TOLD = text("""
INSERT INTO bridgetender.attempts
  (bridge, account, connector, key_id, exchange, action, cause, verdict, message, at, seconds,
   attempt)
SELECT 'main', 'client_acme', 'binance', :key, 'binance', 'initialize', 'new', 'refused', 'no',
  now() - make_interval(days => d), 0.2, '1-1' FROM generate_series(0, 2) d
""")


async def test_a_key_tells_what_was_tried_the_newest_last(
    office: Office, admin: httpx.AsyncClient, acme: ClientId
) -> None:
    path = f"/api/admin/clients/{acme}/api-keys?wait=0"
    key = (await admin.post(path, json=KEY)).json()["id"]
    async with transaction(office.engine) as connection:
        await connection.execute(TOLD, {"key": key})

    told = (await admin.get(f"/api/admin/api-keys/{key}/history")).json()
    assert [each["verdict"] for each in told["events"]] == ["refused"] * 3
    times = [each["at"] for each in told["events"]]
    assert times == sorted(times)
    assert told["totals"]["failed"] == {"refused": 3}
    recent = f"/api/admin/clients/{acme}/history?days=1.5&limit=1"
    told = (await admin.get(recent)).json()
    assert (len(told["events"]), told["totals"]["failed"]) == (1, {"refused": 2})


async def test_what_never_was_has_no_history(admin: httpx.AsyncClient) -> None:
    told = (await admin.get(f"/api/admin/api-keys/{uuid4()}/history")).json()
    assert told["events"] == []
    assert (await admin.get(f"/api/admin/clients/{uuid4()}/history")).status_code == 404


async def test_before_a_daemon_looked_no_bridge_is_known(admin: httpx.AsyncClient) -> None:
    assert (await admin.get("/api/admin/bridges")).json() == {"bridges": []}
