"""What to enter for a key of each exchange, as its bridge tells it; asked now and then."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol, cast
from uuid import UUID

import anyio
from fastapi import Depends, Request

from daemon.bridges.offers import Offer
from daemon.entry import KeyEntry
from daemon.needs import Offers, lacking, offer_of, told
from daemon.store.people import Client
from daemon.web.fresh import Fresh
from reconciler.model import BridgeName, ClientId


class Bridges(Protocol):
    """The bridges of the settings, and which key goes where."""

    def names(self) -> Sequence[BridgeName]: ...

    def bridge_of(self, client_id: ClientId, name: str, exchange: str) -> BridgeName: ...

    async def exchanges(self, bridge: BridgeName) -> Mapping[str, Offer]:
        """Raises a verdict."""
        ...


class ExchangeForms:
    """Where a bridge does not tell, what it told last counts; if nothing, any key may be stored."""

    def __init__(self, bridges: Bridges, seconds: float = 600.0) -> None:
        self._bridges = bridges
        self._last: dict[BridgeName, Offers] = {}
        self._fresh = Fresh[Offers](seconds, lasting=lambda found: seconds if found else 3.0)

    def bridge_of(self, client: Client | None, exchange: str) -> BridgeName:
        """Return the bridge that such a key goes to; without a *client*, anybody's."""
        whose, name = (client.id, client.name) if client else (ClientId(UUID(int=0)), "")
        return self._bridges.bridge_of(whose, name, exchange)

    async def of_bridge(self, bridge: BridgeName) -> Offers:
        async def ask() -> Offers:
            found = await told(lambda: self._bridges.exchanges(bridge))
            self._last[bridge] = found or self._last.get(bridge, {})
            return self._last[bridge]

        return (await self._fresh.get(bridge, ask))[0]

    async def exchanges(self, client: Client | None = None) -> Offers:
        """Return each exchange as the bridge tells of it that a key of it would go to."""
        found: dict[BridgeName, Offers] = {}

        async def ask(bridge: BridgeName) -> None:
            found[bridge] = await self.of_bridge(bridge)

        async with anyio.create_task_group() as tasks:
            for bridge in self._bridges.names():
                tasks.start_soon(ask, bridge)
        return {
            name: offer
            for bridge, offers in found.items()
            for name, offer in offers.items()
            if self.bridge_of(client, name) == bridge
        }

    async def lacking(self, client: Client | None, entry: KeyEntry) -> str:
        """Say which field is missing that this key is known to need; "" if none is."""
        offers = await self.of_bridge(self.bridge_of(client, entry.exchange))
        return lacking(offer_of(offers, entry.exchange), entry)


async def _forms(request: Request) -> ExchangeForms:
    return cast("ExchangeForms", request.app.state.forms)


Forms = Annotated[ExchangeForms, Depends(_forms)]
