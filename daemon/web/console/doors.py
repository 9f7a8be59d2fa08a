"""Who is let into the console, and that forms come from its own pages."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import Depends, Form, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from daemon.tokens import Role
from daemon.web.auth import Caller
from daemon.web.console.paper import page
from daemon.web.problems import EXPECTED, TITLES, Problem, problem_of, told
from daemon.web.sessions import Sessions, check_origin

LOGIN = "/console/login"
TRY_AGAIN = 503
_THING = re.compile(r"/console/(key|client)s/[0-9a-f-]{36}(?:/|$)")
Word = Annotated[str, Form(max_length=1_000)]
Sealed = Annotated[str, Form(max_length=65_536)]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks, and the word for the forms that are given to them."""

    caller: Caller
    csrf: str

    @property
    def acts(self) -> bool:
        return self.caller.role == "admin"


def sessions_of(request: Request) -> Sessions:
    return cast("Sessions", request.app.state.sessions)


def seen_by(*roles: Role) -> Callable[..., Any]:
    """Return the dependency that yields a `Visitor` of one of *roles*."""

    async def visitor(request: Request) -> Visitor:
        sessions = sessions_of(request)
        session = sessions.read(request)
        caller = await sessions.caller(request, recent=request.method == "GET")
        if session is None or caller is None:
            raise Problem("unauthorized", "Log in first: this session is over, or was none.")
        if caller.role not in roles:
            raise Problem("forbidden", f"This needs a token with the role {' or '.join(roles)}.")
        return Visitor(caller, session.csrf)

    visitor.roles = roles  # type: ignore[attr-defined]  # for the test that tries each with each
    return visitor


def acted_by(*roles: Role) -> Callable[..., Any]:
    """Return the same for what changes something: the form must be one of ours."""
    come_in = seen_by(*roles)

    async def actor(request: Request) -> Visitor:
        found: Visitor = await come_in(request)
        session = sessions_of(request).read(request)
        word = request.headers.get("x-csrf-token") or (await request.form()).get("csrf")
        if session is not None:
            check_origin(request, session, word if isinstance(word, str) else "")
        return found

    actor.roles = roles  # type: ignore[attr-defined]
    return actor


Seen = Annotated[Visitor, Depends(seen_by("admin", "viewer"))]
Acting = Annotated[Visitor, Depends(acted_by("admin"))]
Own = Annotated[Visitor, Depends(seen_by("client"))]
Anybody = Annotated[Visitor, Depends(acted_by("admin", "viewer", "client"))]
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Page(APIRoute):
    """The route class of the console: what goes wrong is told by a page."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except EXPECTED as error:
                return _told(request, problem_of(error))

        return answer


async def lost(request: Request, error: Exception) -> Response:
    """Answer an address that nothing is at: with a page where people are, else as ever."""
    problem = problem_of(error)
    here = request.url.path.startswith("/console/")
    return _told(request, problem) if here else told(problem)


def _told(request: Request, problem: Problem) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    if problem.code == "unauthorized" and request.method == "GET":
        if "x-live" in request.headers:
            return Response(status_code=401)
        return RedirectResponse(f"{LOGIN}?next={quote(here, safe='')}", 303)
    status, title = TITLES[problem.code]
    words, again = problem.detail, ""
    if problem.code == "not_found" and (thing := _THING.match(request.url.path)):
        title = f"This {thing[1]} is not there any more"
        words = f"This {thing[1]} was deleted, or has never been: nothing is left to do here."
    if status == TRY_AGAIN and request.method == "GET":
        again = here
    response = page(
        request,
        "message.html",
        status,
        visitor=_remembered(request, problem),
        title=title,
        words=words,
        again=again,
        code=problem.code,
    )
    if again:
        response.headers["Refresh"] = "10"
    response.headers.update(problem.headers or {})
    return response


def _remembered(request: Request, problem: Problem) -> Visitor | None:
    """Return who began this session: to show the way on, for which no database is asked."""
    session = sessions_of(request).read(request)
    if session is None or problem.code == "unauthorized":
        return None
    caller = Caller(session.token_id, session.name, session.role, None, session.logouts)
    return Visitor(caller, session.csrf)
