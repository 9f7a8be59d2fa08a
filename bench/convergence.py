"""How fast missing keys become live, beside the ideal of a bridge that is all waiting.

Ideal: calls x latency / concurrency. Measured: from the commit of the INSERT to the moment the
ledger says that all are live, with a real PostgreSQL, a real daemon and a bridge over real HTTP.
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Any

import anyio
import httpx
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.stage import Stage, scratch, staged
from daemon.store.tables import clients, exchange_api_keys
from daemon.vault import Keyring
from reconciler.model import Secret

EXCHANGES = (
    "binance",
    "okx",
    "kraken",
    "kucoin",
    "bybit",
    "gate",
    "mexc",
    "bitget",
    "htx",
    "bingx",
)
WARM_UP = 32
"""Keys that are live before the measurement begins."""
_LIVE = text("SELECT count(*) FROM bridgetender.connectors WHERE phase = 'live'")


@dataclass(frozen=True)
class Round:
    """One convergence: wall and the daemon's CPU in seconds, calls to the bridge."""

    seconds: float
    cpu: float
    calls: int


def _settings(options: argparse.Namespace) -> dict[str, str]:
    """As many at once as the ideal has, and no exchange asked for patience."""
    return {
        "BRIDGETENDER_CONCURRENCY": str(options.concurrency),
        "BRIDGETENDER_CONCURRENCY_START": str(options.concurrency),
        "BRIDGETENDER_EXCHANGE_RATES": "*=0",
    }


async def main(options: argparse.Namespace) -> None:
    rounds = []
    with scratch(None, "bridgetender-bench-") as directory:
        for number in range(options.rounds):
            (place := directory / str(number)).mkdir(mode=0o711)
            async with staged(place, _settings(options)) as stage:
                rounds.append(await _round(stage, options))
    figures = _figures(rounds, options)
    print(json.dumps(figures) if options.json else _table(figures))


async def _round(stage: Stage, options: argparse.Namespace) -> Round:
    """Measure one convergence from nothing."""
    uds = stage.bridge_url.removeprefix("unix:")
    program = ["-m", "bench.slow_bridge", "--uds", uds, "--latency", str(options.latency)]
    await stage.start("bridge", program)
    await stage.start_daemon()
    await until_ready(stage)
    keyring = Keyring([stage.encryption_key])
    await _warm_up(stage, keyring)
    rows = rows_of(range(WARM_UP, WARM_UP + options.keys), keyring)
    daemon = stage.children["daemon"].pid
    cpu = _cpu_seconds(daemon)
    before = await _calls(stage)
    began = await store(stage.engine, "client", rows)
    await until_live(stage.engine, WARM_UP + options.keys)
    took = monotonic() - began
    cpu = _cpu_seconds(daemon) - cpu
    return Round(took, cpu, await _calls(stage) - before)


async def _warm_up(stage: Stage, keyring: Keyring) -> None:
    """A daemon runs for weeks: its first statements and connections are not what is measured."""
    await store(stage.engine, "warm-up", rows_of(range(WARM_UP), keyring))
    await until_live(stage.engine, WARM_UP)


async def _calls(stage: Stage) -> int:
    transport = httpx.AsyncHTTPTransport(uds=stage.bridge_url.removeprefix("unix:"))
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge") as bridge:
        return sum((await bridge.get("/calls")).json().values())


def _cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process; 0 where there is no /proc."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    ticks = stat.read_text().rsplit(")", 1)[1].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def rows_of(numbers: range, keyring: Keyring) -> list[dict[str, Any]]:
    return [
        {
            "exchange": EXCHANGES[number % len(EXCHANGES)],
            "api_key": keyring.seal(Secret(f"key-{number}")),
            "api_secret": keyring.seal(Secret(f"secret-{number}")),
        }
        for number in numbers
    ]


async def store(engine: AsyncEngine, name: str, rows: list[dict[str, Any]]) -> float:
    """Store the keys of as many clients as are needed; return the moment of the commit."""
    names = [{"name": f"{name} {n}"} for n in range(-(-len(rows) // len(EXCHANGES)))]
    async with engine.begin() as connection:
        made = await connection.execute(insert(clients).returning(clients.c.id), names)
        ids = made.scalars().all()
        owned = [row | {"client_id": ids[n // len(EXCHANGES)]} for n, row in enumerate(rows)]
        await connection.execute(insert(exchange_api_keys), owned)
    return monotonic()


async def until_ready(stage: Stage) -> None:
    async with httpx.AsyncClient(base_url=stage.addresses["daemon"]) as health:
        up = False
        while not up:
            up = (await health.get("/healthz/bridges")).is_success
            await anyio.sleep(0.05)


async def until_live(engine: AsyncEngine, count: int) -> None:
    async with engine.connect() as connection:
        while (await connection.execute(_LIVE)).scalar_one() < count:
            await connection.rollback()
            await anyio.sleep(0.02)


def _figures(rounds: list[Round], options: argparse.Namespace) -> dict[str, Any]:
    took = median(each.seconds for each in rounds)
    calls = rounds[0].calls
    ideal = calls * options.latency / options.concurrency
    return {
        "keys": options.keys,
        "latency_ms": options.latency * 1000,
        "concurrency": options.concurrency,
        "calls": calls,
        "ideal_seconds": round(ideal, 3),
        "seconds": round(took, 3),
        "times_ideal": round(took / ideal, 2),
        "daemon_cpu_us_per_key": round(median(e.cpu for e in rounds) / options.keys * 1e6),
        "rounds": [round(each.seconds, 3) for each in rounds],
    }


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<14} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds per call")
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    anyio.run(main, parser.parse_args())
