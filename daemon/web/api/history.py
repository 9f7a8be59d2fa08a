"""History: what was tried, what came of it and why."""

from dataclasses import asdict, replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Query
from pydantic import BaseModel

from daemon.store.history import AttemptRow, Event, Excerpt, History
from daemon.web.api.parts import Id, Keeping, Viewer, router
from daemon.web.keeper import Keeper
from daemon.words import sentence
from reconciler.model import ClientId, KeyId

routes = router("/api/admin", "history")
Limit = Annotated[int, Query(ge=1, le=1_000)]
Days = Annotated[float | None, Query(gt=0, le=36_500, description="No longer ago than this.")]


class Events(BaseModel):
    """Attempts and transitions, the newest last; `totals` are of all that was asked for."""

    events: list[dict[str, Any]]
    totals: dict[str, Any]


@routes.get("/api-keys/{key_id}/history")
async def history_of_key(
    key_id: Id, keeper: Keeping, _: Viewer, days: Days = None, limit: Limit = 100
) -> Events:
    """Return what happened to a key, also to one that is gone."""
    return await _told(keeper, Excerpt(keys=[KeyId(key_id)]), days, limit)


@routes.get("/clients/{client_id}/history")
async def history_of_client(
    client_id: Id, keeper: Keeping, _: Viewer, days: Days = None, limit: Limit = 100
) -> Events:
    """Return what happened to the keys that a client has now."""
    keys = [KeyId(key.id) for key in await keeper.keys(ClientId(client_id))]
    return await _told(keeper, Excerpt(keys=keys), days, limit)


async def _told(keeper: Keeper, excerpt: Excerpt, days: float | None, limit: int) -> Events:
    since = keeper.clock.now() - timedelta(days=days) if days else None
    wanted, history = replace(excerpt, since=since), History(keeper.engine)
    events = [_shown(event) for event in await history.events(wanted, limit)]
    return Events(events=events, totals=asdict(await history.totals(wanted)))


def _shown(event: Event) -> dict[str, Any]:
    values: dict[str, Any] = asdict(event)
    if isinstance(event, AttemptRow):
        return {"kind": "attempt", **values}
    return {"kind": "transition", **values, "why": sentence(event.to_reason, event.message)}
