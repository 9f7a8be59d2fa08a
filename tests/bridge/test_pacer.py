import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from bridge.app import Settings
from bridge.errors import Trouble
from bridge.pacer import Lane, Unwatched
from bridge.pacing import FIRST_QUIET_S
from bridge.paper.app import Paper
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def settings(paper_url: str) -> Settings:
    return Settings(exchange_origin=paper_url, timeout_s=5.0, limit_s=5.0, paced=True)


@pytest.fixture
async def lane() -> Lane:
    return Lane("binance", 0.001, patience_s=5.0)


def held_up(lane: Lane) -> None:
    """Make the lane so busy that nobody's turn comes during a test."""
    lane.line.address.take(5_000_000, asyncio.get_running_loop().time())


def lane_of(service: Service, exchange: str) -> Lane:
    lane: Lane = service.registry.connector("acme", exchange).remote.lane
    return lane


def pass_by(lane: Lane) -> None:
    """Let the time of its quiet pass."""
    lane.line.address.quiet.until = asyncio.get_running_loop().time()


def hurried(lane: Lane) -> None:
    """Let a second pass in a millisecond."""
    lane.line.address.interval_s /= 1000


async def test_a_turn_that_is_free_is_taken_without_waiting(lane: Lane) -> None:
    await lane.turn("ann", 1)
    assert lane._timer is None


async def test_turns_come_by_themselves(lane: Lane) -> None:
    await asyncio.gather(*(lane.turn(who, 2) for who in "abcdefgh"))
    assert len(lane.line) == 0
    assert lane._timer is None


@pytest.mark.parametrize("limit", [1.0, 3.0])
async def test_a_turn_too_far_off_is_answered_at_once(lane: Lane, limit: float) -> None:
    lane.line.told(None, asyncio.get_running_loop().time(), 2.0)
    began = asyncio.get_running_loop().time()
    with pytest.raises(Trouble) as caught, anyio.fail_after(limit):
        await lane.turn("ann", 1)
    assert caught.value.code == "throttled"
    assert caught.value.retry_after == pytest.approx(2.0, abs=0.5)
    assert asyncio.get_running_loop().time() - began < limit / 2  # the half that was for waiting
    assert len(lane.line) == 0


async def test_one_who_gives_up_leaves_no_trace(lane: Lane) -> None:
    held_up(lane)
    lane._patience_s = float("inf")
    with anyio.move_on_after(float("inf")) as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(lane.turn, "ann", 1)
            await anyio.wait_all_tasks_blocked()
            assert len(lane.line) == 1
            scope.cancel()
    assert len(lane.line) == 0
    assert lane._timer is None
    assert not lane._events


async def test_one_cancelled_when_its_turn_has_just_come_gives_it_to_the_next(lane: Lane) -> None:
    lane._patience_s = float("inf")
    now = asyncio.get_running_loop().time()
    held_up(lane)
    first = asyncio.create_task(lane.turn("ann", 5_000_000))
    second = asyncio.create_task(lane.turn("bob", 1))
    await anyio.wait_all_tasks_blocked()
    lane.line.address.free_at = now
    lane._advance()  # ann's turn, which she has not noticed yet
    first.cancel()
    await second
    assert first.cancelled()


async def test_patience_that_runs_out_behind_newcomers_is_throttled_as_well(lane: Lane) -> None:
    held = asyncio.create_task(lane.turn("ann", 1))
    await held
    lane._patience_s = 0.01
    slow = asyncio.create_task(lane.turn("ann", 1))
    held_up(lane)
    with pytest.raises(Trouble) as caught:
        await slow
    assert caught.value.code == "throttled"
    assert len(lane.line) == 0


async def test_a_thread_with_a_loop_of_its_own_waits_in_the_same_lane() -> None:
    seen = []

    class Threads(Unwatched):
        def waited(self, *_told: object) -> None:
            seen.append(threading.current_thread())

    lane = Lane("binance", 0.001, watch=Threads())
    await lane.turn("ann", 20)
    await asyncio.to_thread(lambda: asyncio.run(lane.turn(None, 5_000_000)))
    assert seen == [threading.current_thread()] * 2
    assert lane.line.wait("ann", asyncio.get_running_loop().time()) > 1000


async def test_a_429_told_to_one_account_keeps_all_of_them_from_asking(
    enrol: Call, add: Call, verify: Call, fault: Call, papers: Paper
) -> None:
    for account in ("ann", "bob"):
        await enrol(api_key=account)
        await add(api_key=account, account_name=account)
    await fault("binance", "throttle", retry_after=300, times=1)
    told = await verify(account="ann")
    assert (told.status_code, told.headers["Retry-After"]) == (429, "300")
    heard = papers.heard["binance"]["account"]
    for account in ("bob", "ann"):
        answer = await verify(account=account)
        assert (answer.status_code, answer.json()["code"]) == (429, "throttled")
        assert 295 <= int(answer.headers["Retry-After"]) <= 305
    assert papers.heard["binance"]["account"] == heard == 1


SHUT_OUT = [
    ("bybit", {"status": 403, "body": "403, access too frequent"}, 600),
    ("bybit", {"status": 403, "body": "<html>403 Forbidden</html>"}, 10),
    ("bybit", {"status": 200, "body": '{"retCode":10018,"retMsg":"Exceeded the IP Limit."}'}, 10),
    ("kucoin", {"status": 429, "body": "error code: 1015"}, 30),
]


@pytest.mark.parametrize("shut_out", SHUT_OUT)
async def test_an_address_that_is_shut_out_sends_nothing_for_any_account(
    shut_out: tuple[str, dict[str, object], int],
    service: Service,
    enrol: Call,
    add: Call,
    verify: Call,
    fault: Call,
    papers: Paper,
) -> None:
    exchange, answer, seconds = shut_out
    for account in ("ann", "bob"):
        await enrol(exchange, api_key=account)
        await add(exchange, api_key=account, account_name=account)
    await fault(exchange, "status", **answer, times=1)
    assert (await verify(exchange, "ann")).json()["code"] == "throttled"
    heard = papers.heard[exchange]["account"]  # a load of markets may be under way
    told = await verify(exchange, "bob")
    assert "not sent" in told.json()["detail"]
    assert papers.heard[exchange]["account"] == heard
    lane: Lane = service.registry.connector("bob", exchange).remote.lane
    assert seconds - 5 < lane.quiet_s <= seconds


async def test_an_address_never_asks_kucoin_faster_than_its_gateway_allows() -> None:
    lane = Lane("kucoin", 0.0075)  # ccxt's pace, of one account
    for account in range(500):
        lane.line.join(account, 5)
    assert lane.line.wait("another", asyncio.get_running_loop().time()) >= 10


@pytest.mark.parametrize(
    ("exchange", "said"),
    [
        ("binance", {"status": 429, "body": '{"code":-1003}'}),  # all accounts wait
        ("kraken", {"status": 200, "body": '{"error":["EAPI:Rate limit exceeded"]}'}),  # this one
    ],
)
async def test_where_an_exchange_does_not_say_how_long_we_say_how_long_we_wait(
    ready: Call, verify: Call, fault: Call, service: Service, exchange: str, said: Any
) -> None:
    await ready(exchange)
    hurried(service.registry.connector("acme", exchange).remote.lane)
    await fault(exchange, "status", **said)
    for told in (await verify(exchange), await verify(exchange)):  # once by them, once by us
        assert told.status_code == 429
        assert FIRST_QUIET_S - 1 <= int(told.headers["Retry-After"]) <= FIRST_QUIET_S + 1


@pytest.mark.parametrize("kind", ["throttle", "ban"])
async def test_once_a_quiet_is_over_the_exchange_is_asked_again(
    service: Service, enrol: Call, add: Call, verify: Call, fault: Call, papers: Paper, kind: str
) -> None:
    await enrol()
    await add()
    await fault("binance", kind, retry_after=300, times=1)
    assert [(await verify()).status_code for _ in range(2)] == [429, 429]
    pass_by(lane_of(service, "binance"))
    assert (await verify()).status_code == 200
    assert papers.heard["binance"]["account"] == 2


async def test_where_keys_are_counted_one_that_asks_too_much_stays_alone_in_that(
    service: Service, enrol: Call, add: Call, verify: Call, fault: Call
) -> None:
    for account in ("ann", "bob"):
        await enrol("kraken", api_key=account)
        await add("kraken", api_key=account, account_name=account)
    hurried(service.registry.connector("ann", "kraken").remote.lane)
    await fault("kraken", "status", status=200, body='{"error":["EAPI:Rate limit exceeded"]}')
    assert (await verify("kraken", "ann")).json()["code"] == "throttled"
    await fault("kraken", "clock", only="other")  # in place of the other fault
    assert (await verify("kraken", "bob")).status_code == 200
    again = await verify("kraken", "ann")
    assert again.json()["code"] == "throttled"
    assert "not sent" in again.json()["detail"]


async def test_markets_are_loaded_in_the_same_lane(
    service: Service, enrol: Call, add: Call, fault: Call, verify: Call, papers: Paper
) -> None:
    await fault("okx", "throttle", only="", retry_after=300, times=1)
    await enrol("okx")
    with pytest.raises(Exception, match="50011"):
        await service.shelf.get("okx").markets()
    await add("okx")
    heard = papers.heard["okx"].total()
    assert (await verify("okx")).status_code == 429
    assert papers.heard["okx"].total() == heard


async def test_a_stand_in_is_not_paced_unless_asked(
    paper_url: str, service: Service, add: Call
) -> None:
    await add()
    assert service.shelf.get("binance")._light.enableRateLimit is True
    assert Settings(exchange_origin=paper_url).paced is None
