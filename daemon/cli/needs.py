"""What a key lacks, as its bridge tells; a command that hears nothing goes on without."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from daemon.cli.exits import Trouble
from daemon.cli.line import named
from daemon.cli.reach import settings
from daemon.clock import SystemClock
from daemon.embedded.errors import EmbeddedError
from daemon.enquiries import Enquiries
from daemon.entry import KeyEntry
from daemon.needs import Lacking, Offers, lacking, offer_of, told
from daemon.settings import BridgeSettings
from daemon.store.people import Client
from daemon.wiring import open_the_bridge
from reconciler.model import BridgeName


@dataclass(frozen=True, slots=True)
class _Reached:
    bridges: tuple[BridgeSettings, ...]
    state_dir: Path | None = None


@dataclass(slots=True)
class _Needs:
    """Asks each bridge once."""

    enquiries: Enquiries
    _told: dict[BridgeName, Offers] = field(default_factory=dict)

    async def lacking(self, client: Client, entry: KeyEntry) -> str:
        bridge = self.enquiries.bridge_of(client.id, client.name, entry.exchange)
        if bridge not in self._told:
            self._told[bridge] = await told(lambda: self.enquiries.exchanges(bridge))
        return lacking(offer_of(self._told[bridge], entry.exchange), entry)


@asynccontextmanager
async def needs() -> AsyncIterator[Lacking]:
    """Yield what tells the field that a key lacks; "" where nobody can tell."""
    # The command says itself what it found; a log would be mixed into it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        wanted = settings(_Reached)
        bridges = [named(wanted, each.name) for each in wanted.bridges]
    except (Trouble, EmbeddedError):  # whoever stores keys needs to reach no bridge
        yield _nobody_knows
        return
    enquiries = Enquiries(lambda: bridges, lambda each: open_the_bridge(each, SystemClock()))
    try:
        yield _Needs(enquiries).lacking
    finally:
        await enquiries.close()


async def _nobody_knows(_: Client, __: KeyEntry) -> str:
    return ""
