"""How people come in and go out: the session's begin and end, and the files that pages load."""

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from daemon.web.auth import Gate, address_of
from daemon.web.console.answers import ours
from daemon.web.console.doors import Anybody, Page, Sealed, Word, sessions_of
from daemon.web.console.paper import STATIC, page
from daemon.web.problems import Problem
from daemon.web.sessions import COOKIE, LENGTH
from reconciler.model import Secret

routes = APIRouter(prefix="/console", route_class=Page, include_in_schema=False)
front = APIRouter(include_in_schema=False)


@front.get("/")
async def show_the_way() -> Response:
    return RedirectResponse("/console", 307)


@routes.get("/static/{name}")
async def send_static(name: str) -> Response:
    if name not in STATIC:
        raise Problem("not_found", "There is no such file.")
    body, kind = STATIC[name]
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}  # its address has a digest
    return Response(body, media_type=kind, headers=headers)


@routes.get("/login")
async def show_login(
    request: Request,
    next: Annotated[str, Query(max_length=2_000)] = "/console",  # noqa: A002
) -> Response:
    return page(request, "login.html", next=next, words="")


@routes.post("/login")
async def log_in(
    request: Request,
    token: Sealed = "",
    next: Word = "/console",  # noqa: A002
) -> Response:
    gate = cast("Gate", request.app.state.gate)
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem("forbidden", "Log in from the console's own page.")
    try:
        caller = await gate.caller(Secret(token.strip() or "-"), address_of(request))
    except Problem as problem:
        if problem.code not in ("unauthorized", "throttled"):
            raise
        wrong = "This token opens nothing: it is wrong, revoked or has expired."
        words = problem.detail if problem.code == "throttled" else wrong
        status = 429 if problem.code == "throttled" else 401
        return page(request, "login.html", status, next=next, words=words)
    where = "/console/mine" if caller.role == "client" else ours(next)
    response = RedirectResponse(where, 303)
    response.set_cookie(
        COOKIE,
        sessions_of(request).begin(caller),
        max_age=int(LENGTH.total_seconds()),
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return response


@routes.post("/logout")
async def log_out(request: Request, visitor: Anybody) -> Response:
    await sessions_of(request).end(visitor.caller)
    response = RedirectResponse("/console/login", 303)
    response.delete_cookie(COOKIE)
    return response
