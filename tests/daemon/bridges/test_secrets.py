"""A canary: marked secrets go through every answer, and none of them is seen again."""

import base64
import html
import io
import json
import traceback
from collections.abc import Iterator
from itertools import chain
from urllib.parse import quote, quote_plus

import httpx
import pytest

from daemon.bridges.trading import TradingBridge
from reconciler.model import Credentials, Secret
from reconciler.verdicts import Verdict
from tests.daemon.bridges.conftest import SLOT, of_handler
from tests.daemon.bridges.story import StoryBridge
from tests.daemon.bridges.wire import Raw, Reply, Said
from tests.daemon.test_logs import logging_to

pytestmark = pytest.mark.anyio
ADD = "POST", "/connectors/add"
KEY = "canary-KEY/+ü 1"
SECRET = "canary\"S'ECRET\\&<2>"
PHRASE = "canary phrase 3"
PEM = "-----BEGIN PRIVATE KEY-----\nMIGcanaryLine1xyz\nMIGcanaryLine2xyz\n-----END PRIVATE KEY-----"
SENT = (KEY, SECRET, PHRASE, PEM)


def disguises(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret)
    yield quote(secret, safe="")
    yield quote_plus(secret)
    yield json.dumps(secret)
    yield json.dumps(secret, ensure_ascii=False)
    yield repr(secret)
    yield html.escape(secret)
    yield base64.b64encode(secret.encode()).decode()
    yield base64.urlsafe_b64encode(secret.encode()).decode()
    yield secret.upper()
    yield f"cut off in the middle: {secret[:-1]}" if len(secret) >= 16 else ""


def echoes(secret: str) -> Iterator[str]:
    for disguise in disguises(secret):
        yield from (disguise, f"Invalid key: {disguise} is wrong", f"x={disguise}&y=1")
        yield json.dumps({"a": disguise})


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    with logging_to() as lines:
        yield lines


def is_clean(text: str) -> bool:
    low = text.lower()
    coded = [base64.b64encode(s.encode()).decode()[:12].lower() for s in SENT]
    return "canary" not in low and not any(code in low for code in coded)


async def shown(bridge: TradingBridge, *, key: str = KEY) -> str:
    credentials = Credentials(Secret(key), Secret(SECRET), Secret(PHRASE))
    with pytest.raises(Verdict) as raised:
        await bridge.initialize(SLOT, credentials, "f1")
    error = raised.value
    trace = "".join(traceback.format_exception(error))
    return f"{error} {error!r} {trace}"


@pytest.mark.parametrize("key", [KEY, PEM])
async def test_what_a_bridge_echoes_is_not_repeated(key: str) -> None:
    echo = ""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/connectors":
            return httpx.Response(200, json={"boot_id": "b", "connectors": []})
        if request.url.path == "/accounts/create":
            return httpx.Response(200, json={"success": True})
        return httpx.Response(500, json={"detail": echo})

    bridge = of_handler(handle)
    for echo in chain.from_iterable(map(echoes, (key, SECRET, PHRASE))):
        text = await shown(bridge, key=key)
        assert is_clean(text), echo


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 422, 429, 500, 503])
async def test_a_whole_body_sent_back_is_not_repeated(
    bridge: TradingBridge,
    story: StoryBridge,
    logged: io.StringIO,
    status: int,
) -> None:
    echo = {"api_key": KEY, "api_secret": SECRET, "password": PHRASE}
    body = json.dumps({"success": False, **echo})
    for said in (
        Reply(status, body.encode(), {"Location": f"https://e.example/?k={quote(KEY)}"}),
        Reply(status, json.dumps({"detail": body}).encode()),
        Reply(status, json.dumps({"detail": [{"loc": ["body", SECRET], "input": body}]}).encode()),
        Reply(status, f"<html>{body}</html>".encode()),
    ):
        story.instead[ADD] = said
        assert is_clean(await shown(bridge))
    assert is_clean(logged.getvalue())


@pytest.mark.parametrize(
    "data", [KEY, f"HTTP/1.1 {SECRET}\r\n\r\n", f"HTTP/1.1 200 OK\r\n{SECRET}"]
)
async def test_what_is_no_http_is_not_repeated(
    bridge: TradingBridge, story: StoryBridge, data: str
) -> None:
    said: Said = Raw(data.encode())
    story.instead[ADD] = said
    assert is_clean(await shown(bridge))


async def test_the_token_of_the_bridge_is_not_repeated() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, text=f"bad header {request.headers['authorization']}")

    with pytest.raises(Verdict) as raised:
        await of_handler(handle).observe()
    assert "token-of-the-bridge" not in str(raised.value)
