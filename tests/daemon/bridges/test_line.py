"""Where a line goes, where it never goes, and what its errors mean."""

import httpx
import pytest

from daemon.bridges.address import BadBridgeUrl, address
from daemon.bridges.line import Line, open_line
from daemon.bridges.trading import TradingBridge, open_bridge
from reconciler.fence import fenced
from reconciler.verdicts import LeaseLost, Unavailable, Unclear, Verdict
from tests.daemon.bridges.conftest import BRIDGE, SLOT, StoppedClock, credentials, of_handler
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Reply, serving


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://bridge.example", "https://bridge.example/"),
        ("https://gateway.example:8443/bridge/", "https://gateway.example:8443/bridge/"),
        ("http://127.0.0.1:8700", "http://127.0.0.1:8700/"),
        ("http://127.8.8.8", "http://127.8.8.8/"),
        ("http://localhost:8700", "http://localhost:8700/"),
        ("http://[::1]:8700", "http://[::1]:8700/"),
    ],
)
def test_an_address_is_read(url: str, base: str) -> None:
    assert str(address(url).base) == base


@pytest.mark.parametrize("url", ["unix:/run/bridge.sock", "unix:///run/bridge.sock"])
def test_a_unix_socket_is_read(url: str) -> None:
    assert address(url).uds == "/run/bridge.sock"


@pytest.mark.parametrize("url", ["http://bridge:8700", "http://10.0.0.1", "http://127.example.com"])
def test_secrets_leave_the_machine_unencrypted_only_when_allowed(url: str) -> None:
    with pytest.raises(BadBridgeUrl, match="unencrypted"):
        address(url)
    assert address(url, plain_http=True).base == f"{url}/"


@pytest.mark.parametrize(
    "url",
    ["", "bridge:8700", "ftp://bridge", "https://", "unix:run/b", "http://[", "https://b/?a=1", "https://b/#a"],
)  # fmt: skip
def test_what_is_no_address_is_named(url: str) -> None:
    with pytest.raises(BadBridgeUrl):
        address(url)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(BadBridgeUrl) as raised:
        address("https://me:hunter22@bridge.example")
    assert "hunter22" not in str(raised.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("x"), Unavailable),
        (httpx.ConnectTimeout("x"), Unavailable),
        (httpx.PoolTimeout("x"), Unavailable),
        (httpx.UnsupportedProtocol("x"), Unavailable),
        (httpx.ReadTimeout("x"), Unclear),
        (httpx.WriteTimeout("x"), Unclear),
        (httpx.ReadError("x"), Unclear),
        (httpx.WriteError("x"), Unclear),
        (httpx.RemoteProtocolError("x"), Unclear),
        (httpx.DecodingError("x"), Unclear),
        (ConnectionResetError("x"), Unclear),
        (TimeoutError("x"), Unclear),
    ],
)
async def test_whatever_http_raises_is_a_verdict(error: Exception, expected: type[Verdict]) -> None:
    def handle(_request: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(Verdict) as raised:
        await of_handler(handle).initialize(SLOT, credentials(), "f1")
    assert type(raised.value) is expected
    assert raised.value.__cause__ is None


@pytest.mark.anyio
async def test_a_cookie_is_not_carried_to_the_next_request(
    bridge: TradingBridge, story: StoryBridge
) -> None:
    listing = b'{"accounts":[]}'
    story.instead["GET", "/accounts"] = Reply(200, listing, {"Set-Cookie": "session=of-another"})
    await bridge.observe()
    await bridge.observe()
    assert all("cookie" not in asked.headers for asked in story.heard)


@pytest.mark.anyio
async def test_a_proxy_of_the_environment_is_not_asked(
    monkeypatch: pytest.MonkeyPatch, story: StoryBridge
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(story) as url, open_bridge(BRIDGE, url, StoppedClock()) as bridge:
        await bridge.observe()
    assert story.heard


@pytest.mark.anyio
async def test_nothing_is_sent_after_the_lease_has_ended_however_many_requests_came_before() -> (
    None
):
    """An add is several requests; a process may be frozen between any two."""
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={})

    def lost() -> None:
        if asked:
            raise LeaseLost("it ended")

    line = Line(httpx.MockTransport(handle), "http://bridge/")
    with fenced(lost):
        await line.ask("GET", "first", seconds=1)
        with pytest.raises(LeaseLost):
            await line.ask("POST", "second", seconds=1, body={"api_secret": "x"})
    assert asked == ["/first"]


@pytest.mark.anyio
async def test_nothing_is_sent_when_the_lease_ends_while_we_connect() -> None:
    async with serving(StoryBridge()) as url:

        def lost() -> None:
            if checks:
                raise LeaseLost("it ended")
            checks.append(True)

        checks: list[bool] = []
        async with open_line(url) as line:
            with fenced(lost), pytest.raises(LeaseLost):
                await line.ask("GET", "health", seconds=5)
