"""Which fields an exchange's credentials have, as the bridge tells it; asked now and then."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, cast

import anyio
from fastapi import Depends, Request

from reconciler.verdicts import Verdict

Fields = Mapping[str, Sequence[str]]
"""The fields of each exchange, by its name."""


@dataclass
class ExchangeForms:
    """*ask* raises a verdict where a bridge does not tell: then every field is offered."""

    ask: Callable[[], Awaitable[Fields]]
    seconds: float = 600.0

    def __post_init__(self) -> None:
        self._fields: Fields = {}
        self._until, self._asking = 0.0, anyio.Lock()

    async def exchanges(self) -> Fields:
        async with self._asking:
            if anyio.current_time() >= self._until:
                try:
                    with anyio.move_on_after(2.0):
                        self._fields = await self.ask()
                except Verdict:
                    pass
                rest = self.seconds if self._fields else 3.0
                self._until = anyio.current_time() + rest
            return self._fields


async def _forms(request: Request) -> ExchangeForms:
    return cast("ExchangeForms", request.app.state.forms)


Forms = Annotated[ExchangeForms, Depends(_forms)]
