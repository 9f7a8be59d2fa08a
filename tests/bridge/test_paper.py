import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import ccxt.async_support as ccxt
import httpx
import pytest

from bridge.paper import binance, bybit, kraken, kucoin, okx
from bridge.paper.app import EXCHANGES, Paper, create_paper
from bridge.paper.faults import KINDS
from bridge.paper.ledger import Account, Ledger
from bridge.paper.markets import pairs
from bridge.paper.wire import Asked, Said, sha256_base64, sha256_hex
from bridge.session import Outward

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
NOW = 1_795_000_000_000
SECRET = "c2VjcmV0"


@pytest.fixture
def ledger() -> Ledger:
    made = Ledger()
    for exchange in EXCHANGES:
        made.put(exchange.NAME, Account("key", SECRET, "phrase", {"BTC": "0.6"}))
    return made


def asked(
    path: str, query: str = "", headers: Mapping[str, str] | None = None, body: str = ""
) -> Asked:
    return Asked("POST" if body else "GET", path, query, headers or {}, body, NOW)


def ask_binance(
    ledger: Ledger, key: str = "key", secret: str = SECRET, at: int = NOW, window: str = "10000"
) -> Said:
    query = f"timestamp={at}&recvWindow={window}"
    signed = f"{query}&signature={sha256_hex(secret, query)}"
    return binance.answer(asked("/api/v3/account", signed, {"x-mbx-apikey": key}), ledger)


def test_binance_knows_its_own(ledger: Ledger) -> None:
    said = ask_binance(ledger)
    assert said.payload["balances"][0] == {"asset": "BTC", "free": "0.6", "locked": "0"}


@pytest.mark.parametrize(
    ("wrong", "status", "code"),
    [
        ({"key": ""}, 401, -2014),
        ({"key": "other"}, 401, -2015),
        ({"secret": "other"}, 400, -1022),
        ({"at": NOW - 10_001}, 400, -1021),
        ({"at": NOW + 1_001}, 400, -1021),
    ],
)
def test_binance_refuses(ledger: Ledger, wrong: dict[str, Any], status: int, code: int) -> None:
    said = ask_binance(ledger, **wrong)
    assert (said.status, said.payload["code"]) == (status, code)


def test_binance_wants_a_signature(ledger: Ledger) -> None:
    bare = asked("/api/v3/account", f"timestamp={NOW}", {"x-mbx-apikey": "key"})
    assert binance.answer(bare, ledger).payload["code"] == -1022


def ask_okx(
    ledger: Ledger,
    key: str = "key",
    secret: str = SECRET,
    phrase: str = "phrase",
    at: str = "2026-11-18T11:06:40.000Z",
) -> Said:
    path = "/api/v5/account/balance"
    headers = {
        "ok-access-key": key,
        "ok-access-passphrase": phrase,
        "ok-access-timestamp": at,
        "ok-access-sign": sha256_base64(secret, f"{at}GET{path}?ccy=BTC"),
    }
    return okx.answer(asked(path, "ccy=BTC", headers), ledger)


def test_okx_knows_its_own(ledger: Ledger) -> None:
    assert ask_okx(ledger).payload["data"][0]["details"][0]["eq"] == "0.6"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": ""}, "50103"),
        ({"key": "other"}, "50111"),
        ({"secret": "other"}, "50113"),
        ({"phrase": "other"}, "50105"),
        ({"at": "2026-11-18T11:07:11.000Z"}, "50102"),
        ({"at": "yesterday"}, "50112"),
    ],
)
def test_okx_refuses(ledger: Ledger, wrong: dict[str, Any], code: str) -> None:
    said = ask_okx(ledger, **wrong)
    assert (said.status, said.payload["code"]) == (401, code)


def ask_kucoin(
    ledger: Ledger,
    key: str = "key",
    secret: str = SECRET,
    phrase: str = "phrase",
    at: int = NOW,
) -> Said:
    path = "/api/v1/accounts"
    headers = {
        "kc-api-key": key,
        "kc-api-timestamp": str(at),
        "kc-api-key-version": "2",
        "kc-api-passphrase": sha256_base64(SECRET, phrase),
        "kc-api-sign": sha256_base64(secret, f"{at}GET{path}?type=trade_hf"),
    }
    return kucoin.answer(asked(path, "type=trade_hf", headers), ledger)


def test_kucoin_knows_its_own(ledger: Ledger) -> None:
    assert ask_kucoin(ledger).payload["data"][0]["balance"] == "0.6"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": ""}, "400001"),
        ({"key": "other"}, "400003"),
        ({"secret": "other"}, "400005"),
        ({"phrase": "other"}, "400004"),
        ({"at": NOW - 5_001}, "400002"),
    ],
)
def test_kucoin_refuses(ledger: Ledger, wrong: dict[str, Any], code: str) -> None:
    said = ask_kucoin(ledger, **wrong)
    assert (said.status, said.payload["code"]) == (401, code)


def ask_kraken(ledger: Ledger, key: str = "key", secret: str = SECRET, nonce: int = 7) -> Said:
    body = f"nonce={nonce}"
    path = "/0/private/BalanceEx"
    account = Account("key", secret)
    headers = {
        "api-key": key,
        "api-sign": kraken._signed(account, asked(path, body=body), str(nonce)),
    }
    return kraken.answer(asked(path, "", headers, body), ledger)


def test_kraken_knows_its_own_by_its_old_names(ledger: Ledger) -> None:
    assert ask_kraken(ledger).payload["result"] == {"XXBT": {"balance": "0.6", "hold_trade": "0"}}


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"key": "other"}, "EAPI:Invalid key"),
        ({"secret": "b3RoZXI="}, "EAPI:Invalid signature"),
        ({"nonce": 0}, "EAPI:Invalid nonce"),
    ],
)
def test_kraken_refuses(ledger: Ledger, wrong: dict[str, Any], error: str) -> None:
    said = ask_kraken(ledger, **wrong)
    assert (said.status, said.payload) == (200, {"error": [error]})


def test_krakens_nonce_must_rise(ledger: Ledger) -> None:
    assert ask_kraken(ledger, nonce=7).payload["error"] == []
    assert ask_kraken(ledger, nonce=7).payload["error"] == ["EAPI:Invalid nonce"]
    assert ask_kraken(ledger, nonce=8).payload["error"] == []


def ask_bybit(ledger: Ledger, key: str = "key", secret: str = SECRET, at: int = NOW) -> Said:
    query = "accountType=UNIFIED"
    headers = {
        "x-bapi-api-key": key,
        "x-bapi-timestamp": str(at),
        "x-bapi-recv-window": "5000",
        "x-bapi-sign": sha256_hex(secret, f"{at}{key}5000{query}"),
    }
    return bybit.answer(asked("/v5/account/wallet-balance", query, headers), ledger)


def test_bybit_knows_its_own(ledger: Ledger) -> None:
    (account,) = ask_bybit(ledger).payload["result"]["list"]
    assert account["coin"][0]["walletBalance"] == "0.6"


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"key": "other"}, 10003),
        ({"secret": "other"}, 10004),
        ({"at": NOW - 5_001}, 10002),
    ],
)
def test_bybit_refuses(ledger: Ledger, wrong: dict[str, Any], code: int) -> None:
    said = ask_bybit(ledger, **wrong)
    assert (said.status, said.payload["retCode"]) == (200, code)


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.NAME)
async def test_stock_ccxt_reads_time_markets_and_balance(
    outward: Outward, enrol: Call, exchange: Any
) -> None:
    await enrol(exchange.NAME)
    stock = getattr(ccxt, exchange.NAME)(
        {
            "session": outward,
            "ssl_context": outward.tls,
            "enableRateLimit": False,
            "apiKey": f"key-of-{exchange.NAME}",
            "secret": "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5",
            "password": "pass phrase",
        }
    )
    assert await stock.fetch_time() > NOW - 10**11
    assert "BTC/USDT" in await stock.load_markets()
    assert (await stock.fetch_balance())["total"]["USDT"] == 1000
    stock.session = None  # or it will complain that nobody closed ours


@pytest.mark.parametrize("count", [0, 2, 5, 4000])
def test_any_number_of_markets_can_be_had(count: int) -> None:
    assert len(set(pairs(count))) == count
    assert pairs(count)[:1] == [("BTC", "USDT")][:count]


HOME = "127.0.0.1"


@pytest.fixture
async def stock(outward: Outward) -> AsyncIterator[Callable[..., Any]]:
    """Make objects of ccxt's own with the credentials that `enrol` made, unless told otherwise."""
    made = []

    def stock(exchange: str, **given: object) -> Any:
        settings = {
            "session": outward,
            "ssl_context": outward.tls,
            "enableRateLimit": False,
            "apiKey": f"key-of-{exchange}",
            "secret": "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5",
            "password": "pass phrase",
        }
        made.append(getattr(ccxt, exchange)(settings | given))
        return made[-1]

    yield stock
    for each in made:
        each.session = None  # or it will complain that nobody closed ours


NAMES = [exchange.NAME for exchange in EXCHANGES]


@pytest.mark.parametrize("exchange", [name for name in NAMES if name != "kraken"])
@pytest.mark.parametrize("classic", [False, True])
async def test_trading_and_funding_have_balances_of_their_own(
    enrol: Call, stock: Callable[..., Any], exchange: str, *, classic: bool
) -> None:
    await enrol(exchange, funding={"ETH": "2"}, classic=classic)
    asking = stock(exchange)
    await asking.load_markets()
    spot = await asking.fetch_balance({"type": "spot"})
    assert spot["total"]["BTC"] == 0.6
    funding = await asking.fetch_balance({"type": "funding"})
    assert {asset: amount for asset, amount in funding["total"].items() if amount} == {"ETH": 2}


@pytest.mark.parametrize("exchange", NAMES)
@pytest.mark.parametrize(
    "flaw",
    [
        {"rights": ["trade"]},
        {"addresses": ["192.0.2.7"]},
        {"expires_at": "2026-01-01T00:00:00Z"},
    ],
)
async def test_a_key_without_the_right_to_read_or_from_elsewhere_or_at_its_end_is_of_no_use(
    enrol: Call, stock: Callable[..., Any], exchange: str, flaw: dict[str, object]
) -> None:
    await enrol(exchange, **flaw)
    with pytest.raises(ccxt.BaseError):
        await stock(exchange).fetch_balance()


@pytest.mark.parametrize("exchange", NAMES)
async def test_an_account_changes_where_it_is_told_to_and_stays_as_it_is_elsewhere(
    paper: httpx.AsyncClient, enrol: Call, stock: Callable[..., Any], exchange: str
) -> None:
    await enrol(exchange, addresses=[HOME])
    key = {"exchange": exchange, "api_key": f"key-of-{exchange}"}
    (await paper.patch("/_paper/credentials", json=key | {"balances": {"BTC": "7"}})).json()
    found = (await stock(exchange).fetch_balance())["total"]
    assert {asset: amount for asset, amount in found.items() if amount} == {"BTC": 7}
    await paper.patch("/_paper/credentials", json=key | {"addresses": ["192.0.2.7"]})
    with pytest.raises(ccxt.BaseError):
        await stock(exchange).fetch_balance()


ACKNOWLEDGED = {"bybit": {"acknowledged": True}}  # or ccxt only explains itself


def amounts(balance: Any, part: str) -> dict[str, float]:
    return {asset: amount for asset, amount in balance[part].items() if amount}


@pytest.mark.parametrize("exchange", NAMES)
async def test_a_resting_order_holds_its_funds_until_it_is_cancelled(
    enrol: Call, stock: Callable[..., Any], exchange: str
) -> None:
    await enrol(exchange)
    asking = stock(exchange)
    made = await asking.create_order("BTC/USDT", "limit", "buy", 0.01, 40_000)
    assert amounts(await asking.fetch_balance(), "used") == {"USDT": 400}
    made_by_us = made["id"], "BTC/USDT", ACKNOWLEDGED.get(exchange, {})
    found = await asking.fetch_order(*made_by_us)
    assert (found["status"], found["side"], found["amount"]) == ("open", "buy", 0.01)
    assert (found["symbol"], found["price"]) == ("BTC/USDT", 40_000)
    assert [each["id"] for each in await asking.fetch_open_orders("BTC/USDT")] == [made["id"]]
    await asking.cancel_order(made["id"], "BTC/USDT")
    assert (await asking.fetch_order(*made_by_us))["status"] == "canceled"
    assert amounts(await asking.fetch_balance(), "free") == {"BTC": 0.6, "USDT": 1000}
    with pytest.raises(ccxt.OrderNotFound):
        await asking.cancel_order(made["id"], "BTC/USDT")


@pytest.mark.parametrize("exchange", NAMES)
@pytest.mark.parametrize(
    ("side", "kind", "left"),
    [
        ("sell", "market", {"BTC": 0.59, "USDT": 1500}),
        ("sell", "limit", {"BTC": 0.59, "USDT": 1500}),
        ("buy", "limit", {"BTC": 0.61, "USDT": 500}),
    ],
)
async def test_an_order_that_meets_the_price_moves_the_balances(
    enrol: Call,
    stock: Callable[..., Any],
    exchange: str,
    side: str,
    kind: str,
    left: dict[str, float],
) -> None:
    await enrol(exchange)
    asking = stock(exchange)
    limit = {"sell": 45_000, "buy": 55_000}[side] if kind == "limit" else None
    made = await asking.create_order("BTC/USDT", kind, side, 0.01, limit)
    made_by_us = made["id"], "BTC/USDT", ACKNOWLEDGED.get(exchange, {})
    assert (await asking.fetch_order(*made_by_us))["status"] == "closed"
    assert amounts(await asking.fetch_balance(), "total") == left
    assert amounts(await asking.fetch_balance(), "used") == {}


@pytest.mark.parametrize("exchange", NAMES)
async def test_nobody_spends_what_is_not_there_or_what_an_order_holds(
    enrol: Call, stock: Callable[..., Any], exchange: str
) -> None:
    await enrol(exchange)
    asking = stock(exchange)
    await asking.create_order("BTC/USDT", "limit", "buy", 0.02, 40_000)
    with pytest.raises(ccxt.InsufficientFunds):
        await asking.create_order("BTC/USDT", "limit", "buy", 0.01, 40_000)


@pytest.mark.parametrize("exchange", NAMES)
async def test_a_key_that_may_only_read_cannot_trade(
    enrol: Call, stock: Callable[..., Any], exchange: str
) -> None:
    await enrol(exchange, rights=["read"])
    asking = stock(exchange)
    with pytest.raises(ccxt.BaseError):
        await asking.create_order("BTC/USDT", "limit", "buy", 0.01, 40_000)
    assert amounts(await asking.fetch_balance(), "used") == {}


async def test_accounts_are_listed_without_their_secrets(
    paper: httpx.AsyncClient, enrol: Call
) -> None:
    await enrol("okx", rights=["read"], expires_at="2027-01-01T00:00:00Z")
    await enrol("kraken")
    answer = await paper.get("/_paper/credentials?exchange=okx")
    (account,) = answer.json()["accounts"]
    assert account == {
        "exchange": "okx",
        "api_key": "key-of-okx",
        "balances": {"BTC": "0.6", "USDT": "1000"},
        "funding": {},
        "rights": ["read"],
        "addresses": [],
        "expires_at": "2027-01-01T00:00:00+00:00",
        "classic": False,
        "requests": {},
    }
    assert len((await paper.get("/_paper/credentials")).json()["accounts"]) == 2


@pytest.mark.parametrize("exchange", NAMES)
async def test_requests_are_counted_by_account_and_logged_without_secrets(
    paper: httpx.AsyncClient, enrol: Call, stock: Callable[..., Any], exchange: str
) -> None:
    await enrol(exchange)
    await enrol(exchange, api_key="other")
    await stock(exchange).fetch_balance()
    counts = [
        (await paper.get(f"/_paper/stats?exchange={exchange}&api_key={key}")).json()["requests"]
        for key in (f"key-of-{exchange}", "other")
    ]
    assert counts[0]["account"] > 0
    assert counts[1] == {}
    answer = await paper.get(f"/_paper/requests?exchange={exchange}")
    (told, *_) = [one for one in answer.json()["requests"] if one["classed"] == "account"]
    assert told | {"path": "", "method": ""} == {
        "exchange": exchange,
        "method": "",
        "path": "",
        "classed": "account",
        "status": 200,
    }
    assert "key-of" not in answer.text
    assert "sign" not in answer.text


async def test_what_is_not_on_paper_cannot_be_changed_or_counted(paper: httpx.AsyncClient) -> None:
    key = {"exchange": "okx", "api_key": "nobody"}
    assert (await paper.patch("/_paper/credentials", json=key)).status_code == 404
    assert (await paper.get("/_paper/stats", params=key)).status_code == 404


@pytest.mark.parametrize(
    ("version", "phrase"),
    [("2", "phrase"), ("1", "phrase"), ("1", sha256_base64(SECRET, "phrase"))],
)
def test_kucoin_wants_the_passphrase_signed_and_a_version_that_says_so(
    ledger: Ledger, version: str, phrase: str
) -> None:
    at, path = str(NOW), "/api/v1/accounts"
    headers = {
        "kc-api-key": "key",
        "kc-api-key-version": version,
        "kc-api-timestamp": at,
        "kc-api-passphrase": phrase,
        "kc-api-sign": sha256_base64(SECRET, f"{at}GET{path}"),
    }
    assert kucoin.answer(asked(path, "", headers), ledger).payload["code"] == "400004"


def test_binance_takes_no_window_over_a_minute(ledger: Ledger) -> None:
    assert ask_binance(ledger, window="60001").payload["code"] == -1131
    assert ask_binance(ledger, window="60000").status == 200


async def test_a_revoked_account_is_unknown(paper: httpx.AsyncClient, enrol: Call) -> None:
    await enrol("binance")
    gone = {"exchange": "binance", "api_key": "key-of-binance"}
    removed = [
        (await paper.request("DELETE", "/_paper/credentials", json=gone)).json()["removed"]
        for _ in range(2)
    ]
    assert removed == [True, False]


async def test_requests_are_counted_by_exchange_and_class(paper: httpx.AsyncClient) -> None:
    for path in ("/api/v3/time", "/api/v3/account", "/api/v3/exchangeInfo"):
        await paper.get(path, headers={"Host": "api.binance.com"})
    await paper.get("/0/public/Assets", headers={"Host": "api.kraken.com:443"})
    assert (await paper.get("/_paper/stats")).json() == {
        "requests": {
            "binance": {"other": 1, "account": 1, "markets": 1},
            "kraken": {"currencies": 1},
        }
    }


@pytest.mark.parametrize("host", ["api.bitmart.com", "binance.com.evil.org", "evilbinance.com"])
async def test_a_host_that_is_none_of_ours_is_misdirected(
    paper: httpx.AsyncClient, host: str
) -> None:
    assert (await paper.get("/api/v3/time", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.NAME)
async def test_an_unknown_endpoint_is_an_error_of_the_exchanges_own(
    paper: httpx.AsyncClient, exchange: Any
) -> None:
    host = f"api.{exchange.HOSTS[0]}"
    answer = await paper.get("/nowhere", headers={"Host": host})
    assert "such" in answer.text or "Unknown" in answer.text


async def test_a_fault_strikes_as_often_and_where_it_is_told(
    paper: httpx.AsyncClient, fault: Call
) -> None:
    await fault("okx", "status", only="other", times=2, status=520)
    host = {"Host": "www.okx.com"}
    paths = ["instruments?instType=SPOT", "time", "time", "time"]
    statuses = [
        (await paper.get(f"/api/v5/public/{path}", headers=host)).status_code for path in paths
    ]
    assert statuses == [200, 520, 520, 200]


async def test_faults_can_be_cleared(paper: httpx.AsyncClient, fault: Call) -> None:
    host = {"Host": "api.kraken.com"}
    for clear in ("/_paper/faults", "/_paper/faults?exchange=kraken"):
        await fault("kraken", "ban", only="")
        assert (await paper.get("/0/public/Time", headers=host)).status_code == 418
        await paper.delete(clear)
        assert (await paper.get("/0/public/Time", headers=host)).status_code == 200


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"hang", "reset", "cut", "giant"}))
async def test_every_kind_of_fault_has_an_answer(
    paper: httpx.AsyncClient, fault: Call, kind: str
) -> None:
    for exchange in EXCHANGES:
        date = "Mon, 23 Nov 2026 12:00:30 GMT"
        await fault(exchange.NAME, kind, only="", retry_after=date, seconds=0)
        answer = await paper.get("/", headers={"Host": f"api.{exchange.HOSTS[0]}"})
        patient = kind in ("throttle", "ban")
        assert (answer.headers.get("retry-after") is not None) is patient


@pytest.mark.parametrize("kind", ["reset", "cut"])
async def test_some_faults_break_the_connection(
    paper: httpx.AsyncClient, fault: Call, kind: str
) -> None:
    await fault("okx", kind, only="", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await paper.get("/api/v5/public/time", headers={"Host": "www.okx.com"})
    answer = await paper.get("/api/v5/public/time", headers={"Host": "www.okx.com"})
    assert answer.status_code == 200


async def test_a_giant_answer_does_not_end(paper: httpx.AsyncClient, fault: Call) -> None:
    await fault("okx", "giant", only="")
    url, host = "/api/v5/public/time", {"Host": "www.okx.com"}
    async with paper.stream("GET", url, headers=host) as answer:
        pieces = answer.aiter_bytes()
        assert sum([len(await anext(pieces)) for _ in range(100)]) > 1000


async def test_a_clock_can_be_put_wrong(paper: httpx.AsyncClient) -> None:
    async def told() -> int:
        answer = await paper.get("/api/v3/time", headers={"Host": "api.binance.com"})
        return int(answer.json()["serverTime"])

    before = await told()
    await paper.post("/_paper/clock", json={"exchange": "binance", "ahead_ms": 3_600_000})
    assert await told() >= before + 3_600_000


async def test_a_hang_ends_when_the_other_side_gives_up(
    paper: httpx.AsyncClient, fault: Call
) -> None:
    await fault("okx", "hang", only="")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await paper.get("/api/v5/public/time", headers={"Host": "www.okx.com"})


@pytest.mark.parametrize(
    "body", [{}, {"exchange": "ftx", "kind": "html"}, {"exchange": "okx", "kind": "odd"}]
)
async def test_a_wrong_order_is_not_taken(paper: httpx.AsyncClient, body: dict[str, str]) -> None:
    assert (await paper.post("/_paper/faults", json=body)).status_code == 422
    assert (await paper.get("/_paper/nowhere")).status_code == 404


async def test_the_number_of_markets_is_the_makers_choice(paper: httpx.AsyncClient) -> None:
    assert len(create_paper(12).state.paper.ledger.markets) == 12
    assert (await paper.post("/_paper/markets", json={"count": 30})).json() == {"count": 30}
    assert (await paper.get("/_paper/markets")).json() == {"count": 30}
    told = await paper.get("/api/v3/exchangeInfo", headers={"Host": "api.binance.com"})
    assert len(told.json()["symbols"]) == 30


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda e: e.NAME)
async def test_stock_ccxt_tells_thousands_of_markets_apart(
    outward: Outward, papers: Paper, exchange: Any
) -> None:
    papers.ledger.trade(3_000)
    stock = getattr(ccxt, exchange.NAME)(
        {"session": outward, "ssl_context": outward.tls, "enableRateLimit": False}
    )
    assert len(await stock.load_markets()) == 3_000
    assert len(stock.markets_by_id) == 3_000
    stock.session = None  # or it will complain that nobody closed ours


async def test_counters_can_begin_again(paper: httpx.AsyncClient) -> None:
    await paper.get("/api/v3/time", headers={"Host": "api.binance.com"})
    await paper.delete("/_paper/stats")
    assert (await paper.get("/_paper/stats")).json() == {"requests": {}}
