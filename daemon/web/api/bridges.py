"""Bridges: whether each answers, since when, and who looks after it."""

from dataclasses import asdict
from datetime import datetime

from pydantic import BaseModel

from daemon.store.status import Status
from daemon.web.api.parts import Keeping, Viewer, router

routes = router("/api/admin", "bridges")


class BridgeState(BaseModel):
    """`holder`: the replica that looks after it; null where none does."""

    bridge: str
    up: bool
    reason: str
    since: datetime | None
    holder: str | None


class Bridges(BaseModel):
    bridges: list[BridgeState]


@routes.get("/bridges")
async def list_bridges(keeper: Keeping, _: Viewer) -> Bridges:
    found = await Status(keeper.engine).bridges()
    return Bridges(bridges=[BridgeState(**asdict(each)) for each in found])
