"""Who asks, where a proxy asks for them: only those that are named are believed."""

from collections.abc import Collection

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request

from daemon.web.server import bind, serve, url_of

pytestmark = pytest.mark.anyio
FOR = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize(
    ("proxies", "seen"),
    [
        ((), ["127.0.0.1", "http"]),
        (["10.0.0.0/8"], ["127.0.0.1", "http"]),
        (["127.0.0.0/8"], ["203.0.113.7", "https"]),
        (["*"], ["203.0.113.7", "https"]),
    ],
)
async def test_only_a_proxy_that_is_named_says_for_whom_it_asks(
    proxies: Collection[str], seen: list[str]
) -> None:
    app = FastAPI()

    @app.get("/")
    async def who(request: Request) -> list[str]:
        assert request.client
        return [request.client.host, request.url.scheme]

    with bind("127.0.0.1", 0, "TEST") as sock:
        async with anyio.create_task_group() as tasks, httpx.AsyncClient() as web:
            tasks.start_soon(serve, app, sock, proxies)
            assert (await web.get(url_of(sock), headers=FOR)).json() == seen
            tasks.cancel_scope.cancel()
