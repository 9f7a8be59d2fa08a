"""Opens a bridge for a command that looks at it."""

import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

import structlog

from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.trading import TradingBridge
from daemon.cli.exits import Trouble
from daemon.cli.reach import ForAll, ForBridge
from daemon.clock import SystemClock
from daemon.embedded.reached import own_bridge_url, state_of
from daemon.settings import OURS, BridgeSettings
from daemon.wiring import open_the_bridge
from reconciler.model import BridgeName


class Reached(Protocol):
    """Settings with bridges."""

    @property
    def bridges(self) -> Sequence[BridgeSettings]: ...


@asynccontextmanager
async def bridge(wanted: ForBridge | ForAll, name: BridgeName) -> AsyncIterator[TradingBridge]:
    """Yield a bridge; the caller hears its verdicts. Raises Trouble for one that is none."""
    # The command says itself what it found; a log would be mixed into it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        async with open_the_bridge(named(wanted, name), SystemClock()) as opened:
            yield opened
    except BadBridgeUrl as error:
        raise Trouble(f"bridge {name!r}: {error}") from None


def named(wanted: Reached, name: BridgeName) -> BridgeSettings:
    """Return how a bridge is reached from here. Raises Trouble if it is not set."""
    found = next((each for each in wanted.bridges if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in wanted.bridges)
        raise Trouble(f"no bridge {name!r} is set here, only {known}: name it in the settings")
    if found.url != OURS:
        return found
    return replace(found, url=own_bridge_url(state_of(os.environ)))
