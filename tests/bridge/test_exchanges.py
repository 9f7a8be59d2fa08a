import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import httpx
import pytest
from yarl import URL

from bridge.credentials import Offered
from bridge.errors import Trouble
from bridge.paper.app import Paper
from bridge.session import Outward, opened
from bridge.shelf import Shelf
from bridge.template import READS_WITHOUT_MARKETS
from tests.bridge.plausible import offered as plausible

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]


@pytest.fixture
async def shelf(outward: Outward) -> AsyncIterator[Shelf]:
    made = Shelf(outward)
    yield made
    await made.close()


def offered(exchange: str) -> Offered:
    return Offered(f"key-of-{exchange}", "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5", "pass phrase")


def config(exchange: str, outward: Outward) -> dict[str, Any]:
    mine = offered(exchange)
    named = {"apiKey": mine.api_key, "secret": mine.api_secret, "password": mine.password}
    return {"session": outward, "ssl_context": outward.tls, "enableRateLimit": False, **named}


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_light_object_reads_what_a_stock_object_reads(
    shelf: Shelf, outward: Outward, enrol: Call, exchange: str
) -> None:
    async def read(remote: Any) -> Any:
        # Anew for each: nonces are milliseconds, and two objects with one key may hit the same.
        await enrol(exchange, balances={"BTC": "0.6", "ETH": "2", "USDT": "1000", "SOL": "0"})
        return await remote.fetch_balance()

    stock = getattr(ccxt, exchange)(config(exchange, outward))
    expected = await read(stock)
    stock.session = None  # or it will complain that nobody closed ours
    template = shelf.get(exchange)
    early = await read(template.make(offered(exchange)))
    await template.markets()
    late = await read(template.make(offered(exchange)))
    for part in ("total", "free", "used"):
        assert early[part] == late[part] == expected[part]
    assert expected["total"]["BTC"] == 0.6


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_template_loads_markets_without_any_key(
    shelf: Shelf, papers: Paper, exchange: str
) -> None:
    markets = await shelf.get(exchange).markets()
    assert {"BTC/USDT", "ETH/USDT"} <= set(markets)
    assert shelf.get(exchange).markets_loaded == len(markets) == 5
    assert papers.heard[exchange]["account"] == 0


async def test_markets_are_loaded_once_for_all_who_wait(shelf: Shelf, papers: Paper) -> None:
    template = shelf.get("kraken")
    lights = [template.make(offered("kraken")) for _ in range(3)]
    found = await asyncio.gather(template.markets(), *(light.load_markets() for light in lights))
    assert all(markets is found[0] for markets in found)
    assert all(light.markets is found[0] for light in lights)
    assert papers.heard["kraken"]["markets"] == 1


async def test_one_who_gives_up_does_not_take_the_load_away(shelf: Shelf, papers: Paper) -> None:
    template = shelf.get("kraken")
    impatient = asyncio.create_task(template.markets())
    patient = asyncio.create_task(template.markets())
    await asyncio.sleep(0)
    impatient.cancel()
    assert len(await patient) == 5
    assert papers.heard["kraken"]["markets"] == 1


async def test_a_load_that_failed_is_tried_again_by_the_next_who_needs_it(
    shelf: Shelf, fault: Call
) -> None:
    await fault("kraken", "html", only="", times=1)
    template = shelf.get("kraken")
    with pytest.raises(ccxt.BadResponse):
        await template.markets()
    assert template.markets_loaded == 0
    assert len(await template.markets()) == 5


class Hands:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_markets_are_loaded_anew_when_that_is_due_and_stay_while_the_exchange_is_away(
    outward: Outward, papers: Paper, fault: Call
) -> None:
    clock = Hands()
    shelf = Shelf(outward, refresh_s=3600, now=clock, draw=lambda: 0.5)
    template = shelf.get("kraken")
    before = await template.markets()
    clock.now = 1800
    shelf.refresh()
    assert template._loading is not None
    assert template._loading.done()
    assert template.age_s == 1800

    await fault("kraken", "html", only="")
    clock.now = 7200
    shelf.refresh()
    with pytest.raises(ccxt.BadResponse):
        await asyncio.shield(template._loading)
    assert (await template.markets(), template.age_s) == (before, 7200)

    await fault("kraken", "html", only="nothing")
    clock.now = 7300
    shelf.refresh()
    await asyncio.shield(template._loading)
    assert template.age_s == 0
    assert papers.heard["kraken"]["markets"] == 2  # what was spoiled is not counted
    await shelf.close()


async def test_after_a_failure_the_background_leaves_an_exchange_alone_for_a_while(
    shelf: Shelf, fault: Call, papers: Paper
) -> None:
    await fault("kraken", "html", only="")
    template = shelf.get("kraken")
    with pytest.raises(ccxt.BadResponse):
        await template.markets()
    heard = papers.heard["kraken"].total()
    for _ in range(10):
        template.warm()
        await asyncio.sleep(0)
    assert papers.heard["kraken"].total() == heard


async def test_those_who_read_without_markets_do_not_wait_for_them(
    shelf: Shelf, enrol: Call, papers: Paper
) -> None:
    for exchange in READS_WITHOUT_MARKETS & set(EXCHANGES):
        await enrol(exchange)
        await shelf.get(exchange).make(offered(exchange)).fetch_balance()
        assert papers.heard[exchange]["markets"] == 0


async def test_an_exchange_that_needs_markets_and_cannot_load_them_gives_no_balance(
    shelf: Shelf, enrol: Call, fault: Call
) -> None:
    await enrol("kraken")
    await fault("kraken", "html", only="markets")
    with pytest.raises(ccxt.BadResponse):
        await shelf.get("kraken").make(offered("kraken")).fetch_balance()


# Where ccxt keeps what it has found out about one account.
STATE = [
    ("binance", "hasAlreadyAuthenticatedSuccessfully"),
    ("bitget", "uta"),
    ("bybit", "enableUnifiedAccount"),
    ("bybit", "enableUnifiedMargin"),
    ("bybit", "unifiedMarginStatus"),
    ("gate", "unifiedAccount"),
    ("hyperliquid", "approvedBuilderFee"),
    ("hyperliquid", "enableUnifiedMargin"),
    ("kucoin", "hf"),
    ("kucoin", "uta"),
]


@pytest.mark.parametrize(("exchange", "state"), STATE)
async def test_account_state_is_never_shared(shelf: Shelf, exchange: str, state: str) -> None:
    template = shelf.get(exchange)
    one, other = template.make(plausible(exchange)), template.make(plausible(exchange))
    one.options[state] = "found out"
    for another in (other, template.make(plausible(exchange))):
        assert another.options.get(state) != "found out"
    assert state in inspect.getsource(getattr(ccxt, exchange)), "ccxt has another name for it"


async def test_credentials_are_never_shared(shelf: Shelf) -> None:
    template = shelf.get("binance")
    one, other = template.make(Offered("k1", "s1")), template.make(Offered("k2", "s2"))
    assert (one.apiKey, other.apiKey) == ("k1", "k2")


async def test_accounts_that_ccxt_has_looked_up_are_never_shared(shelf: Shelf) -> None:
    one, other = shelf.make("htx", plausible("htx")), shelf.make("htx", plausible("htx"))
    one.accounts = [{"id": "1"}]
    assert not other.accounts


async def test_two_questions_in_one_millisecond_get_two_nonces(shelf: Shelf) -> None:
    light = shelf.get("kraken").make(offered("kraken"))
    asked = [light.nonce() for _ in range(100)]
    assert asked == sorted(set(asked))
    assert asked[0] <= light.milliseconds()


async def test_a_light_object_is_small(shelf: Shelf) -> None:
    light = shelf.get("binance").make(Offered("k", "s"))
    assert set(vars(light)) == {"apiKey", "secret", "options"}
    assert sys.getsizeof(vars(light)) + sys.getsizeof(light.options) < 4096


async def test_functions_borrowed_from_the_template_stay_functions(shelf: Shelf) -> None:
    light = shelf.get("binance").make(Offered("k", "s"))
    assert light.number_to_string(0.1) == "0.1"
    assert light.decimal_to_precision("1.26", 1, 1, 2) == "1.3"


async def test_objects_open_no_session_of_their_own(
    shelf: Shelf, outward: Outward, enrol: Call
) -> None:
    await enrol("binance")
    light = shelf.get("binance").make(offered("binance"))
    await light.fetch_balance()
    assert light.session is outward
    assert light.tcp_connector is None


async def test_a_real_exchange_is_paced_and_a_stand_in_is_not(shelf: Shelf) -> None:
    assert shelf.get("binance").make(Offered("k", "s")).enableRateLimit is False
    async with opened() as real:
        paced = Shelf(real)
        light = paced.get("binance").make(Offered("k", "s"))
        other = paced.get("binance").make(Offered("k", "s"))
        assert light.enableRateLimit is True
        assert light.lane is other.lane
        assert light.lane is not paced.get("okx").make(Offered("k", "s", "p")).lane


async def test_a_testnet_has_other_addresses(shelf: Shelf) -> None:
    light = shelf.get("binance_testnet").make(Offered("k", "s"))
    assert "testnet" in light.urls["api"]["private"]
    assert "testnet" not in shelf.get("binance").make(Offered("k", "s")).urls["api"]["private"]


@pytest.mark.parametrize("name", ["kraken_testnet", "luno_testnet", "ftx_testnet", "bitmart"])
async def test_what_cannot_be_had_is_unsupported(shelf: Shelf, name: str) -> None:
    with pytest.raises(Trouble) as caught:
        shelf.get(name)
    assert caught.value.code == "unsupported"


async def test_the_session_keeps_no_cookie_and_has_room_for_many() -> None:
    async with opened() as real:
        assert isinstance(real.session.cookie_jar, aiohttp.DummyCookieJar)
        assert real.session.connector is not None
        assert real.session.connector.limit > 100
        assert real.session.trust_env is False


async def test_a_stand_in_gets_the_same_bytes_and_the_real_host(
    outward: Outward, enrol: Call
) -> None:
    await enrol("okx")
    url = URL("https://www.okx.com/api/v5/public/instruments?instType=SPOT&x=%2C,", encoded=True)
    async with outward.get(url, headers={}) as answer:
        assert (await answer.json())["code"] == "0"
        assert str(answer.url).endswith("instruments?instType=SPOT&x=%2C,")


@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
async def test_no_redirect_is_followed(
    outward: Outward, fault: Call, papers: Paper, method: str
) -> None:
    await fault("okx", "status", only="", status=302)
    url = URL("https://www.okx.com/api/v5/public/time")
    async with getattr(outward, method)(url, headers={}) as answer:
        assert answer.status == 302
    assert papers.heard["okx"].total() == 1
