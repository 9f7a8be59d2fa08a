"""Pages that are watched: what has not changed is not sent again, and one asks for all who look."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, Request, Response

from daemon.web.api.connectors import Rostered
from daemon.web.console.paper import FLASH
from daemon.web.fresh import Fresh
from daemon.web.roster import Snapshot

T = TypeVar("T")
KEPT_FOR = 60.0
"""Seconds for which is kept what a page was made of: for all who are told of changes elsewhere."""
TRENDS_KEPT_FOR = 60.0
"""Seconds; the same for the last day hour by hour."""


def live(request: Request) -> bool:
    """Tell whether this is a page that is open already and wants what has changed."""
    return "x-live" in request.headers


async def _look(request: Request, roster: Rostered) -> Snapshot:
    """Return how things stand; whoever has just done something sees what came of it."""
    if FLASH in request.cookies and not live(request):
        return await roster.anew()
    return await roster.now()


Looked = Annotated[Snapshot, Depends(_look)]


async def unless_same(
    request: Request, tag: str, show: Callable[[], Awaitable[Response]]
) -> Response:
    """Return the page, or 304 if who watches it has it already."""
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    response = await show()
    response.headers["ETag"] = tag
    return response


async def shared(request: Request, tag: str, ask: Callable[[], Awaitable[T]]) -> T:
    """Return what *ask* finds: asked once for all who watch, since *tag* is another for another."""
    if not live(request):
        return await ask()
    kept = cast("Fresh[Any]", request.app.state.watched)
    told, _ = await kept.get((request.url.path, tag), ask)
    return cast("T", told)
