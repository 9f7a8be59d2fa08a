"""What to enter for a key of each exchange, as the bridge tells it; asked now and then."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, cast

import anyio
from fastapi import Depends, Request

from daemon.bridges.offers import Offer
from reconciler.verdicts import Verdict

Offers = Mapping[str, Offer]
"""By exchange."""


@dataclass
class ExchangeForms:
    """*ask* raises a verdict where a bridge does not tell: then every field is offered."""

    ask: Callable[[], Awaitable[Offers]]
    seconds: float = 600.0

    def __post_init__(self) -> None:
        self._offers: Offers = {}
        self._until, self._asking = 0.0, anyio.Lock()

    async def exchanges(self) -> Offers:
        async with self._asking:
            if anyio.current_time() >= self._until:
                try:
                    with anyio.move_on_after(2.0):
                        self._offers = await self.ask()
                except Verdict:
                    pass
                rest = self.seconds if self._offers else 3.0
                self._until = anyio.current_time() + rest
            return self._offers


async def _forms(request: Request) -> ExchangeForms:
    return cast("ExchangeForms", request.app.state.forms)


Forms = Annotated[ExchangeForms, Depends(_forms)]
