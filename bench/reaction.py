"""How soon a new key is at the bridge: from the commit of its INSERT to the first byte of its add.

The system is idle and holds many settled keys; this process inserts one key after the other, as
somebody's backend would. Passes over everything, every 30 s, run meanwhile as they always do.
"""

import argparse
import json
import random
import re
from statistics import quantiles
from time import monotonic
from typing import Any

import anyio
import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bench.convergence import EXCHANGES
from daemon.embedded.stage import Stage, scratch, staged
from daemon.store.desired import DIGEST
from daemon.vault import Keyring
from reconciler.model import Secret

WARM_UP = 20
"""Keys whose reaction is not counted: a daemon runs for weeks."""
PAUSE = 0.2
"""Seconds between two keys, at most."""
NEW = "bitmart"
"""The exchange of every new key; no settled one has it."""
_VERIFY_EVERY = 900.0
_PASSED = re.compile(r'passes_total\{bridge="main",result="ok"\} [1-9]')
_CLIENTS = text("""
INSERT INTO public.clients (name) SELECT 'client ' || n FROM generate_series(1, :clients) n
""")
_KEYS = text("""
INSERT INTO public.exchange_api_keys (client_id, exchange, api_key, api_secret)
SELECT c.id, e.name, 'sealed ' || c.name || e.name, 'sealed'
FROM public.clients c, unnest(CAST(:exchanges AS text[])) AS e (name)
""")
_ACCOUNTS = text("""
INSERT INTO bridgetender.accounts (bridge, account, client_id)
SELECT 'main', 'client_' || replace(name, ' ', '_'), id FROM public.clients
""")
_SETTLED = text(f"""
INSERT INTO bridgetender.connectors (bridge, account, connector, key_id, client_id, exchange,
  digest, phase, reason, cause, message, urgency, failures, due_at, due_set_at, fingerprint, sent,
  adopted, last_attempt_at, live_since, verified, verified_at)
SELECT 'main', a.account, k.exchange, k.id, k.client_id, k.exchange,
  {DIGEST}, 'live', 'applied', 'new', '', 2, 0,
  now() + make_interval(secs => :first + random() * {_VERIFY_EVERY}), now(),
  md5(k.id::text), md5(k.id::text), false, now(), now(), 'ok', now()
FROM public.exchange_api_keys k JOIN bridgetender.accounts a ON a.client_id = k.client_id
""")
_HELD = text("SELECT account, connector, fingerprint FROM bridgetender.connectors")
_CHOSEN = text("""
SELECT client_id, account FROM bridgetender.accounts ORDER BY random() LIMIT :count
""")
_INSERT = text("""
INSERT INTO public.exchange_api_keys (client_id, exchange, api_key, api_secret)
VALUES (:client, :exchange, :api_key, :api_secret)
""")


async def main(options: argparse.Namespace) -> None:
    with scratch(None, "bridgetender-bench-") as directory:
        # Its new keys are all on one exchange, and come faster than that may be asked for long.
        async with staged(directory, {"BRIDGETENDER_EXCHANGE_RATES": "*=0"}) as stage:
            await _settle(stage.engine, options)
            await _start(stage, options)
            waits = await _reactions(stage, WARM_UP + options.samples)
    figures = _figures(waits[WARM_UP:], options)
    print(json.dumps(figures) if options.json else _table(figures))


async def _settle(engine: AsyncEngine, options: argparse.Namespace) -> None:
    """Store keys with records that say they are live; their proofs are due in time, or later."""
    async with engine.begin() as connection:
        await connection.execute(_CLIENTS, {"clients": -(-options.settled // len(EXCHANGES))})
        await connection.execute(_KEYS, {"exchanges": list(EXCHANGES)})
        await connection.execute(_ACCOUNTS)
        first = 0.0 if options.verifying else _VERIFY_EVERY
        await connection.execute(_SETTLED, {"first": first})
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM ANALYZE"))
        await connection.execute(text("CHECKPOINT"))


async def _start(stage: Stage, options: argparse.Namespace) -> None:
    """Start a bridge that holds what the records say, and a daemon; wait for its first pass."""
    uds = stage.bridge_url.removeprefix("unix:")
    latency = str(options.latency)
    await stage.start("bridge", ["-m", "bench.slow_bridge", "--uds", uds, "--latency", latency])
    async with stage.engine.connect() as connection, bridge_of(stage) as bridge:
        held = [list(row) for row in await connection.execute(_HELD)]
        (await bridge.post("/seed", json=held)).raise_for_status()
    await stage.start_daemon()
    async with httpx.AsyncClient(base_url=stage.addresses["daemon"]) as health:
        passed = False
        while not passed:
            await anyio.sleep(0.1)
            metrics = (await health.get("/metrics")).text
            passed = bool(_PASSED.search(metrics))


async def _reactions(stage: Stage, count: int) -> list[float]:
    """Store one key after the other; return the seconds that each took."""
    keyring = Keyring([stage.encryption_key])
    async with stage.engine.connect() as connection, bridge_of(stage) as bridge:
        clients = (await connection.execute(_CHOSEN, {"count": count})).all()
        await connection.rollback()
        waits = []
        for number, (client, account) in enumerate(clients):
            key, secret = (keyring.seal(Secret(f"{what} {number}")) for what in ("key", "secret"))
            row = {"client": client, "exchange": NEW, "api_key": key, "api_secret": secret}
            waits.append(await _reaction(connection, bridge, account, row))
            await anyio.sleep(PAUSE * random.random())  # so that no beat is met again and again
    return waits


async def _reaction(
    connection: AsyncConnection, bridge: httpx.AsyncClient, account: str, row: dict[str, Any]
) -> float:
    heard = 0.0

    async def hear() -> None:
        nonlocal heard
        heard = (await bridge.get(f"/heard/{account}/{NEW}", timeout=60)).json()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hear)
        await anyio.sleep(0.02)  # it waits at the bridge now, and costs nothing any more
        await connection.execute(_INSERT, row)
        await connection.commit()
        committed = monotonic()
    return heard - committed


def bridge_of(stage: Stage) -> httpx.AsyncClient:
    transport = httpx.AsyncHTTPTransport(uds=stage.bridge_url.removeprefix("unix:"))
    return httpx.AsyncClient(transport=transport, base_url="http://bridge", timeout=60)


def _figures(waits: list[float], options: argparse.Namespace) -> dict[str, Any]:
    cuts = quantiles(waits, n=100, method="inclusive")
    return {
        "settled": options.settled,
        "samples": len(waits),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p90_ms": round(cuts[89] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "max_ms": round(max(waits) * 1000, 2),
    }


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<8} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settled", type=int, default=100_000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds per call")
    parser.add_argument(
        "--verifying", action="store_true", help="settled keys are proved meanwhile, as in life"
    )
    parser.add_argument("--json", action="store_true")
    anyio.run(main, parser.parse_args())
