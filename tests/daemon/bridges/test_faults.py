"""Everything that a bridge or the way to it can do to us, over real sockets."""

import socket
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from daemon.bridges.line import MIB, Patience
from daemon.bridges.trading import TradingBridge, open_bridge
from reconciler.model import Slot, Verified
from reconciler.verdicts import (
    ExchangeAway,
    NotThere,
    Refused,
    Throttled,
    Unavailable,
    Unclear,
    Unsupported,
    Verdict,
)
from tests.daemon.bridges.conftest import BRIDGE, NOW, QUICK, SLOT, StoppedClock, credentials
from tests.daemon.bridges.story import REFUSAL, StoryBridge
from tests.daemon.bridges.wire import Hang, Raw, Reply, Reset, Said, serving, told

pytestmark = pytest.mark.anyio
ADD = "POST", "/connectors/add"
LIST = "GET", "/accounts"
PORTFOLIO = "GET", "/portfolio"
HTML = {"Content-Type": "text/html"}


@pytest.fixture
async def hasty(story: StoryBridge) -> AsyncIterator[TradingBridge]:
    patience = Patience(connect=0.05, listing=0.05, change=0.05, proof=0.05)
    async with (
        serving(story) as url,
        open_bridge(BRIDGE, url, StoppedClock(), patience=patience) as bridge,
    ):
        yield bridge


async def added(bridge: TradingBridge, story: StoryBridge, said: Said) -> Verdict:
    story.instead[ADD] = said
    with pytest.raises(Verdict) as raised:
        await bridge.initialize(SLOT, credentials(), "f1")
    return raised.value


# -- the way to the bridge -------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


async def test_nobody_listening_means_that_nothing_was_sent() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with open_bridge(BRIDGE, url, StoppedClock(), patience=QUICK) as bridge:
        with pytest.raises(Unavailable, match="unreachable: connection refused"):
            await bridge.initialize(SLOT, credentials(), "f1")


async def test_a_socket_that_is_not_there_is_named_in_words(tmp_path: Path) -> None:
    url = f"unix:{tmp_path}/none"
    async with open_bridge(BRIDGE, url, StoppedClock()) as bridge:
        with pytest.raises(Unavailable, match="no such file"):
            await bridge.observe()


async def test_a_name_that_does_not_resolve_is_no_trouble_of_the_key() -> None:
    async with open_bridge(BRIDGE, "https://bridge.invalid", StoppedClock()) as bridge:
        with pytest.raises(Unavailable, match="unreachable"):
            await bridge.observe()


async def test_plain_text_where_tls_should_be_is_unavailable(story: StoryBridge) -> None:
    async with serving(story) as url:
        tls = url.replace("http:", "https:")
        async with open_bridge(BRIDGE, tls, StoppedClock(), patience=QUICK) as bridge:
            with pytest.raises(Unavailable, match="unreachable"):
                await bridge.observe()


async def test_no_answer_in_time_is_unclear(hasty: TradingBridge, story: StoryBridge) -> None:
    verdict = await added(hasty, story, Hang())
    assert type(verdict) is Unclear
    assert "did not respond within 0.05 seconds" in str(verdict)


@pytest.mark.parametrize(
    "said",
    [
        Reset(),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"),
        Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        Raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        Raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    ],
    ids=["reset", "cut in the head", "cut in the body", "bad chunk", "no HTTP", "bad gzip"],
)
async def test_a_connection_that_breaks_after_sending_is_unclear(
    bridge: TradingBridge, story: StoryBridge, said: Said
) -> None:
    assert type(await added(bridge, story, said)) is Unclear


async def test_the_line_works_again_after_a_break(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    await added(bridge, story, Reset())
    story.instead.clear()
    await bridge.initialize(SLOT, credentials(), "f1")
    assert [c.slot for c in (await bridge.observe()).connectors] == [SLOT]


async def test_an_answer_without_end_is_cut_off(bridge: TradingBridge, story: StoryBridge) -> None:
    verdict = await added(bridge, story, Reply(200, b" " * (MIB + 1)))
    assert type(verdict) is Unclear
    assert "larger than 1 MiB" in str(verdict)


async def test_a_listing_may_be_larger_than_other_answers(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.instead[LIST] = Reply(200, b'{"accounts":[]}' + b" " * (2 * MIB))
    assert (await bridge.observe()).connectors == ()


# -- statuses --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_named_and_not_followed(
    bridge: TradingBridge, story: StoryBridge, status: int
) -> None:
    where = {"Location": "https://elsewhere.example/add?api_key=good-key"}
    verdict = await added(bridge, story, Reply(status, headers=where))
    assert type(verdict) is Unavailable
    assert "redirect to elsewhere.example not followed" in str(verdict)
    assert "good-key" not in str(verdict)
    assert len(story.requests(*ADD)) == 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_gateway_that_answers_instead_is_the_bridges_trouble(
    bridge: TradingBridge, story: StoryBridge, status: int
) -> None:
    page = b"<html><head><title>Bad Gateway</title></head><body>nginx</body></html>"
    verdict = await added(bridge, story, Reply(status, page, HTML))
    assert type(verdict) is Unavailable
    assert str(verdict) == f"HTTP {status}: Bad Gateway nginx"


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", timedelta(seconds=7)),
        ("2.5", timedelta(seconds=2.5)),
        (format_datetime(NOW + timedelta(minutes=2), usegmt=True), timedelta(minutes=2)),
        (format_datetime(NOW - timedelta(minutes=2), usegmt=True), timedelta(0)),
        ("999999999999", timedelta(days=1)),
        ("soon", None),
        ("", None),
    ],
)
async def test_too_fast_says_how_long_to_wait(
    bridge: TradingBridge, story: StoryBridge, status: int, header: str, wait: timedelta | None
) -> None:
    verdict = await added(bridge, story, Reply(status, b"slow", {"Retry-After": header}))
    assert isinstance(verdict, Throttled)
    assert verdict.retry_after == wait


@pytest.mark.parametrize("status", [401, 407])
async def test_a_closed_door_is_the_bridges_trouble(
    bridge: TradingBridge, story: StoryBridge, status: int
) -> None:
    verdict = await added(bridge, story, told(status, detail="Invalid API-key", code="refused"))
    assert type(verdict) is Unavailable
    assert "refuses our token" in str(verdict)


async def test_an_echo_of_the_whole_body_names_the_field_and_nothing_else(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    echo = {"api_secret": "the-secret-of-the-key", "api_key": "good-key"}
    problem = {"loc": ["body", "api_secret"], "msg": "good-key", "input": echo, "type": "x"}
    verdict = await added(bridge, story, told(422, detail=[problem]))
    assert type(verdict) is Unsupported
    assert str(verdict) == "HTTP 422: the bridge calls our request malformed (api_secret)"


@pytest.mark.parametrize("status", [400, 404, 409, 413, 500, 501, 599])
async def test_words_that_say_nothing_are_unclear(
    bridge: TradingBridge, story: StoryBridge, status: int
) -> None:
    verdict = await added(bridge, story, told(status, detail="Something is odd"))
    assert type(verdict) is Unclear
    assert str(verdict) == f"HTTP {status}: Something is odd"


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"<html>hello</html>", b"[" * 9999])
async def test_success_that_is_not_the_contract_is_unclear(
    bridge: TradingBridge, story: StoryBridge, body: bytes
) -> None:
    assert type(await added(bridge, story, Reply(200, body))) is Unclear


async def test_success_that_says_failure_is_unclear(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    verdict = await added(bridge, story, told(success=False, message="No luck today"))
    assert type(verdict) is Unclear
    assert "No luck today" in str(verdict)


async def test_success_that_says_failure_with_a_reason_is_that_reason(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    assert type(await added(bridge, story, told(success=False, message=REFUSAL))) is Refused


@pytest.mark.parametrize(
    "said", [told(), told(201, success=True), Reply(204)], ids=["silent", "created", "no content"]
)
async def test_other_words_for_success_are_understood(
    bridge: TradingBridge, story: StoryBridge, said: Said
) -> None:
    story.instead[ADD] = said
    await bridge.initialize(SLOT, credentials(), "f1")


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("refused", 422, Refused),
        ("throttled", 429, Throttled),
        ("unavailable", 503, ExchangeAway),
        ("unsupported", 400, Unsupported),
        ("malformed", 422, Unsupported),
        ("not_found", 404, NotThere),
        ("conflict", 409, Unclear),
        ("unclear", 502, Unclear),
    ],
)
async def test_a_code_of_our_own_bridge_outweighs_its_status(
    bridge: TradingBridge, story: StoryBridge, code: str, status: int, expected: type[Verdict]
) -> None:
    verdict = await added(bridge, story, told(status, detail="binance says: odd", code=code))
    assert type(verdict) is expected
    assert str(verdict) == f"HTTP {status}: binance says: odd"


# -- habits of the story's bridges -----------------------------------------------------------


async def test_a_field_bridge_says_all_in_words_of_a_500(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.refused.add("good-key")
    with pytest.raises(Refused, match=r"HTTP 500: .*Invalid API-key"):
        await bridge.initialize(SLOT, credentials(), "f1")
    assert "client_acme" in story.accounts, "a failed add still creates the account"


async def test_an_unknown_exchange_is_unsupported(bridge: TradingBridge) -> None:
    with pytest.raises(Unsupported, match="Unsupported exchange: ftx"):
        await bridge.initialize(Slot(BRIDGE, "client_acme", "ftx"), credentials(), "f1")


async def test_a_testnet_key_is_never_sent_where_it_would_meet_the_real_exchange(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    with pytest.raises(Unsupported, match="testnet"):
        await bridge.initialize(Slot(BRIDGE, "client_acme", "binance_testnet"), credentials(), "f")
    assert not story.requests(*ADD)


async def test_a_balance_proves_a_connector(bridge: TradingBridge) -> None:
    await bridge.initialize(SLOT, credentials(), "f1")
    assert (await bridge.verify(SLOT)).verified is Verified.OK


@pytest.mark.parametrize(
    "balances",
    [
        {},
        {"binance": {}},
        {"okx": {"BTC": {"total": 1}}},
        [],
        [{"connector": "binance", "asset": "BTC", "total": 1}],
    ],
)
async def test_what_proves_nothing_is_unknown(
    bridge: TradingBridge, story: StoryBridge, balances: object
) -> None:
    story.instead[PORTFOLIO] = told(balances=balances)
    assert (await bridge.verify(SLOT)).verified is Verified.UNKNOWN


async def test_an_exchanges_failure_inside_a_200_is_read_from_its_text(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    story.instead[PORTFOLIO] = told(balances={"binance": {"error": REFUSAL}})
    with pytest.raises(Refused):
        await bridge.verify(SLOT)


async def test_no_account_means_no_connector(bridge: TradingBridge) -> None:
    with pytest.raises(NotThere, match="client_acme"):
        await bridge.verify(SLOT)
