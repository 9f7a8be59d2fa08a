"""Exchanges: which there are, and what to enter for a key of each."""

from dataclasses import asdict
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from daemon.web.api.parts import Id, Keeping, Viewer, router
from daemon.web.forms import Forms
from reconciler.model import ClientId

routes = router("/api/admin", "keys")
Whose = Annotated[
    Id | None, Query(description="Whose keys are meant: a client may have a bridge of its own.")
]


class FieldState(BaseModel):
    """`name` is the field of a key; `label` what the exchange calls what goes in there."""

    name: str
    label: str


class ExchangeState(BaseModel):
    """`testnet`: it has one; `proves`: an answer of its proves a key; null is not told.

    `unfit` says why a key of it cannot be stored, where that is so; `bridge` is where a key of it
    goes. `required`: a key that lacks one of the fields is refused.
    """

    exchange: str
    bridge: str
    fields: list[FieldState]
    testnet: bool | None
    proves: bool | None
    unfit: str
    required: bool


class Exchanges(BaseModel):
    """One that is not there may be tried, with every field: its bridge may not tell, or be away."""

    exchanges: list[ExchangeState]


@routes.get("/exchanges")
async def list_exchanges(
    forms: Forms, keeper: Keeping, _: Viewer, client_id: Whose = None
) -> Exchanges:
    """List exchanges with the fields of a key of each, as the bridge tells it that would get it."""
    client = await keeper.client(ClientId(client_id)) if client_id else None
    offers = await forms.exchanges(client)
    return Exchanges(
        exchanges=[
            ExchangeState(
                exchange=name, bridge=forms.bridge_of(client, name), **asdict(offers[name])
            )
            for name in sorted(offers)
        ]
    )
