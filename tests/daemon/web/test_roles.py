"""Every route, tried by everybody: a route that does not say who may use it fails here."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from daemon.store.audit import NOBODY
from daemon.store.tokens import Tokens
from daemon.tokens import Role, Token, digest_of, new_token
from daemon.web.sessions import COOKIE
from reconciler.model import ClientId
from tests.daemon.web.conftest import Office

pytestmark = pytest.mark.anyio
OPEN = {"/", "/api/openapi.json", "/console/login", "/console/static/{name}"}
"""They tell nothing that the source does not, and let people come in."""


def routes_of(app: FastAPI) -> list[APIRoute]:
    return [route for route in _walk(app.routes) if isinstance(route, APIRoute)]


def _walk(routes: Iterable[object]) -> Iterator[object]:
    """FastAPI keeps a router that is included as one, in a route of its own kind."""
    for route in routes:
        router = getattr(route, "original_router", None)
        yield from (route,) if router is None else _walk(router.routes)


def guarded(app: FastAPI) -> list[APIRoute]:
    return [route for route in routes_of(app) if route.path not in OPEN]


def is_page(route: APIRoute) -> bool:
    """A page is for people in a session; a token alone opens none."""
    return route.path.startswith("/console")


def assert_sent_to_the_login(answer: httpx.Response) -> None:
    if answer.request.method == "GET":
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/login?next=")
    else:
        assert answer.status_code == 401


def csrf_of(office: Office, cookie: str) -> str:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode())]
    session = office.sessions.read(Request({"type": "http", "headers": headers}))
    assert session is not None
    return session.csrf


def roles_of(dependant: Dependant) -> Iterator[tuple[Role, ...]]:
    found = getattr(dependant.call, "roles", None)
    if found:
        yield found
    for each in dependant.dependencies:
        yield from roles_of(each)


def path_of(route: APIRoute) -> str:
    names: dict[str, Any] = {name: str(uuid4()) for name in route.param_convertors}
    return route.path.format(**names)


async def test_every_route_says_who_may_use_it(office: Office) -> None:
    assert len(routes_of(office.app)) > 10
    for route in routes_of(office.app):
        if route.path not in OPEN:
            assert len(list(roles_of(route.dependant))) == 1, route.path


async def test_nobody_comes_in_without_a_token_that_is_good(office: Office, acme: ClientId) -> None:
    tokens, now = Tokens(office.engine), datetime.now(UTC)
    revoked, expired, unknown = new_token(), new_token(), new_token()
    made = await tokens.create("revoked", "admin", digest_of(revoked), NOBODY)
    await tokens.revoke(str(made.id), NOBODY)
    ended = now - timedelta(seconds=1)
    await tokens.create("expired", "admin", digest_of(expired), NOBODY, expires_at=ended)
    office.gate.failures.most = 10_000
    for token in (None, revoked, expired, unknown):
        async with office.web(token) as web:
            for route in guarded(office.app):
                for method in (route.methods or set()) - {"HEAD"}:
                    answer = await web.request(method, path_of(route))
                    if is_page(route):
                        assert_sent_to_the_login(answer)
                        continue
                    assert answer.status_code == 401, (route.path, token)
                    assert answer.json()["code"] == "unauthorized"
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
    del acme


@pytest.mark.parametrize("role", get_args(Role))
async def test_a_role_may_use_what_it_is_named_for_and_nothing_else(
    office: Office, acme: ClientId, role: Role
) -> None:
    whose = {"client_id": acme} if role == "client" else {}
    office.roster.close()  # a stream of events ends after the first
    async with office.web(await office.token(role, **whose)) as web:
        for route in guarded(office.app):
            if is_page(route):
                continue
            (roles,) = roles_of(route.dependant)
            for method in (route.methods or set()) - {"HEAD"}:
                answer = await web.request(method, path_of(route))
                assert (answer.status_code == 403) is (role not in roles), (route.path, role)
                assert answer.status_code != 401


@pytest.mark.parametrize("role", get_args(Role))
async def test_a_page_is_for_the_roles_it_is_named_for_and_for_nobody_else(
    office: Office, acme: ClientId, role: Role
) -> None:
    whose = {"client_id": acme} if role == "client" else {}
    token = await office.token(role, **whose)
    async with office.web() as web:
        for route in filter(is_page, guarded(office.app)):
            (roles,) = roles_of(route.dependant)
            await web.post("/console/login", data={"token": token.reveal()})
            word = csrf_of(office, web.cookies[COOKIE])
            for method in (route.methods or set()) - {"HEAD"}:
                headers = {"x-csrf-token": word}
                answer = await web.request(method, path_of(route), headers=headers)
                assert (answer.status_code == 403) is (role not in roles), (route.path, role)
                assert answer.status_code not in (401, 500), route.path


async def test_who_tries_tokens_out_is_told_to_wait_and_locks_out_nobody_else(
    office: Office,
) -> None:
    office.gate.failures.every = 3_600
    async with office.web(new_token()) as web:
        answers = [await web.get("/api/admin/clients") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    assert answers[-1].json()["code"] == "throttled"
    assert int(answers[-1].headers["Retry-After"]) >= 1
    async with office.web(new_token()) as web:
        assert (await web.get("/api/admin/clients")).status_code == 429
    async with office.web(await office.token()) as web:
        assert (await web.get("/api/admin/clients")).status_code == 200
    async with office.web() as web:
        assert (await web.get("/api/admin/clients")).status_code == 401


async def test_the_same_wrong_token_costs_no_query_once_its_address_waits(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    office.gate.failures.every = 3_600
    find = office.gate.tokens.find

    async def counted(digest: str) -> Token | None:
        looked_up.append(digest)
        return await find(digest)

    monkeypatch.setattr(office.gate.tokens, "find", counted)
    async with office.web(new_token()) as web:
        for _ in range(30):
            await web.get("/api/admin/clients")
    assert len(looked_up) == 10
