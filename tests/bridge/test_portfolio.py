import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bridge.credentials import Offered
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
STATUSES = [204, 302, 403, 423, 500, 503, 520, 524, 529]
NONSENSE = ["html", "empty", "truncated", "null", "object"]


async def test_all_balances_come_by_exchange_and_asset_without_zeros(
    bridge: httpx.AsyncClient, add: Call, enrol: Call
) -> None:
    for exchange in EXCHANGES:
        await enrol(exchange, balances={"BTC": "0.6", "USDT": "1000", "ETH": "0"})
        await add(exchange)
    answer = await bridge.get("/portfolio", params={"account": "acme"})
    held = {
        "BTC": {"total": 0.6, "free": 0.6, "used": 0.0},
        "USDT": {"total": 1000.0, "free": 1000.0, "used": 0.0},
    }
    assert answer.json() == {"account": "acme", "balances": dict.fromkeys(EXCHANGES, held)}


async def test_an_exchange_that_fails_is_an_error_beside_the_others(
    bridge: httpx.AsyncClient, add: Call, ready: Call
) -> None:
    for exchange in ("binance", "okx"):
        await ready(exchange)
    await add("okx", password="wrong")
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert balances["binance"]["BTC"]["total"] == 0.6
    assert set(balances["okx"]) == {"error", "code"}
    assert balances["okx"]["code"] == "refused"


async def test_an_empty_account_is_empty_and_not_an_error(
    bridge: httpx.AsyncClient, add: Call, enrol: Call
) -> None:
    for exchange in EXCHANGES:
        await enrol(exchange, balances={})
        await add(exchange)
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert balances == {exchange: {} for exchange in EXCHANGES}


@pytest.mark.parametrize("exchange", ["bybit", "kucoin"])
async def test_an_account_of_the_old_kind_shows_its_spot_wallet(
    bridge: httpx.AsyncClient, add: Call, enrol: Call, exchange: str
) -> None:
    await enrol(exchange, classic=True, balances={"BTC": "0.6"})
    await add(exchange)
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert balances[exchange] == {"BTC": {"total": 0.6, "free": 0.6, "used": 0.0}}


@pytest.mark.parametrize("exchange", ["bybit", "kucoin"])
async def test_accounts_of_the_old_and_the_new_kind_do_not_disturb_each_other(
    bridge: httpx.AsyncClient, add: Call, enrol: Call, exchange: str
) -> None:
    held = {"old": "1", "new": "2"}
    for account, amount in held.items():
        kind = {"api_key": account, "classic": account == "old", "balances": {"BTC": amount}}
        await enrol(exchange, **kind)
        await add(exchange, api_key=account, account_name=account)
    for account in ("old", "new", "old", "new"):
        balances = (await bridge.get(f"/portfolio?account={account}")).json()["balances"]
        assert balances[exchange]["BTC"]["total"] == float(held[account])


async def test_an_account_that_becomes_one_of_the_new_kind_shows_its_wallet_again(
    bridge: httpx.AsyncClient, add: Call, enrol: Call
) -> None:
    await enrol("bybit", classic=True)
    await add("bybit")
    await bridge.get("/portfolio?account=acme")
    await enrol("bybit")
    codes = []
    for _ in range(2):
        told = (await bridge.get("/portfolio?account=acme")).json()["balances"]["bybit"]
        codes.append(told.get("code", told.get("BTC", {}).get("total")))
    assert codes == ["unclear", 0.6]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_nonsense_is_never_an_empty_balance(
    bridge: httpx.AsyncClient, ready: Call, fault: Call, exchange: str
) -> None:
    await ready(exchange)
    codes = {}
    for kind in NONSENSE:
        await fault(exchange, kind)
        balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
        codes[kind] = balances[exchange].get("code")
    assert codes == dict.fromkeys(NONSENSE, "unclear")


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_no_unusual_status_is_ever_an_empty_balance(
    bridge: httpx.AsyncClient, ready: Call, fault: Call, exchange: str
) -> None:
    await ready(exchange)
    codes = {}
    for status in STATUSES:
        await fault(exchange, "status", status=status)
        balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
        codes[status] = balances[exchange].get("code")
    bybits = {403: "throttled"} if exchange == "bybit" else {}  # its way to say "too many"
    assert codes == dict.fromkeys(STATUSES, "unavailable") | {204: "unclear"} | bybits


@pytest.mark.parametrize("status", [401, 407, 511])
async def test_a_proxy_that_wants_a_login_is_no_refusal_of_the_key(
    bridge: httpx.AsyncClient, ready: Call, fault: Call, status: int
) -> None:
    await ready("binance")
    for body in ("", "<html>", '{"error":"proxy"}'):
        await fault("binance", "status", status=status, body=body)
        balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
        assert balances["binance"]["code"] == "unavailable"


async def test_geography_is_not_the_keys_fault(
    bridge: httpx.AsyncClient, ready: Call, fault: Call
) -> None:
    await ready("binance")
    blocked = '{"code":0,"msg":"Service unavailable from a restricted location"}'
    await fault("binance", "status", status=451, body=blocked)
    shown = (await bridge.get("/portfolio?account=acme")).json()["balances"]["binance"]
    assert shown["code"] == "unavailable"
    assert "location" in shown["error"]


async def test_an_unknown_account_is_not_found(bridge: httpx.AsyncClient) -> None:
    answer = await bridge.get("/portfolio?account=nobody")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_account_must_be_named(bridge: httpx.AsyncClient) -> None:
    answer = await bridge.get("/portfolio")
    assert (answer.status_code, answer.json()["code"]) == (422, "malformed")
    assert answer.json()["detail"] == "account: missing"


async def test_an_account_without_connectors_has_no_balances(bridge: httpx.AsyncClient) -> None:
    await bridge.post("/accounts/create", json={"account_name": "acme"})
    answer = await bridge.get("/portfolio?account=acme")
    assert answer.json() == {"account": "acme", "balances": {}}


async def test_a_balance_that_was_read_proves_the_connector(
    bridge: httpx.AsyncClient, ready: Call, fault: Call
) -> None:
    await ready("binance")
    states = []
    for kind in (None, "html", None):
        if kind:
            await fault("binance", kind, times=1)
        await bridge.get("/portfolio?account=acme")
        states.append((await bridge.get("/connectors")).json()["connectors"][0]["state"])
    assert states == ["verified", "unclear", "verified"]


class Together:
    """Exchange objects that answer only when all of them have been asked."""

    def __init__(self, barrier: asyncio.Barrier) -> None:
        self._barrier = barrier

    async def fetch_balance(self) -> dict[str, Any]:
        await self._barrier.wait()
        return {"total": {"BTC": 1.0}, "free": {"BTC": None}, "used": {}}


async def test_all_exchanges_are_asked_at_once(bridge: httpx.AsyncClient, service: Service) -> None:
    barrier = asyncio.Barrier(3)
    for exchange in ("binance", "kraken", "okx"):
        service.registry.put("acme", exchange, Offered(), Together(barrier), None)
    balances = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert balances["okx"] == {"BTC": {"total": 1.0, "free": None, "used": None}}


class Broken:
    async def fetch_balance(self) -> dict[str, Any]:
        return {"total": {}, "free": 1 / 0}

    def quiet_s(self) -> float:
        return 0.0


async def test_whatever_ccxt_raises_becomes_an_error_without_a_traceback(
    bridge: httpx.AsyncClient, service: Service
) -> None:
    service.registry.put("acme", "binance", Offered(), Broken(), None)
    shown = (await bridge.get("/portfolio?account=acme")).json()["balances"]["binance"]
    assert shown == {"error": "binance gave an answer that makes no sense", "code": "unclear"}
