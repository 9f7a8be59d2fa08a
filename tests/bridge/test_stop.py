"""The end of a bridge's process, while calls to an exchange are under way."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

SLOT = {"account_name": "acme", "connector_name": "binance"}
NOBODY_ELSE = [
    ("GET", "/readyz"),
    ("GET", "/accounts"),
    ("GET", "/connectors"),
    ("POST", "/connectors/verify"),
]


@dataclass
class SlowExchange:
    """Answers a question about an account when it is allowed to."""

    asked: threading.Event = field(default_factory=threading.Event)
    may_answer: threading.Event = field(default_factory=threading.Event)
    origin: str = ""

    def answer(self, path: str) -> tuple[int, Any]:
        if "/api/v3/account" not in path:
            return 404, {"code": -1, "msg": "not here"}
        self.asked.set()
        self.may_answer.wait(60)
        return 200, {"balances": [{"asset": "BTC", "free": "1", "locked": "0"}]}


@pytest.fixture
def exchange() -> Iterator[SlowExchange]:
    slow = SlowExchange()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, payload = slow.answer(self.path)
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        slow.origin = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield slow
        slow.may_answer.set()
        server.shutdown()


@dataclass
class Bridge:
    """A bridge's process with a connector, and a call for it under way."""

    process: Any
    path: Path
    pool: ThreadPoolExecutor
    running: Any = None

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.path))
        with httpx.Client(transport=transport, base_url="http://b", timeout=60) as client:
            return client.request(method, path, json=body)

    def until_not_ready(self) -> httpx.Response:
        while (answer := self.ask("GET", "/readyz")).status_code == 200:
            pass  # the signal is on its way
        return answer

    def end(self) -> list[dict[str, Any]]:
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, out) == (0, "")
        assert not self.path.exists()
        return [json.loads(line) for line in err.splitlines()]


@pytest.fixture
def busy(start: Any, exchange: SlowExchange, tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    pool = ThreadPoolExecutor()

    def busy(*options: object) -> Bridge:
        path = tmp_path / "bridge.sock"
        process, _ = start("bridge", "--uds", path, "--exchange-origin", exchange.origin, *options)
        bridge = Bridge(process, path, pool)
        bridge.ask("POST", "/connectors/add", SLOT | {"api_key": "k", "api_secret": "s"})
        assert bridge.ask("GET", "/readyz").status_code == 200
        bridge.running = pool.submit(bridge.ask, "POST", "/connectors/verify", SLOT)
        assert exchange.asked.wait(60)
        return bridge

    yield busy
    exchange.may_answer.set()
    pool.shutdown()


def test_a_call_under_way_may_end_while_nobody_else_is_let_in(
    busy: Callable[..., Bridge], exchange: SlowExchange
) -> None:
    bridge = busy("--grace", 60)
    bridge.process.send_signal(signal.SIGTERM)
    assert bridge.until_not_ready().json()["code"] == "unavailable"
    assert [bridge.ask(*request).status_code for request in NOBODY_ELSE] == [503] * 4
    assert bridge.ask("GET", "/livez").status_code == 200
    assert bridge.ask("GET", "/metrics").status_code == 200
    exchange.may_answer.set()
    assert bridge.running.result(60).status_code == 200
    assert {line["level"] for line in bridge.end()} <= {"info", "warning"}


@pytest.mark.parametrize("again", [False, True], ids=["too long", "told twice"])
def test_a_call_that_stays_too_long_is_answered_and_the_process_ends(
    busy: Callable[..., Bridge], *, again: bool
) -> None:
    bridge = busy("--grace", 60 if again else 0)
    bridge.process.send_signal(signal.SIGTERM)
    if again:
        bridge.until_not_ready()
        bridge.process.send_signal(signal.SIGINT)
    told = bridge.running.result(60)
    assert (told.status_code, told.json()["code"]) == (503, "unavailable")
    assert "stopping" in told.json()["detail"]
    assert {line["level"] for line in bridge.end()} <= {"info", "warning"}
