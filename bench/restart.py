"""What a bridge's restart costs: how soon all is live again, and how long a new key waits then.

Allowed: what the rates let through, had there been nothing else to do. Keys of new clients are
stored in the middle of it; how long each took to be at the bridge is what the burst cost them.
"""

import argparse
import json
from statistics import median
from time import monotonic
from typing import Any

import anyio
import httpx

from bench.convergence import EXCHANGES, rows_of, store, until_live, until_ready
from bench.reaction import bridge_of
from daemon.embedded.stage import Stage, scratch, staged
from daemon.vault import Keyring
from reconciler.pacing import Rate

WINDOW = 10.0
"""Seconds in which an exchange's attempts are counted."""


async def main(options: argparse.Namespace) -> None:
    settings = {
        "BRIDGETENDER_EXCHANGE_RATES": "*=0",
        "BRIDGETENDER_CONCURRENCY": str(options.concurrency),
    }
    with scratch(None, "bridgetender-bench-") as directory:
        async with staged(directory, settings) as stage:
            await _fill(stage, options)
            stage.settings = settings | {"BRIDGETENDER_EXCHANGE_RATES": f"*={options.rate}"}
            await stage.stop("daemon")
            await stage.start_daemon()
            await until_ready(stage)
            figures = await _restart(stage, options)
    print(json.dumps(figures) if options.json else _table(figures))


async def _fill(stage: Stage, options: argparse.Namespace) -> None:
    """Let all keys become live, as fast as may be."""
    await _start_bridge(stage, options)
    await stage.start_daemon()
    await until_ready(stage)
    await store(stage.engine, "client", rows_of(range(options.keys), _keyring(stage)))
    await until_live(stage.engine, options.keys)


async def _start_bridge(stage: Stage, options: argparse.Namespace) -> None:
    uds = stage.bridge_url.removeprefix("unix:")
    latency = str(options.latency)
    await stage.start("bridge", ["-m", "bench.slow_bridge", "--uds", uds, "--latency", latency])


def _keyring(stage: Stage) -> Keyring:
    return Keyring([stage.encryption_key])


async def _restart(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    await stage.kill("bridge")
    restarted = monotonic()
    await _start_bridge(stage, options)
    waits: list[float] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_newcomers, stage, options, waits)
        await _until_there(stage, options.keys + options.new)
        tasks.cancel_scope.cancel()
    async with bridge_of(stage) as bridge:
        adds = (await bridge.get("/adds")).json()
    first = min(times[0] for times in adds.values())
    last = max(times[-1] for times in adds.values())
    return _figures(adds, waits, first - restarted, last - first, options)


async def _newcomers(stage: Stage, options: argparse.Namespace, waits: list[float]) -> None:
    """Store one key after the other while the others come back."""
    pause = _allowed(options) / (options.new + 2)
    async with bridge_of(stage) as bridge:
        for number in range(options.new):
            await anyio.sleep(pause)
            row = rows_of(range(options.keys + number, options.keys + number + 1), _keyring(stage))
            committed = await store(stage.engine, f"late {number}", row)
            heard = await bridge.get(f"/heard/client_late_{number}_0/{row[0]['exchange']}")
            waits.append(heard.json() - committed)


async def _until_there(stage: Stage, count: int) -> None:
    async with bridge_of(stage) as bridge:
        while True:
            try:
                if (await bridge.get("/count")).json() >= count:
                    return
            except httpx.TransportError:
                pass  # it starts
            await anyio.sleep(0.1)


def _rate(options: argparse.Namespace) -> Rate:
    return Rate.of(options.rate)


def _allowed(options: argparse.Namespace) -> float:
    """Return the seconds that the rates allow: what is lost leaves half a burst to new keys."""
    keys, rate = float(options.keys) / len(EXCHANGES), _rate(options)
    return max(keys - rate.burst / 2, 0.0) / rate.per_second


def _figures(
    adds: dict[str, list[float]],
    waits: list[float],
    noticed: float,
    took: float,
    options: argparse.Namespace,
) -> dict[str, Any]:
    allowed, rate = _allowed(options), _rate(options)
    return {
        "keys": options.keys,
        "attempts_per_second": options.rate * len(EXCHANGES),
        "noticed_after_seconds": round(noticed, 2),
        "allowed_seconds": round(allowed, 2),
        "seconds": round(took, 2),
        "times_allowed": round(took / allowed, 3),
        f"most_in_{WINDOW:g}_s_on_an_exchange": max(_most(times) for times in adds.values()),
        "allowed_there": round(rate.burst + rate.per_second * WINDOW),
        "new_key_waits_p50_ms": round(median(waits) * 1000, 1) if waits else None,
        "new_key_waits_max_ms": round(max(waits) * 1000, 1) if waits else None,
        "call_ms": options.latency * 1000,
    }


def _most(times: list[float]) -> int:
    """Return how many of the sorted *times* lie in the fullest WINDOW."""
    most, start = 0, 0
    for end, time in enumerate(times):
        while time - times[start] > WINDOW:
            start += 1
        most = max(most, end - start + 1)
    return most


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<32} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--new", type=int, default=20, help="keys that are stored meanwhile")
    parser.add_argument("--rate", type=float, default=25.0, help="attempts a second, an exchange")
    parser.add_argument("--latency", type=float, default=0.02, help="seconds per call")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    anyio.run(main, parser.parse_args())
