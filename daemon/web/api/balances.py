"""Balances, and why there are none where that is so; a client sees its own alone."""

from typing import Annotated, cast

from fastapi import Depends, Request

from daemon.web.api.parts import ClientOnly, Id, Viewer, router
from daemon.web.problems import Problem
from daemon.web.statement import Statement
from daemon.web.teller import Teller
from reconciler.model import ClientId

routes = router("/api", "balances")


async def _teller(request: Request) -> Teller:
    return cast("Teller", request.app.state.teller)


Telling = Annotated[Teller, Depends(_teller)]


@routes.get("/admin/clients/{client_id}/balances")
async def client_balances(client_id: Id, teller: Telling, _: Viewer) -> Statement:
    """Return what a client has where; every key is named, and why its money is not shown."""
    return await teller.balances(ClientId(client_id))


@routes.get("/clients/balances")
async def own_balances(teller: Telling, caller: ClientOnly) -> Statement:
    """The same for the client whose token it is."""
    if caller.client_id is None:  # the database lets no client's token be so
        raise Problem("forbidden", "This token is no client's.")
    return (await teller.balances(caller.client_id)).for_client()
