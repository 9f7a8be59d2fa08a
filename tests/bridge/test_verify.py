import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bridge.app import Settings
from bridge.credentials import Offered
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
OTHER = "b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_right_credentials_are_verified(
    bridge: httpx.AsyncClient, ready: Call, verify: Call, exchange: str
) -> None:
    await ready(exchange)
    answer = await verify(exchange)
    assert answer.status_code == 200
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert answer.json() == {"success": True, "verified_at": listed["verified_at"]}
    assert listed["state"] == "verified"


@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("wrong", [{"api_key": "unknown"}, {"api_secret": OTHER}])
async def test_wrong_credentials_are_refused(
    bridge: httpx.AsyncClient,
    ready: Call,
    verify: Call,
    exchange: str,
    wrong: dict[str, str],
) -> None:
    await ready(exchange, **wrong)
    answer = await verify(exchange)
    assert (answer.status_code, answer.json()["code"]) == (422, "refused")
    assert answer.json()["detail"].startswith(f"{exchange} refused these credentials: ")
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert (listed["state"], listed["verified_at"]) == ("refused", None)


@pytest.mark.parametrize("exchange", ["kucoin", "okx"])
async def test_a_wrong_passphrase_is_refused(ready: Call, verify: Call, exchange: str) -> None:
    await ready(exchange, password="wrong")
    assert (await verify(exchange)).json()["code"] == "refused"


async def test_a_passphrase_may_come_as_memo(ready: Call, verify: Call) -> None:
    await ready("okx", password=None, memo=" pass phrase ")
    assert (await verify("okx")).status_code == 200


async def test_credentials_that_cannot_sign_are_malformed(add: Call, verify: Call) -> None:
    await add("kraken", api_secret="not base64!")
    answer = await verify("kraken")
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")


async def test_a_key_revoked_after_a_success_is_refused_and_not_busy(
    ready: Call, verify: Call, paper: httpx.AsyncClient
) -> None:
    await ready("binance")
    assert (await verify("binance")).status_code == 200
    gone = {"exchange": "binance", "api_key": "key-of-binance"}
    await paper.request("DELETE", "/_paper/credentials", json=gone)
    assert (await verify("binance")).json()["code"] == "refused"


@pytest.mark.parametrize(("account", "exchange"), [("acme", "okx"), ("nobody", "binance")])
async def test_what_is_not_there_is_not_found(
    add: Call, verify: Call, account: str, exchange: str
) -> None:
    await add("binance")
    answer = await verify(exchange, account)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_throttling_is_passed_on_with_its_patience(
    ready: Call, verify: Call, fault: Call
) -> None:
    await ready("binance")
    await fault("binance", "throttle", retry_after=13)
    answer = await verify("binance")
    assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
    assert answer.headers["retry-after"] == "13"


async def test_throttling_without_a_word_about_when_still_asks_for_patience(
    ready: Call, verify: Call, fault: Call
) -> None:
    await ready("kraken")
    await fault("kraken", "status", status=200, body='{"error":["EAPI:Rate limit exceeded"]}')
    answer = await verify("kraken")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_an_exchange_in_trouble_is_told_apart_from_a_wrong_key(
    ready: Call, verify: Call, fault: Call, exchange: str
) -> None:
    await ready(exchange)
    codes = []
    for kind in ("refuse_ip", "clock", "ban"):
        await fault(exchange, kind)
        codes.append((await verify(exchange)).json()["code"])
    assert codes == ["refused", "unavailable", "throttled"]


async def test_credentials_can_be_checked_without_touching_a_connector(
    bridge: httpx.AsyncClient, enrol: Call
) -> None:
    await enrol("okx")
    body = {
        "connector_name": "OKX",
        "api_key": "key-of-okx",
        "api_secret": OTHER,
        "password": "pass phrase",
    }
    refused = await bridge.post("/credentials/check", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "refused")
    await enrol("okx", api_secret=OTHER)
    proven = await bridge.post("/credentials/check", json=body)
    assert proven.json() == {"success": True, "connector": "okx"}
    assert (await bridge.get("/connectors")).json()["connectors"] == []


class Slow:
    """An exchange object that answers when told."""

    def __init__(self) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()

    async def fetch_balance(self) -> dict[str, Any]:
        self.asked.set()
        await self.go.wait()
        return {"total": {}, "free": {}, "used": {}}


async def test_a_connector_replaced_while_it_was_verified_is_a_conflict(
    service: Service, verify: Call
) -> None:
    slow = Slow()
    service.registry.put("acme", "binance", Offered(), slow, "f1")
    verifying = asyncio.create_task(_awaited(verify("binance")))
    await slow.asked.wait()
    service.registry.put("acme", "binance", Offered(), Slow(), "f2")
    slow.go.set()
    answer = await verifying
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert service.registry.connector("acme", "binance").verified_at is None


async def _awaited(call: Awaitable[httpx.Response]) -> httpx.Response:
    return await call


class TestHanging:
    @pytest.fixture
    def settings(self, paper_url: str) -> Settings:
        return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=0.2)

    async def test_an_exchange_that_hangs_is_unavailable_within_the_limit(
        self, ready: Call, verify: Call, fault: Call
    ) -> None:
        await ready("binance")
        await fault("binance", "hang")
        answer = await verify("binance")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "0.2 s" in answer.json()["detail"]


class TestAway:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(exchange_origin="http://127.0.0.1:1", timeout_s=5.0)

    @pytest.mark.parametrize("exchange", ["binance", "kraken"])
    async def test_an_exchange_out_of_reach_is_unavailable_and_its_connector_stays(
        self, bridge: httpx.AsyncClient, add: Call, verify: Call, exchange: str
    ) -> None:
        assert (await add(exchange)).status_code == 200
        answer = await verify(exchange)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "signature=" not in answer.text
        assert len((await bridge.get("/connectors")).json()["connectors"]) == 1
