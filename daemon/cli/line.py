"""Opens the bridge for a command that looks at it."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from daemon.bridges.line import BadBridgeUrl
from daemon.bridges.trading import TradingBridge, open_bridge
from daemon.cli.exits import Trouble
from daemon.cli.reach import ForAll, ForBridge
from daemon.clock import SystemClock
from daemon.settings import MAIN


@asynccontextmanager
async def bridge(wanted: ForBridge | ForAll) -> AsyncIterator[TradingBridge]:
    """Yield the bridge; the caller hears its verdicts. Raises Trouble for a URL that is none."""
    # The command says itself what it found; a log would be mixed into it.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    token = wanted.bridge_token.reveal() if wanted.bridge_token else None
    try:
        async with open_bridge(MAIN, wanted.bridge_url, SystemClock(), token=token) as opened:
            yield opened
    except BadBridgeUrl as error:
        raise Trouble(f"TRADING_BRIDGE_URL: {error}") from None
