from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from bridge.app import Settings, create_app
from bridge.door import LARGEST_BODY
from bridge.errors import CODES, STATUSES, Trouble
from bridge.service import Service

pytestmark = pytest.mark.anyio
Call = Callable[..., Awaitable[httpx.Response]]
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def settings() -> Settings:
    return Settings(exchange_origin="http://127.0.0.1:1")


def problem(answer: httpx.Response) -> Any:
    """Return the problem, after a look at what RFC 9457 asks of every one."""
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said["status"] == answer.status_code
    assert said["type"] == f"urn:bridgetender:{said['code']}"
    assert said["title"]
    assert said["detail"]
    return said


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("GET", "/accounts/nobody", {}, 404, "not_found"),
        ("PUT", "/accounts", {}, 405, "malformed"),
        ("GET", "/accounts", {"headers": {"Accept": "text/html"}}, 406, "malformed"),
        ("GET", "/accounts", {"headers": {"Accept": "application/json;q=0"}}, 406, "malformed"),
        ("POST", "/accounts/create", {"content": b"x" * (LARGEST_BODY + 1)}, 413, "malformed"),
        ("POST", "/accounts/create", {"data": {"account_name": "a"}}, 415, "malformed"),
        ("POST", "/accounts/create", {"content": b'{"account_name":"a"}'}, 415, "malformed"),
        (
            "POST",
            "/accounts/create",
            {"content": b"\x1f\x8b", "headers": {**JSON, "Content-Encoding": "gzip"}},
            415,
            "malformed",
        ),
        ("POST", "/accounts/create", {"content": b"{", "headers": JSON}, 422, "malformed"),
        ("POST", "/accounts/create", {"content": b"\xff", "headers": JSON}, 400, "malformed"),
        ("POST", "/accounts/create", {"content": b"[" * 9999, "headers": JSON}, 400, "malformed"),
        ("POST", "/accounts/create", {}, 422, "malformed"),
        ("POST", "/accounts/create", {"json": {"account_name": 7}}, 422, "malformed"),
        ("POST", "/accounts/create", {"json": {"account_name": "a/b"}}, 422, "malformed"),
        ("GET", "/connectors?limit=0", {}, 422, "malformed"),
        (
            "POST",
            "/connectors/add",
            {"json": {"account_name": "a", "connector_name": "ftx"}},
            400,
            "unsupported",
        ),
    ],
)
async def test_every_failure_is_a_problem(
    bridge: httpx.AsyncClient, method: str, path: str, more: Any, status: int, code: str
) -> None:
    answer = await bridge.request(method, path, **more)
    assert (answer.status_code, problem(answer)["code"]) == (status, code)


async def test_a_stranger_gets_a_problem_too() -> None:
    transport = httpx.ASGITransport(create_app(Settings(token="t")))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as client:
        answer = await client.get("/accounts")
    assert (answer.status_code, problem(answer)["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("code", CODES)
async def test_each_kind_of_trouble_has_its_status_and_keeps_its_words(
    bridge: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch, code: Any
) -> None:
    def fall(_: str) -> None:
        raise Trouble(code, "in these words", retry_after=6.2)

    monkeypatch.setattr(service.registry, "account", fall)
    answer = await bridge.get("/accounts/a")
    assert answer.status_code == STATUSES[code]
    said = problem(answer)
    assert (said["code"], said["detail"], said["retry_after"]) == (code, "in these words", 7)
    assert answer.headers["retry-after"] == "7"


async def test_nobody_is_told_to_wait_when_nobody_knows_how_long(
    bridge: httpx.AsyncClient,
) -> None:
    answer = await bridge.get("/accounts/nobody")
    assert "retry_after" not in problem(answer)
    assert "retry-after" not in answer.headers


async def test_a_method_that_is_not_there_is_told_all_that_are(bridge: httpx.AsyncClient) -> None:
    # Two routes match this path: an account that is called "create", and the making of one.
    answer = await bridge.delete("/accounts/create")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/accounts", "GET, HEAD, OPTIONS"),
        ("/connectors/add", "OPTIONS, POST"),
        ("/connectors/a/b", "DELETE, OPTIONS"),
    ],
)
async def test_options_names_the_methods(bridge: httpx.AsyncClient, path: str, allow: str) -> None:
    answer = await bridge.options(path)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize("path", ["/accounts", "/health", "/metrics", "/accounts/nobody"])
async def test_head_is_get_without_the_body(bridge: httpx.AsyncClient, path: str) -> None:
    got, headed = await bridge.get(path), await bridge.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]
    assert headed.headers.get("etag") == got.headers.get("etag")


@pytest.mark.parametrize(
    ("asked", "location"),
    [
        ("/accounts/", "/accounts"),
        ("/connectors/?limit=2&cursor=a%2Fb", "/connectors?limit=2&cursor=a%2Fb"),
        ("/connectors/?api_secret=canary", "/connectors"),
        ("/accounts/a%0D%0Ab/", "/accounts/a%0D%0Ab"),
    ],
)
async def test_a_slash_too_many_leads_to_the_right_place_and_carries_no_secret(
    bridge: httpx.AsyncClient, asked: str, location: str
) -> None:
    answer = await bridge.get(asked)
    assert (answer.status_code, answer.headers["location"]) == (307, location)


async def test_no_slash_leads_to_another_host(bridge: httpx.AsyncClient) -> None:
    answer = await bridge.get("http://bridge//elsewhere.example/")
    assert (answer.status_code, problem(answer)["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "accept", ["*/*", "application/*", "text/html, application/json;q=0.5", "APPLICATION/JSON"]
)
async def test_whoever_can_read_json_gets_it(bridge: httpx.AsyncClient, accept: str) -> None:
    answer = await bridge.get("/accounts", headers={"Accept": accept})
    assert answer.headers["content-type"] == "application/json"


async def test_metrics_do_not_ask_who_reads_json(bridge: httpx.AsyncClient) -> None:
    assert (await bridge.get("/metrics", headers={"Accept": "text/plain"})).status_code == 200


async def test_json_of_a_vendors_kind_is_json(bridge: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/vnd.firm+json; charset=utf-8"}
    answer = await bridge.post("/accounts/create", content=b'{"account_name":"a"}', headers=headers)
    assert answer.status_code == 200
