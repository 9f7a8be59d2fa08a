"""Who did what and when."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query

from daemon.store.audit import Audit
from daemon.web.api.parts import Id, Keeping, Viewer, router
from daemon.web.models import Deeds, DeedState
from reconciler.model import ClientId

routes = router("/api/admin", "audit")


@routes.get("/audit")
async def list_audit(
    keeper: Keeping,
    _: Viewer,
    client_id: Id | None = None,
    before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
) -> Deeds:
    """Return the newest deeds first; page by `before`."""
    whose = ClientId(client_id) if client_id else None
    found = await Audit(keeper.engine).newest(limit, client_id=whose, before=before)
    deeds = [DeedState(**asdict(deed)) for deed in found]
    return Deeds(audit=deeds, next=deeds[-1].id if len(deeds) == limit else None)
