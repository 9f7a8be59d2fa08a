"""What to enter for a key of each exchange, as the bridge tells it; asked now and then."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Annotated, cast

import anyio
from fastapi import Depends, Request

from daemon.bridges.offers import Offer
from daemon.web.fresh import Fresh
from reconciler.verdicts import Verdict

Offers = Mapping[str, Offer]
"""By exchange."""


class ExchangeForms:
    """*ask* raises a verdict where a bridge does not tell: then every field is offered."""

    def __init__(self, ask: Callable[[], Awaitable[Offers]], seconds: float = 600.0) -> None:
        self._ask = ask
        self._last: Offers = {}
        self._fresh = Fresh[Offers](seconds, lasting=lambda told: seconds if told else 3.0)

    async def exchanges(self) -> Offers:
        told, _ = await self._fresh.get("all", self._told)
        return told

    async def _told(self) -> Offers:
        with suppress(Verdict), anyio.move_on_after(2.0):
            self._last = await self._ask()
        return self._last


async def _forms(request: Request) -> ExchangeForms:
    return cast("ExchangeForms", request.app.state.forms)


Forms = Annotated[ExchangeForms, Depends(_forms)]
