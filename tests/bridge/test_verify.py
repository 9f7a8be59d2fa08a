import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt
import httpx
import pytest

from bridge.app import Settings
from bridge.credentials import Offered
from bridge.service import Service
from tests.bridge.plausible import ed25519

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
SECRET = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5"
OTHER = "b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="
TRADER = {
    "read": True,
    "trade": True,
    "withdraw": False,
    "ip_restricted": False,
    "expires_at": None,
}


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_right_credentials_are_verified(
    bridge: httpx.AsyncClient, ready: Call, verify: Call, exchange: str
) -> None:
    await ready(exchange)
    answer = await verify(exchange)
    assert answer.status_code == 200
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert answer.json()["success"] is True
    assert answer.json()["verified_at"] == listed["verified_at"]
    assert listed["state"] == "verified"
    assert listed["last_error"] is None


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
    assert listed["last_error"] | {"at": ""} == {
        "code": "refused",
        "at": "",
        "detail": answer.json()["detail"],
    }


@pytest.mark.parametrize("exchange", ["kucoin", "okx"])
async def test_a_wrong_passphrase_is_refused(ready: Call, verify: Call, exchange: str) -> None:
    await ready(exchange, password="wrong")
    assert (await verify(exchange)).json()["code"] == "refused"


async def test_a_passphrase_may_come_as_memo(ready: Call, verify: Call) -> None:
    await ready("okx", password=None, memo=" pass phrase ")
    assert (await verify("okx")).status_code == 200


async def test_credentials_that_cannot_sign_are_malformed(add: Call, verify: Call) -> None:
    # ccxt signs with RSA at bybit, whatever the PEM says
    await add("bybit", api_secret=ed25519(b"1"))
    answer = await verify("bybit")
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
    assert proven.json() | {"verified_at": "", "warnings": []} == {
        "success": True,
        "connector": "okx",
        "verified_at": "",
        "rights": TRADER,
        "rights_note": None,
        "warnings": [],
    }
    assert proven.json()["verified_at"].endswith("Z")
    assert (await bridge.get("/connectors")).json()["connectors"] == []


async def test_an_add_that_is_to_be_verified_tells_what_the_key_may_do(
    bridge: httpx.AsyncClient, ready: Call
) -> None:
    answer = (await ready("kraken", query="?verify=true")).json()
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert answer["verified_at"] == listed["verified_at"]
    assert answer["rights"] == TRADER
    assert [warned["code"] for warned in answer["warnings"]] == ["any_address"]


async def test_what_is_there_already_is_proven_anew_when_that_is_asked_for(
    bridge: httpx.AsyncClient, ready: Call, add: Call, paper: httpx.AsyncClient
) -> None:
    await ready("binance", fingerprint="f1")
    again = await add("binance", query="?verify=true", fingerprint="f1")
    assert again.json()["verified_at"]
    gone = {"exchange": "binance", "api_key": "key-of-binance"}
    await paper.request("DELETE", "/_paper/credentials", json=gone)
    refused = await add("binance", query="?verify=true", fingerprint="f1")
    assert (refused.status_code, refused.json()["code"]) == (422, "refused")
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert (listed["fingerprint"], listed["state"]) == ("f1", "refused")


async def test_the_label_of_what_is_there_proves_no_other_credentials(
    bridge: httpx.AsyncClient, ready: Call, add: Call
) -> None:
    await ready("binance", fingerprint="f1")
    other = await add("binance", query="?verify=true", fingerprint="f1", api_key="unknown")
    assert (other.status_code, other.json()["code"]) == (422, "refused")
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert listed["state"] == "added"


async def test_proofs_that_repeat_themselves_leave_the_listing_unchanged_for_a_minute(
    bridge: httpx.AsyncClient, service: Service, ready: Call, verify: Call
) -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    service.registry.now = lambda: now
    await ready("kraken", query="?verify=true")
    first = await bridge.get("/connectors")
    unchanged = {"If-None-Match": first.headers["etag"]}
    for seconds, status in ((59, 304), (1, 200)):
        now += timedelta(seconds=seconds)
        await verify("kraken")
        answer = await bridge.get("/connectors", headers=unchanged)
        assert answer.status_code == status
    (listed,) = answer.json()["connectors"]
    assert listed["verified_at"] == "2026-11-28T00:01:00Z"


@pytest.mark.parametrize("kind", ["html", "status", "throttle", "refuse_ip", "truncated"])
async def test_a_proof_stands_also_when_the_keys_rights_cannot_be_read(
    bridge: httpx.AsyncClient, ready: Call, verify: Call, fault: Call, kind: str
) -> None:
    await ready("binance")
    await fault("binance", kind, only="rights")
    answer = await verify("binance")
    assert answer.status_code == 200
    assert answer.json()["rights"] is None
    assert answer.json()["rights_note"].startswith("what this key may do could not be read: ")
    assert answer.json()["warnings"] == []
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert (listed["state"], listed["last_error"]) == ("verified", None)


async def test_why_rights_could_not_be_read_is_said_without_secrets(
    ready: Call, verify: Call, fault: Call
) -> None:
    await ready("binance")
    echo = f'{{"code":-1,"msg":"{SECRET} key-of-binance signature=abc"}}'
    await fault("binance", "status", only="rights", status=400, body=echo)
    answer = await verify("binance")
    assert "could not be read" in answer.json()["rights_note"]
    assert not any(mark in answer.text for mark in (SECRET, "key-of-binance", "signature=abc"))


async def test_an_exchange_that_tells_no_rights_is_still_proven(
    service: Service, verify: Call
) -> None:
    service.registry.put("acme", "bitstamp", Offered(), Slow(go=True), "f1")
    answer = (await verify("bitstamp")).json()
    assert answer["verified_at"]
    assert (answer["rights"], answer["warnings"]) == (None, [])
    assert answer["rights_note"].startswith("bitstamp does not tell")


async def test_balances_that_anybody_may_read_prove_nothing(
    bridge: httpx.AsyncClient, service: Service, verify: Call
) -> None:
    service.registry.put("acme", "dydx", Offered(), Slow(go=True), "f1")
    answer = await verify("dydx")
    assert answer.status_code == 200
    assert answer.json()["verified_at"] is None
    assert [warned["code"] for warned in answer.json()["warnings"]] == ["unproven"]
    await bridge.get("/portfolio?account=acme")
    (listed,) = (await bridge.get("/connectors")).json()["connectors"]
    assert (listed["state"], listed["verified_at"]) == ("unproven", None)


async def test_an_add_says_when_nothing_could_be_proven(
    service: Service, add: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = service.shelf.get("dydx")
    monkeypatch.setattr(type(template), "make", lambda *_: Slow(go=True))
    monkeypatch.setattr(type(template), "warm", lambda _: None)
    answer = (await add("dydx", query="?verify=true")).json()
    assert "added for 'acme'; nothing is proven" in answer["message"]
    assert service.registry.connector("acme", "dydx").state == "unproven"


class Slow:
    """An exchange object that answers when told."""

    def __init__(self, *, go: bool = False) -> None:
        self.asked, self.go = asyncio.Event(), asyncio.Event()
        self.error: Exception | None = None
        if go:
            self.go.set()

    async def fetch_balance(self) -> dict[str, Any]:
        self.asked.set()
        await self.go.wait()
        if self.error:
            raise self.error
        return {"total": {}, "free": {}, "used": {}}

    def quiet_s(self) -> float:
        return 0.0


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


async def test_a_connector_replaced_while_it_was_refused_is_a_conflict_too(
    service: Service, verify: Call
) -> None:
    slow = Slow()
    service.registry.put("acme", "binance", Offered(), slow, "f1")
    verifying = asyncio.create_task(_awaited(verify("binance")))
    await slow.asked.wait()
    service.registry.put("acme", "binance", Offered(), Slow(), "f2")
    slow.error = ccxt.AuthenticationError("binance no")
    slow.go.set()
    assert (await verifying).json()["code"] == "conflict"
    assert service.registry.connector("acme", "binance").state == "added"


@pytest.mark.parametrize("there", [True, False])
async def test_an_add_does_not_replace_what_came_while_it_was_being_verified(
    service: Service, add: Call, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    if there:
        service.registry.put("acme", "binance", Offered(), Slow(), "f0")
    slow = Slow()
    monkeypatch.setattr(type(service.shelf.get("binance")), "make", lambda *_: slow)
    adding = asyncio.create_task(_awaited(add("binance", query="?verify=true", fingerprint="f1")))
    await slow.asked.wait()
    service.registry.put("acme", "binance", Offered(), Slow(), "f2")
    slow.go.set()
    answer = await adding
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert service.registry.connector("acme", "binance").fingerprint == "f2"


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

    async def test_a_question_for_rights_that_hangs_is_given_up_and_the_proof_stands(
        self, ready: Call, verify: Call, fault: Call
    ) -> None:
        await ready("kraken")
        await fault("kraken", "hang", only="rights")
        answer = await verify("kraken")
        assert answer.json()["verified_at"]
        assert "0.2 s" in answer.json()["rights_note"]


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


@pytest.mark.parametrize("exchange", ["binance", "kraken", "okx"])
async def test_a_connection_that_ends_just_when_it_is_used_is_no_trouble(
    ready: Call, verify: Call, fault: Call, exchange: str
) -> None:
    """Servers close what was idle for a while; a POST is not repeated by aiohttp."""
    await ready(exchange)
    assert (await verify(exchange)).status_code == 200
    await fault(exchange, "reset", only="account", times=1)
    assert (await verify(exchange)).status_code == 200
