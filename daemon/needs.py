"""What a key must have at its exchange, as the bridge tells that it would go to."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import anyio

from daemon.bridges.offers import Offer
from daemon.entry import KeyEntry
from daemon.store.people import Client
from reconciler.slots import canonical
from reconciler.verdicts import Verdict

Offers = Mapping[str, Offer]
"""By exchange."""
Lacking = Callable[[Client, KeyEntry], Awaitable[str]]
"""Tells what such a key of a client lacks, as `lacking` does."""
_PATIENCE = 2.0
"""Seconds that somebody waits to hear it; a bridge that is away keeps no key from being stored."""


async def told(ask: Callable[[], Awaitable[Offers]]) -> Offers:
    """Return what a bridge tells; nothing if it is away, or tells of no fields."""
    with suppress(Verdict), anyio.move_on_after(_PATIENCE):
        return await ask()
    return {}


def offer_of(offers: Offers, exchange: str) -> Offer | None:
    """Return what is told of an exchange, however it is written."""
    return offers.get(exchange.lower()) or offers.get(canonical(exchange))


def lacking(offer: Offer | None, entry: KeyEntry) -> str:
    """Say which field is missing that the exchange is known to need; "" if none is."""
    if offer is None or not offer.required:
        return ""
    for field in offer.fields:
        found = getattr(entry, field.name)
        if found is None or not found.reveal():
            called = "" if field.name == field.label.lower() else f"; it is its {field.label}"
            return f"{field.name}: is missing, and {entry.exchange} needs one{called}"
    return ""
