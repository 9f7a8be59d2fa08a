import gc
import io
import json
import logging
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
import structlog

from bridge.logs import configure
from bridge.paper.app import Paper
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
MARKED = {
    "api_key": "canary-key-0123456789",
    "api_secret": "Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0",
    "password": "canary-passphrase",
    "memo": "canary-memo",
}
EXCHANGES = ["binance", "bybit", "kraken", "kucoin", "okx"]
FAULTS = ["html", "empty", "truncated", "status", "throttle", "refuse_ip", "clock"]


Story = Callable[[str], Awaitable[list[httpx.Response]]]


@pytest.fixture
def story(bridge: httpx.AsyncClient, add: Call, verify: Call, enrol: Call, fault: Call) -> Story:
    """Let everything happen to one connector, and return all that was said."""

    async def story(exchange: str) -> list[httpx.Response]:
        told = [await add(exchange, **MARKED), await verify(exchange)]
        known = {name: MARKED[name] for name in ("api_key", "api_secret", "password")}
        await enrol(exchange, **known)
        told.append(await verify(exchange))
        assert told[-1].status_code == 200
        for kind in FAULTS:
            await fault(exchange, kind, times=2 if kind == "clock" else 1)  # it is asked again
            told.append(await verify(exchange))
            assert told[-1].status_code != 200
        await enrol(exchange, **known | {"api_secret": "b3RoZXI="})  # a wrong signature
        return [*told, await verify(exchange), await bridge.get("/portfolio?account=acme")]

    return story


def leaks(text: str) -> list[str]:
    found = [mark for mark in MARKED.values() if mark in text]
    return found + [word for word in ("signature=", "canary") if word in text.lower()]


@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_no_secret_leaves_through_a_response_or_a_log(
    bridge: httpx.AsyncClient, story: Story, logged: io.StringIO, exchange: str
) -> None:
    told = await story(exchange)
    told.append(await bridge.get("/connectors"))
    told += [await bridge.get("/accounts"), await bridge.get("/metrics")]
    assert leaks(" ".join(answer.text for answer in told)) == []
    assert "exchange_failed" in logged.getvalue()
    assert leaks(logged.getvalue()) == []


@pytest.mark.parametrize(
    "body",
    [
        {"account_name": "acme", **MARKED},
        {"account_name": 7, "connector_name": "binance", **MARKED},
        {"account_name": "a", "connector_name": "binance", **MARKED, "api_secret": [MARKED]},
        {"account_name": "a", "connector_name": "okx", **MARKED, "password": 7, "memo": {}},
        {"account_name": "a", "connector_name": "ftx", **MARKED},
        {"account_name": "a", "connector_name": "bitmart", **MARKED},
        {"account_name": "a/b", "connector_name": "binance", **MARKED},
        [MARKED],
        "canary",
    ],
)
async def test_a_rejected_request_is_not_echoed(
    bridge: httpx.AsyncClient, logged: io.StringIO, body: Any
) -> None:
    answer = await bridge.post("/connectors/add", json=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] in ("malformed", "unsupported")
    assert leaks(answer.text + logged.getvalue()) == []


@pytest.mark.parametrize("body", ['{"api_secret": "canary', "canary", '{"a": canary}', "\xff"])
async def test_broken_json_is_not_echoed(
    bridge: httpx.AsyncClient, logged: io.StringIO, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await bridge.post("/connectors/add", content=body.encode("latin-1"), headers=headers)
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == "malformed"
    assert leaks(answer.text + logged.getvalue()) == []


async def test_an_accident_inside_the_bridge_tells_and_logs_no_secret(
    add: Call,
    service: Service,
    logged: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fall(*_: object) -> None:
        raise RuntimeError(f"api_secret={MARKED['api_secret']}")

    monkeypatch.setattr(service.registry, "put", fall)
    answer = await add("binance", **MARKED)
    assert answer.status_code == 500
    assert answer.json()["detail"] == "Something went wrong inside the bridge"
    assert leaks(answer.text + logged.getvalue()) == []


async def test_a_connector_and_its_exchange_object_do_not_show_secrets(
    add: Call, service: Service
) -> None:
    await add("okx", **MARKED)
    held = service.registry.connector("acme", "okx")
    assert leaks(f"{held!r} {held.remote!r} {held.offered!r} {held.remote}") == []


async def test_a_call_leaves_no_signed_request_on_the_exchange_object(
    add: Call, verify: Call, service: Service
) -> None:
    await add("okx", **MARKED)
    await verify("okx")
    remote = service.registry.connector("acme", "okx").remote
    kept = {"apiKey", "secret", "password", "options"}
    assert {k for k, v in vars(remote).items() if leaks(str(v))} <= kept
    assert remote.last_request_headers is None


def test_ccxts_own_log_can_not_be_turned_on(logged: io.StringIO) -> None:
    logging.getLogger("ccxt.base.exchange").debug("%s", MARKED)
    logging.getLogger("uvicorn.access").info("%s", MARKED)
    logging.getLogger("bridge").error("failed: api_secret=%s", MARKED["api_secret"])
    (line,) = logged.getvalue().splitlines()
    assert json.loads(line)["event"] == "failed: api_secret=***"


async def test_no_library_shows_a_secret_even_when_its_own_logger_is_at_debug(
    add: Call, verify: Call, enrol: Call, logged: io.StringIO, papers: Paper
) -> None:
    await enrol("binance", **{k: MARKED[k] for k in ("api_key", "api_secret")})
    for name in ("ccxt", "aiohttp", "asyncio", "httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    await add("binance", **MARKED)
    assert (await verify("binance")).status_code == 200
    assert papers.heard["binance"]["account"] == 1
    assert leaks(logged.getvalue()) == []


class Clumsy:
    def __del__(self) -> None:
        raise ValueError(f"api_secret={MARKED['api_secret']}")


def test_what_nobody_caught_and_what_python_warns_of_is_scrubbed_too(logged: io.StringIO) -> None:
    Clumsy()
    gc.collect()
    error = ValueError(f"api_secret={MARKED['api_secret']}")
    sys.excepthook(ValueError, error, None)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)  # pytest's own ear is away here
        warnings.warn(f"api_secret={MARKED['api_secret']}", stacklevel=1)
    events = [json.loads(line) for line in logged.getvalue().splitlines()]
    assert [event["event"] for event in events[:2]] == ["unraisable", "crashed"]
    assert events[2]["logger"] == "py.warnings"
    assert all("api_secret=***" in str(event) for event in events)
    assert leaks(logged.getvalue()) == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("logged")
def test_a_terminal_gets_words_without_secrets() -> None:
    terminal = Terminal()
    configure("INFO", terminal)
    logging.getLogger("bridge").error("failed: api_secret=%s", MARKED["api_secret"])
    assert "failed: api_secret=***" in terminal.getvalue()
    assert "{" not in terminal.getvalue()


def test_a_value_of_whatever_kind_is_scrubbed(logged: io.StringIO) -> None:
    marked = f"api_secret={MARKED['api_secret']}"
    structlog.get_logger().info("event", deep={"er": [marked]}, error=ValueError(marked), count=3)
    assert leaks(logged.getvalue()) == []
    assert json.loads(logged.getvalue())["count"] == 3
