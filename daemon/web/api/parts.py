"""What routes have in common: who asks, what answers them, and how long they may wait."""

from typing import Annotated, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from daemon.web.auth import Caller, allowed
from daemon.web.keeper import Keeper
from daemon.web.once import Once
from daemon.web.problems import RESPONSES

DEFAULT_WAIT = 5.0


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router whose POSTs may be repeated under an Idempotency-Key."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Once, responses=RESPONSES)


async def _keeper(request: Request) -> Keeper:
    return cast("Keeper", request.app.state.keeper)


Admin = Annotated[Caller, Depends(allowed("admin"))]
Viewer = Annotated[Caller, Depends(allowed("admin", "viewer"))]
ClientOnly = Annotated[Caller, Depends(allowed("client"))]
Keeping = Annotated[Keeper, Depends(_keeper)]
Wait = Annotated[
    float,
    Query(ge=0, le=30, description="Seconds to wait for the first attempt; it goes on without."),
]
Id = UUID
