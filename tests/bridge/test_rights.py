import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from bridge import rights
from bridge.proof import Reading, proven, rights_of, warnings
from bridge.rights import READERS, Rights
from bridge.session import opened
from bridge.shelf import Shelf
from tests.bridge.conftest import served
from tests.bridge.plausible import offered

Call = Callable[..., Awaitable[httpx.Response]]
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
TELL_EXPIRY = ["binance", "bybit", "kraken"]
SAFE = Rights(read=True, trade=True, withdraw=False, ip_restricted=True)


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("granted", [["read"], ["read", "trade"], ["read", "trade", "withdraw"]])
async def test_what_a_key_may_do_is_told(
    enrol: Call, add: Call, exchange: str, granted: list[str]
) -> None:
    await enrol(exchange, rights=granted, addresses=["127.0.0.1"])
    told = (await add(exchange, query="?verify=true")).json()
    assert told["rights"] == {
        "read": True,
        "trade": "trade" in granted,
        "withdraw": "withdraw" in granted,
        "ip_restricted": True,
        "expires_at": None,
    }
    codes = [warned["code"] for warned in told["warnings"]]
    assert codes == (["may_withdraw"] if "withdraw" in granted else [])


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_is_bound_to_no_address_is_warned_of(
    enrol: Call, add: Call, exchange: str
) -> None:
    await enrol(exchange)
    told = (await add(exchange, query="?verify=true")).json()
    assert told["rights"]["ip_restricted"] is False
    assert [warned["code"] for warned in told["warnings"]] == ["any_address"]


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", TELL_EXPIRY)
async def test_a_key_that_ends_soon_is_warned_of_with_its_date(
    enrol: Call, add: Call, exchange: str
) -> None:
    then = datetime.now(UTC).replace(microsecond=0) + timedelta(days=10, minutes=5)
    await enrol(exchange, addresses=["127.0.0.1"], expires_at=then.isoformat())
    told = (await add(exchange, query="?verify=true")).json()
    assert told["rights"]["expires_at"] == then.isoformat().replace("+00:00", "Z")
    (warned,) = told["warnings"]
    assert warned["code"] == "expires_soon"
    assert f"{then:%Y-%m-%d}, in 10 days" in warned["text"]


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_credentials_that_are_only_checked_tell_the_same(
    enrol: Call, bridge: httpx.AsyncClient, exchange: str
) -> None:
    await enrol(exchange, rights=["read", "trade", "withdraw"])
    body = {
        "connector_name": exchange,
        "api_key": f"key-of-{exchange}",
        "api_secret": "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5",
        "password": "pass phrase",
    }
    told = (await bridge.post("/credentials/check", json=body)).json()
    assert told["rights"]["withdraw"] is True
    assert {warned["code"] for warned in told["warnings"]} == {"may_withdraw", "any_address"}


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (SAFE, []),
        (Rights(), []),
        (Rights(withdraw=True), ["may_withdraw"]),
        (Rights(ip_restricted=False), ["any_address"]),
        (Rights(expires_at=NOW + timedelta(days=30)), []),
        (Rights(expires_at=NOW + timedelta(days=30, seconds=-1)), ["expires_soon"]),
        (Rights(expires_at=NOW - timedelta(days=1)), ["expires_soon"]),
        (None, []),
    ],
)
def test_warnings_follow_from_rights_and_time(given: Rights | None, codes: list[str]) -> None:
    assert [warned.code for warned in warnings(given, NOW)] == codes


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=29, hours=5), "in 29 days"),
        (timedelta(days=1, hours=5), "in 1 day"),
        (timedelta(hours=5), "in 0 days"),
        (-timedelta(hours=5), "which is past"),
    ],
)
def test_an_expiry_is_told_in_days(left: timedelta, words: str) -> None:
    (warned,) = warnings(Rights(expires_at=NOW + left), NOW)
    assert warned.text.endswith(words)


def test_a_proof_warns_of_what_was_read_at_its_time() -> None:
    found = proven(NOW, Reading(Rights(expires_at=NOW + timedelta(days=3)), None))
    assert found.at == NOW
    assert [warned.code for warned in found.warnings] == ["expires_soon"]


BINANCE = {
    "ipRestrict": True,
    "createTime": 1698645219000,
    "enableReading": True,
    "enableWithdrawals": False,
    "enableInternalTransfer": False,
    "enableMargin": False,
    "enableFutures": False,
    "permitsUniversalTransfer": False,
    "enableVanillaOptions": False,
    "enableSpotAndMarginTrading": False,
}
BYBIT = {
    "readOnly": 0,
    "permissions": {"ContractTrade": ["Order", "Position"], "Spot": [], "Wallet": []},
    "ips": ["192.0.2.7"],
    "deadlineDay": -2,
    "expiredAt": "1970-01-01T00:00:00Z",
}
KRAKEN = {
    "permissions": ["query-funds", "modify-trades"],
    "validUntil": "0",
    "ipAllowlist": ["192.0.2.0/24"],
}
KUCOIN = {"permission": "General,Spot,InnerTransfer", "ipWhitelist": "192.0.2.7"}
OKX = {"perm": "read_only,trade", "ip": "192.0.2.7,192.0.2.8"}


@pytest.mark.parametrize(
    ("read", "told", "found"),
    [
        (rights.binance, BINANCE | {"enableFutures": True}, SAFE),
        (
            rights.binance,
            BINANCE | {"enableWithdrawals": True, "tradingAuthorityExpirationTime": 1795867200000},
            Rights(
                read=True,
                trade=False,
                withdraw=True,
                ip_restricted=True,
                expires_at=NOW,
            ),
        ),
        (rights.bybit, {"result": BYBIT}, SAFE),
        (
            rights.bybit,
            {
                "result": BYBIT
                | {
                    "readOnly": 1,
                    "permissions": {"Spot": ["SpotTrade"], "Wallet": ["Withdraw"]},
                    "ips": ["*"],
                    "expiredAt": "2026-11-28T12:00:00Z",
                }
            },
            Rights(read=True, trade=False, withdraw=False, ip_restricted=False, expires_at=NOW),
        ),
        (rights.kraken, {"result": KRAKEN}, SAFE),
        (
            rights.kraken,
            {
                "result": {
                    "permissions": ["withdraw-funds"],
                    "validUntil": "1795867200",
                    "ipAllowlist": [],
                }
            },
            Rights(
                read=False,
                trade=False,
                withdraw=True,
                ip_restricted=False,
                expires_at=NOW,
            ),
        ),
        (rights.kucoin, {"data": KUCOIN}, SAFE),
        (
            rights.kucoin,
            {"data": {"permission": "General,Futures,Spot,Earn,InnerTransfer,Transfer,Margin"}},
            Rights(read=True, trade=True, withdraw=True, ip_restricted=False),
        ),
        (rights.okx, {"data": [OKX]}, SAFE),
        (
            rights.okx,
            {"data": [{"perm": "read_only,withdraw,trade", "ip": ""}]},
            Rights(read=True, trade=True, withdraw=True, ip_restricted=False),
        ),
        (
            rights.coinbase,
            {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": "x"},
            Rights(read=True, trade=True, withdraw=False),
        ),
        (
            rights.bitfinex,
            [["account", 1, 0], ["orders", 1, 1], ["wallets", 1, 1], ["withdraw", 0, 0]],
            Rights(read=True, trade=True, withdraw=False),
        ),
        (
            rights.bitfinex,
            [["orders", 1, 0], ["withdraw", 0, 1]],
            Rights(read=False, trade=False, withdraw=True),
        ),
        (rights.gate, {"ip_whitelist": [], "key": {"mode": 1}}, Rights(ip_restricted=False)),
        (rights.gate, {"ip_whitelist": ["192.0.2.7"]}, Rights(ip_restricted=True)),
    ],
)
def test_what_exchanges_tell_is_read_as_their_documents_say(
    read: Callable[[Any], Rights], told: Any, found: Rights
) -> None:
    assert read(told) == found


UNIFIED = {
    "uid": "1",
    "ips": "192.0.2.7,192.0.2.8",
    "permType": "read-and-write",
    "permissions": ["uta_mgt", "uta_trade"],
}
CLASSIC = {"userId": "1", "ips": "192.0.2.7", "authorities": ["stor", "wtor", "stow", "coow"]}
HTX = {
    "accessKey": "account-key-1",
    "permission": "readOnly,trade",
    "ipAddresses": "192.0.2.7",
    "validDays": -1,
    "status": "normal",
}
MEXC = {
    "accessKey": "account-key-1",
    "permissions": "SPOT_ACCOUNT_READ,SPOT_DEAL_READ,SPOT_DEAL_WRITE",
    "remainingValidity": None,
    "ipWhiteList": "192.0.2.7",
    "status": "VALID",
}
TODAY = NOW.replace(hour=0)


@pytest.mark.parametrize(
    ("read", "told", "found"),
    [
        (rights.bitget, {"data": UNIFIED}, SAFE),
        (
            rights.bitget,
            {"data": UNIFIED | {"permType": "read-only", "permissions": ["withdraw"], "ips": ""}},
            Rights(read=True, trade=False, withdraw=False, ip_restricted=False),
        ),
        (
            rights.bitget,
            {"data": UNIFIED | {"permissions": ["uta_mgt", "withdraw"]}},
            Rights(read=True, trade=False, withdraw=True, ip_restricted=True),
        ),
        (rights.bitget, {"data": CLASSIC}, SAFE),
        (
            rights.bitget,
            {"data": CLASSIC | {"authorities": ["wtor", "wwow"], "ips": None}},
            Rights(read=False, trade=False, withdraw=True, ip_restricted=False),
        ),
        (
            rights.bitget,
            {"data": CLASSIC | {"authorities": ["trade", "readonly"]}},
            Rights(read=True, trade=True, ip_restricted=True),
        ),
        (rights.htx, ({"data": [HTX]}, NOW), SAFE),
        (
            rights.htx,
            (
                {"data": [{"permission": "readOnly, withdraw", "validDays": 82}]},
                NOW,
            ),
            Rights(
                read=True,
                trade=False,
                withdraw=True,
                ip_restricted=False,
                expires_at=TODAY + timedelta(days=82),
            ),
        ),
        (rights.mexc, (MEXC, NOW), SAFE),
        (
            rights.mexc,
            (
                {
                    "permissions": "SPOT_WITHDRAW_WRITE,CONTRACT_DEAL_WRITE",
                    "remainingValidity": 82,
                    "ipWhiteList": "",
                },
                NOW,
            ),
            Rights(
                read=False,
                trade=True,
                withdraw=True,
                ip_restricted=False,
                expires_at=TODAY + timedelta(days=82),
            ),
        ),
    ],
)
def test_what_a_key_of_theirs_may_do_is_read_as_their_documents_say(
    read: Callable[[Any], Rights], told: Any, found: Rights
) -> None:
    assert read(told) == found


# What real ccxt asks, and is answered with: by path, without its query.
ANSWERS: dict[str, dict[str, Any]] = {
    "binance": {"/sapi/v1/account/apiRestrictions": BINANCE | {"enableFutures": True}},
    "bitfinex": {"/v2/auth/r/permissions": [["orders", 1, 1], ["wallets", 1, 0]]},
    "bitget": {"/api/v2/spot/account/info": {"code": "00000", "data": CLASSIC}},
    "bybit": {"/v5/user/query-api": {"retCode": 0, "result": BYBIT}},
    "coinbase": {
        "/api/v3/brokerage/key_permissions": {
            "can_view": True,
            "can_trade": True,
            "can_transfer": False,
        }
    },
    "gate": {"/api/v4/account/detail": {"ip_whitelist": ["192.0.2.7"]}},
    "htx": {
        "/v2/user/uid": {"code": 200, "data": 63628520},
        "/v2/user/api-key": {"code": 200, "data": [HTX]},
    },
    "kraken": {"/0/private/GetApiKeyInfo": {"error": [], "result": KRAKEN}},
    "kucoin": {"/api/v1/user/api-key": {"code": "200000", "data": KUCOIN}},
    "mexc": {"/api/v3/apiKeyInfo": MEXC},
    "okx": {"/api/v5/account/config": {"code": "0", "data": [OKX]}},
}
PARTLY = {
    "bitfinex": replace(SAFE, ip_restricted=None),
    "coinbase": replace(SAFE, ip_restricted=None),
    "gate": Rights(ip_restricted=True),
}
ALIKE = {"binancecoinm": "binance", "binanceusdm": "binance", "kucoinfutures": "kucoin"} | {
    "bybiteu": "bybit",
    "bybitid": "bybit",
    "gateeu": "gate",
    "myokx": "okx",
    "okxus": "okx",
}


class Told:
    """Answers as an exchange's documents do, and keeps what it was asked."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._say, methods=["GET", "POST"])

    async def _say(self, request: Request) -> Response:
        self.asked.append(str(request.url))
        answer = self._answers.get(request.url.path)
        body = json.dumps({"msg": "no such thing"} if answer is None else answer)
        return Response(body, 404 if answer is None else 200)


async def _read(exchange: str, told: Told, **options: object) -> Reading:
    async with served(told.app) as address, opened(address) as way:
        remote = Shelf(way).make(exchange, offered(exchange.removesuffix("_testnet")))
        remote.options.update(options)
        return await rights_of(exchange, remote, [], 5)


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", READERS)
async def test_ccxt_asks_what_each_exchange_documents(exchange: str) -> None:
    base = exchange.removesuffix("_testnet")
    base = ALIKE.get(base, base)
    told = Told(ANSWERS[base])
    assert await _read(exchange, told) == Reading(PARTLY.get(base, SAFE), None)
    assert len(told.asked) == len(ANSWERS[base])


@pytest.mark.anyio
async def test_a_unified_account_at_bitget_is_asked_in_its_own_way() -> None:
    told = Told({"/api/v3/account/info": {"code": "00000", "data": UNIFIED}})
    assert await _read("bitget", told, uta=True) == Reading(SAFE, None)


@pytest.mark.anyio
@pytest.mark.parametrize("exchange", ["htx", "mexc"])
async def test_the_very_key_is_asked_about(exchange: str) -> None:
    told = Told(ANSWERS[exchange])
    await _read(exchange, told)
    assert "accessKey=account-key-1" in told.asked[-1]


@pytest.mark.anyio
async def test_a_sub_user_at_htx_is_told_that_only_main_users_may_ask() -> None:
    told = Told(ANSWERS["htx"] | {"/v2/user/api-key": {"code": 2002, "message": "forbidden"}})
    reading = await _read("htx", told)
    assert reading.rights is None
    assert "main users alone" in (reading.why or "")
