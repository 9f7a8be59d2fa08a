"""Exchanges: which there are, and what to enter for a key of each."""

from collections.abc import Mapping
from dataclasses import asdict

from pydantic import BaseModel, Field

from daemon.bridges.offers import Offer
from daemon.web.api.parts import Viewer, router
from daemon.web.forms import Forms

routes = router("/api/admin", "keys")


class FieldState(BaseModel):
    """`name` is the field of a key; `label` what the exchange calls what goes in there."""

    name: str = Field(examples=["api_secret"])
    label: str = Field(examples=["Private key"])


class ExchangeState(BaseModel):
    """`testnet`: it has one; `proves`: an answer of its proves a key; null is not told.

    `unfit` says why a key of it cannot be stored, where that is so.
    """

    exchange: str = Field(examples=["hyperliquid"])
    fields: list[FieldState]
    testnet: bool | None
    proves: bool | None
    unfit: str


class Exchanges(BaseModel):
    """None at all: the bridge does not tell; then any may be tried, with every field."""

    exchanges: list[ExchangeState]


@routes.get("/exchanges")
async def list_exchanges(forms: Forms, _: Viewer) -> Exchanges:
    """List the exchanges that the main bridge serves, each with the fields of its keys."""
    return Exchanges(exchanges=_shown(await forms.exchanges()))


def _shown(offers: Mapping[str, Offer]) -> list[ExchangeState]:
    return [ExchangeState(exchange=name, **asdict(offers[name])) for name in sorted(offers)]
