"""Pauses: what is left as it is, by whom and why, until it is resumed."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, Field

from daemon.entry import remark
from daemon.store.pauses import Pauses, Subject
from daemon.web.api.parts import Admin, Keeping, Viewer, router
from daemon.web.models import Asked, Done
from daemon.web.problems import Problem

routes = router("/api/admin", "pauses")
Scope = Literal["all", "bridge", "client", "key"]


class NewPause(Asked):
    """`id` is a bridge's name, or the id of a client or key; none for everything."""

    scope: Scope
    id: Annotated[str, Field(max_length=200)] = ""
    reason: Annotated[str, Field(max_length=255)] = ""


class PauseState(BaseModel):
    scope: str
    id: str
    name: str
    by: str
    reason: str
    since: datetime


class PauseList(BaseModel):
    pauses: list[PauseState]


@routes.get("/pauses")
async def list_pauses(keeper: Keeping, _: Viewer) -> PauseList:
    found = await Pauses(keeper.engine).all()
    return PauseList(pauses=[PauseState(**asdict(pause)) for pause in found])


@routes.post("/pauses")
async def pause(body: NewPause, keeper: Keeping, caller: Admin) -> Done:
    """Leave connectors as they are: nothing is started, proven or removed until it is resumed."""
    subject = await keeper.subject(body.scope, body.id)
    reason = remark("reason", body.reason) if body.reason else ""
    begun = await Pauses(keeper.engine, caller.actor).begin(subject, caller.name, reason)
    return Done(message="Paused" if begun else "It is paused already, and stays as it was")


@routes.delete("/pauses")
async def resume(
    scope: Scope,
    keeper: Keeping,
    caller: Admin,
    id: Annotated[str, Query(max_length=200)] = "",  # noqa: A002 - as it is listed
) -> Done:
    """End a pause; everything that it held goes on at once."""
    if not await Pauses(keeper.engine, caller.actor).end(Subject(scope, id)):
        raise Problem("not_found", "There is no such pause.")
    return Done(message="Resumed")
