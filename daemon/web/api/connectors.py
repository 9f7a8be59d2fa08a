"""All keys and where they stand, filtered, sorted and page by page; and news of them."""

from datetime import datetime
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from daemon.tokens import Role
from daemon.web.api.parts import Id, Viewer, router
from daemon.web.auth import Caller, Gate, address_of, token_of
from daemon.web.events import EventStream, changes
from daemon.web.listing import BadCursor, Order, Sort, Wanted, page_of
from daemon.web.models import Standing
from daemon.web.problems import Problem
from daemon.web.roster import Roster
from daemon.web.sessions import Sessions
from daemon.web.standing import down_of, standing

routes = router("/api/admin", "connectors")
_WARNING = "Of its rights: may_withdraw or expires_soon."
Text = Annotated[str | None, Query(max_length=200)]


class Connectors(BaseModel):
    """`next` is the `cursor` of the next page, null at the end; `counts` are by phase."""

    connectors: list[Standing]
    total: int
    counts: dict[str, int]
    next: str | None
    version: str
    at: datetime


async def the_roster(request: Request) -> Roster:
    return cast("Roster", request.app.state.roster)


async def wanted(  # noqa: PLR0913 - each is a parameter of the URL
    *,
    q: Annotated[str, Query(max_length=200, description="Words to find anywhere.")] = "",
    phase: Text = None,
    reason: Text = None,
    exchange: Text = None,
    bridge: Text = None,
    client_id: Id | None = None,
    warning: Annotated[str | None, Query(max_length=200, description=_WARNING)] = None,
    sort: Sort = "client",
    order: Order = "asc",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=2_000)] = None,
) -> Wanted:
    return Wanted(
        q, phase, reason, exchange, bridge, client_id, warning, sort, order, limit, cursor
    )


Rostered = Annotated[Roster, Depends(the_roster)]
Wish = Annotated[Wanted, Depends(wanted)]


@routes.get("/connectors")
async def list_connectors(roster: Rostered, wish: Wish, _: Viewer) -> Connectors:
    """List keys. What moved a second ago may not be in it yet."""
    snapshot = await roster.now()
    try:
        page = page_of(snapshot, wish)
    except BadCursor as error:
        raise Problem("invalid", str(error)) from None
    down = down_of(snapshot.bridges)
    return Connectors(
        connectors=[standing(key, snapshot.at, down) for key in page.keys],
        total=page.total,
        counts=dict(page.counts),
        next=page.next,
        version=snapshot.version,
        at=snapshot.at,
    )


async def _follower(request: Request) -> Caller:
    """Return who follows: by a token, or from a page, which has a session only."""
    gate, sessions = (
        cast("Gate", request.app.state.gate),
        cast("Sessions", request.app.state.sessions),
    )
    token = token_of(request)
    found = None if token else await sessions.caller(request)
    found = found or await gate.caller(token, address_of(request))
    if found.role not in _FOLLOWERS:
        raise Problem("forbidden", f"This needs a token with the role {' or '.join(_FOLLOWERS)}.")
    return found


_FOLLOWERS: tuple[Role, ...] = ("admin", "viewer")
_follower.roles = _FOLLOWERS  # type: ignore[attr-defined]  # for the test that tries each with each


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            EventStream.media_type: {
                "schema": {"type": "string"},
                "example": 'id: 9f2c81d0-7\nevent: change\ndata: {"version": "9f2c81d0-7",'
                ' "keys": 1, "phases": {"live": 1}, "bridges_down": [], "pauses": 0}\n\n',
            }
        }
    }
}


@routes.get("/events", response_class=Response, responses=_STREAM)
async def follow_events(
    request: Request, roster: Rostered, caller: Annotated[Caller, Depends(_follower)]
) -> EventStream:
    """Follow what changes, as server-sent events: `change` says which version there is now."""
    gate = cast("Gate", request.app.state.gate)

    async def still_welcome() -> None:
        if await gate.holder(caller.token_id, recent=True) != caller:
            raise Problem("unauthorized", "The token was revoked, or its sessions were ended.")

    return EventStream(changes(roster, still_welcome))
