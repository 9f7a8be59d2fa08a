"""What real ccxt makes of real answers, and what we make of that."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from bridge import bounded
from bridge.ask import balance
from bridge.catalogue import catalogue
from bridge.classify import Raised, _row
from bridge.dialects import ROWS, Row
from bridge.errors import Code, Trouble
from bridge.paper.app import Paper
from bridge.paper.faults import KINDS
from bridge.service import Service
from bridge.session import Outward, opened
from tests.bridge.answers import OTHERS, PAPER, Answer
from tests.bridge.conftest import served
from tests.bridge.plausible import guarded

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]


EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
FAULTS: dict[str, tuple[Code, str]] = {
    "html": ("unclear", "not JSON"),
    "empty": ("unclear", "not JSON"),
    "truncated": ("unclear", "not JSON"),
    "null": ("unclear", "not JSON"),
    "object": ("unclear", "no sense"),
    "shape": ("unclear", "no sense"),
    "cut": ("unclear", "broke off"),
    "giant": ("unclear", "more than 128 KiB"),
    "redirect": ("unavailable", "302"),
    "reset": ("unavailable", "connection was lost"),
    "proxy": ("unavailable", "proxy"),
    "geography": ("unavailable", "location"),
    "clock": ("unavailable", "clock"),
    "throttle": ("throttled", "patience"),
    "ban": ("throttled", "banned"),
    "refuse_ip": ("refused", "allowlist"),
    "expire": ("refused", "expired"),
}
# Kraken counts nonces instead of seconds, and has one word for "not allowed".
OF_KRAKEN = {"clock": ("unavailable", "nonce"), "refuse_ip": ("refused", "permission")}


class Standin:
    """Says the same to every request of every exchange."""

    def __init__(self) -> None:
        self.status, self.body, self.packed = 200, "{}", b""
        self.app = FastAPI()
        self.app.add_api_route("/{path:path}", self._say, methods=["GET", "POST"])

    async def _say(self, _request: Request) -> Response:
        if self.packed:
            return Response(self.packed, self.status, {"Content-Encoding": "gzip"})
        return Response(self.body, self.status, {"Content-Type": "application/json"})


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def standin() -> Standin:
    return Standin()


@pytest.fixture
async def elsewhere(standin: Standin) -> AsyncIterator[Outward]:
    """The way out to exchanges that the paper does not know."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(served(standin.app))
        yield await stack.enter_async_context(opened(address))


def _ids(answer: Answer) -> str:
    return f"{answer.exchange} {answer.status} {answer.body[:60]}"


@pytest.mark.parametrize("answer", PAPER, ids=_ids)
async def test_what_a_paper_exchange_says_means(
    answer: Answer, ready: Call, fault: Call, verify: Call
) -> None:
    await ready(answer.exchange)
    await fault(answer.exchange, "status", status=answer.status, body=answer.body)
    told = (await verify(answer.exchange)).json()
    assert told["code"] == answer.code, told
    _is_plain(answer, told["detail"])


@pytest.mark.parametrize("answer", OTHERS, ids=_ids)
async def test_what_another_exchange_says_means(
    answer: Answer, standin: Standin, elsewhere: Outward
) -> None:
    standin.status, standin.body = answer.status, answer.body
    with pytest.raises(Trouble) as caught:
        await balance(answer.exchange, _remote(answer.exchange, elsewhere), [], 5)
    assert caught.value.code == answer.code, caught.value.detail
    _is_plain(answer, caught.value.detail)


def _is_plain(answer: Answer, detail: str) -> None:
    """Check the words: what it is about, and the exchange's name once."""
    assert answer.says in detail
    assert detail.startswith(f"{answer.exchange} ")
    assert detail.count(f"{answer.exchange} ") == 1, detail


def _remote(exchange: str, outward: Outward) -> Any:
    return guarded(exchange, session=outward, ssl_context=outward.tls)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.family} {row.pattern[-40:]}")
def test_every_row_of_the_table_is_decided_by_an_answer(row: Row) -> None:
    assert any(_row_for(answer) == row for answer in (*PAPER, *OTHERS))


def _row_for(answer: Answer) -> Row | None:
    plain = not answer.body.startswith(("{", "["))
    said = f"GET  {answer.status} {answer.body}" if plain else answer.body  # as ccxt has it
    return _row(Raised(answer.exchange, (), f"{answer.exchange} {said}", None, None, ()))


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_every_failure_on_command_has_its_code_and_words(
    exchange: str, ready: Call, fault: Call, verify: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "LARGEST", 128 * 1024)
    await ready(exchange)
    assert (await verify(exchange)).status_code == 200
    expected = FAULTS | (OF_KRAKEN if exchange == "kraken" else {})
    for kind, (code, words) in expected.items():
        await fault(exchange, kind)
        told = (await verify(exchange)).json()
        assert (told["code"], words in told["detail"]) == (code, True), (kind, told)


def test_no_failure_on_command_is_left_out() -> None:
    assert set(FAULTS) | {"status", "hang", "slow"} == set(KINDS)


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_a_key_that_is_revoked_after_success_is_refused(
    exchange: str, ready: Call, verify: Call, paper: httpx.AsyncClient
) -> None:
    await ready(exchange)
    assert (await verify(exchange)).status_code == 200
    gone = {"exchange": exchange, "api_key": f"key-of-{exchange}"}
    await paper.request("DELETE", "/_paper/credentials", json=gone)
    for _ in range(2):
        answer = await verify(exchange)
        assert (answer.status_code, answer.json()["code"]) == (422, "refused")


@pytest.mark.parametrize("ahead_min", [-10, 10])
@pytest.mark.parametrize("exchange", ["binance", "bybit", "kucoin", "okx"])
async def test_a_clock_that_differs_is_put_right_once_for_all_connectors(
    exchange: str,
    ahead_min: int,
    ready: Call,
    add: Call,
    verify: Call,
    paper: httpx.AsyncClient,
    papers: Paper,
) -> None:
    order = {"exchange": exchange, "ahead_ms": ahead_min * 60_000}
    await ready(exchange)
    await add(exchange, account_name="other")
    assert (await verify(exchange)).status_code == 200
    await paper.post("/_paper/clock", json=order)
    assert (await verify(exchange)).status_code == 200
    papers.heard.clear()
    assert (await verify(exchange, account="other")).status_code == 200
    assert papers.heard[exchange]["other"] == 0, "asked for the time again"
    await paper.post("/_paper/clock", json=order | {"ahead_ms": 0})
    assert (await verify(exchange)).status_code == 200


async def test_an_exchange_that_does_not_tell_its_time_is_unavailable(
    ready: Call, verify: Call, paper: httpx.AsyncClient, fault: Call
) -> None:
    await ready("binance")
    await paper.post("/_paper/clock", json={"exchange": "binance", "ahead_ms": 600_000})
    await fault("binance", "html", only="other")
    told = (await verify("binance")).json()
    assert (told["code"], "clock" in told["detail"]) == ("unavailable", True)


async def test_a_clock_that_cannot_be_put_right_is_asked_for_once(
    ready: Call, verify: Call, papers: Paper, fault: Call
) -> None:
    await ready("okx")
    await fault("okx", "clock")
    papers.heard.clear()
    assert (await verify("okx")).json()["code"] == "unavailable"
    assert papers.heard["okx"]["account"] == 2
    assert papers.heard["okx"]["other"] == 1


# What exchanges, gateways and their next versions may say instead of balances.
HOLLOW = [
    '{"msg":"hello"}',
    '{"code":0,"status":"ok","success":true,"data":null,"result":null}',
    '{"code":"0","msg":"success"}',
    '{"wallets":[{"asset":"BTC","free":"1"}]}',
]


NONSENSE: list[tuple[int, str]] = [
    *((200, body) for body in HOLLOW),
    *((200, body) for body in ("", "null", "<html>", '{"data":[', "0")),
    *((status, "") for status in (302, 423, 520, 529)),
]


async def test_no_exchange_of_all_reads_as_empty_when_it_does_not_tell_balances(
    standin: Standin, elsewhere: Outward
) -> None:
    remotes = {exchange: _remote(exchange, elsewhere) for exchange in catalogue()}
    for standin.status, standin.body in NONSENSE:
        asked = (balance(exchange, remote, [], 30) for exchange, remote in remotes.items())
        told = dict(zip(remotes, await asyncio.gather(*asked, return_exceptions=True), strict=True))
        # malformed: not asked at all
        assert not [
            e for e, t in told.items() if not isinstance(t, Trouble) or t.code == "malformed"
        ]


@pytest.mark.parametrize(
    ("exchange", "body"),
    [
        ("backpack", "{}"),
        ("binance", '{"balances":[]}'),
        ("bitfinex", '[["margin","BTC",1,0,1]]'),
        ("bitget", '{"code":"00000","data":{"assets":[]}}'),
        ("coinbase", '{"data":[]}'),
        ("derive", '{"result":[{"collaterals":[]}]}'),
        ("gate", "[]"),
        ("kraken", '{"error":[],"result":{}}'),
        ("latoken", '[{"type":"ACCOUNT_TYPE_WALLET","currency":"x","available":"1"}]'),
        ("mexc", '{"balances":[]}'),
        ("okx", '{"code":"0","data":[{"details":[]}]}'),
    ],
)
async def test_an_account_without_anything_is_empty_and_no_error(
    exchange: str, body: str, standin: Standin, elsewhere: Outward
) -> None:
    standin.body = body
    assert await balance(exchange, _remote(exchange, elsewhere), [], 5) == {}


@pytest.mark.parametrize("amount", ["1e999", "-1e999"])
async def test_an_amount_without_bounds_is_no_amount(
    amount: str, standin: Standin, elsewhere: Outward
) -> None:
    standin.body = f'{{"balances":[{{"asset":"BTC","free":"{amount}","locked":"0"}}]}}'
    with pytest.raises(Trouble) as caught:
        await balance("binance", _remote("binance", elsewhere), [], 5)
    assert caught.value.code == "unclear"


async def test_a_small_answer_that_unpacks_to_a_huge_one_is_given_up(
    standin: Standin, elsewhere: Outward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "LARGEST", 1024 * 1024)
    standin.packed = gzip.compress(b" " * 64 * 1024 * 1024)
    with pytest.raises(Trouble, match="more than 1024 KiB"):
        await balance("binance", _remote("binance", elsewhere), [], 5)


async def test_a_kind_of_account_that_could_not_be_found_out_is_found_out_again(
    standin: Standin, elsewhere: Outward
) -> None:
    remote = _remote("bitget", elsewhere)
    standin.status, standin.body = 503, "<html>"
    with pytest.raises(Trouble):
        await balance("bitget", remote, [], 5)
    asset = '{"coin":"BTC","available":"1","locked":"0","balance":"1"}'
    standin.status, standin.body = 200, f'{{"code":"00000","data":{{"assets":[{asset}]}}}}'
    assert (await balance("bitget", remote, [], 5))["BTC"]["total"] == 1.0


@pytest.mark.parametrize("kind", ["html", "empty", "truncated", "null", "object", "shape"])
async def test_nonsense_for_a_list_of_markets_is_told_and_not_kept(
    kind: str, ready: Call, fault: Call, verify: Call, paper: httpx.AsyncClient, service: Service
) -> None:
    await fault("kraken", kind, only="markets")
    await ready("kraken")  # which reads no balance without markets
    assert (await verify("kraken")).json()["code"] == "unclear"
    assert service.shelf.get("kraken").markets_loaded == 0
    await paper.delete("/_paper/faults")
    assert (await verify("kraken")).status_code == 200
    assert service.shelf.get("kraken").markets_loaded > 0


async def test_one_exchange_of_three_that_fails_is_named_beside_what_the_others_hold(
    bridge: httpx.AsyncClient, ready: Call, fault: Call
) -> None:
    for exchange in ("binance", "kraken", "okx"):
        await ready(exchange)
    await fault("kraken", "html")
    shown = (await bridge.get("/portfolio?account=acme")).json()["balances"]
    assert [name for name in shown if "error" in shown[name]] == ["kraken"]
    assert shown["kraken"]["code"] == "unclear"
    assert shown["binance"]["BTC"]["total"] == shown["okx"]["BTC"]["total"] == 0.6
