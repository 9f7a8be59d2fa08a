"""How long until the owners of many keys that are parked at once are told, by one receiver.

Ideal: messages x the receiver's time / how many are sent at once. A real PostgreSQL and real HTTP;
herald and receiver share one process.
"""

import argparse
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic
from typing import Any

import anyio
from aiohttp import web
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.convergence import rows_of, store
from daemon import logs
from daemon.clock import SystemClock
from daemon.embedded.stage import scratch, staged
from daemon.herald import AT_ONCE, Herald
from daemon.metrics import Metrics
from daemon.vault import Keyring
from daemon.webhook import Webhook
from reconciler.model import Secret
from reconciler.routes import MAIN

_PARK = text(f"""
INSERT INTO bridgetender.connectors (bridge, account, connector, key_id, client_id, exchange,
  digest, phase, reason, cause, message, urgency, failures, adopted, verified)
SELECT '{MAIN}', client_id::text, exchange, id, client_id, exchange,
  '', 'parked', 'refused', 'new', '', 0, 0, false, 'failed' FROM public.exchange_api_keys
""")


async def main(options: argparse.Namespace) -> None:
    logs.configure(json=True, level="ERROR")
    with scratch(None, "bridgetender-bench-") as directory:
        async with staged(directory) as stage, _receiver(options.latency) as (url, heard):
            rows = rows_of(range(options.keys), Keyring([stage.encryption_key]))
            await store(stage.engine, "client", rows)
            async with stage.engine.begin() as connection:
                await connection.execute(_PARK)
            figures = _figures(options, await _tell(stage.engine, url), len(set(heard)))
    print(json.dumps(figures) if options.json else _table(figures))


async def _tell(engine: AsyncEngine, url: str) -> float:
    """Tell all as the daemon does; return how many seconds that took."""
    herald = Herald(engine, Metrics(), SystemClock(), random.random)
    webhook = Webhook(Secret(url), Secret("a secret of some length for signing"), timedelta(days=1))
    began = monotonic()
    await herald.round(webhook, [MAIN])
    while herald.more:
        await herald.round(webhook, [MAIN])
    return monotonic() - began


@asynccontextmanager
async def _receiver(latency: float) -> AsyncIterator[tuple[str, list[str]]]:
    """Yield the URL of what takes every message after so many seconds, and the ids that it gets."""
    heard: list[str] = []

    async def take(request: web.Request) -> web.Response:
        heard.append(request.headers["webhook-id"])
        await anyio.sleep(latency)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        yield f"http://{host}:{port}/", heard
    finally:
        await runner.cleanup()


def _figures(options: argparse.Namespace, seconds: float, told: int) -> dict[str, Any]:
    return {
        "keys": options.keys,
        "told": told,
        "latency_ms": options.latency * 1000,
        "at_once": AT_ONCE,
        "ideal_seconds": round(options.keys * options.latency / AT_ONCE, 1),
        "seconds": round(seconds, 1),
        "a_second": round(told / seconds, 1),
    }


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<14} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=3_000)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds the receiver takes")
    parser.add_argument("--json", action="store_true")
    anyio.run(main, parser.parse_args(), backend_options={"use_uvloop": True})
