from collections.abc import AsyncIterator

import httpx
import pytest

from bridge.app import Settings
from bridge.door import LARGEST_BODY, OPEN

pytestmark = pytest.mark.anyio
TOKEN = "a-token-of-some-length"


@pytest.fixture
def settings() -> Settings:
    return Settings(token=TOKEN, exchange_origin="http://127.0.0.1:1")


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_health_needs_no_token(bridge: httpx.AsyncClient, path: str) -> None:
    answer = await bridge.get(path)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/accounts"),
        ("GET", "/connectors"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/nowhere"),
        ("POST", "/connectors/add"),
        ("DELETE", "/connectors/a/b"),
        ("GET", "/health/../accounts"),
    ],
)
async def test_everything_else_does(bridge: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await bridge.request(method, path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "authorization", ["", TOKEN, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"]
)
async def test_a_wrong_token_is_not_let_in(bridge: httpx.AsyncClient, authorization: str) -> None:
    answer = await bridge.get("/accounts", headers={"Authorization": authorization})
    assert answer.status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_right_token_is(bridge: httpx.AsyncClient, scheme: str) -> None:
    answer = await bridge.get("/accounts", headers={"Authorization": f"{scheme} {TOKEN}"})
    assert answer.status_code == 200


class TestWithoutToken:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(exchange_origin="http://127.0.0.1:1")

    async def test_everybody_may_come_in(self, bridge: httpx.AsyncClient) -> None:
        assert (await bridge.get("/accounts")).status_code == 200

    async def test_a_body_that_is_announced_too_large_is_not_read(
        self, bridge: httpx.AsyncClient
    ) -> None:
        answer = await bridge.post("/accounts/create", content=b"x" * (LARGEST_BODY + 1))
        assert answer.status_code == 413

    async def test_a_body_that_grows_too_large_is_not_read_to_its_end(
        self, bridge: httpx.AsyncClient
    ) -> None:
        sent = []

        async def endless() -> AsyncIterator[bytes]:
            for number in range(1000):
                sent.append(number)
                yield b"x" * 1024

        answer = await bridge.post("/accounts/create", content=endless())
        assert answer.status_code == 413
        assert len(sent) <= LARGEST_BODY // 1024 + 1
