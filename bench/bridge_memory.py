"""What a connector costs our bridge in memory and time, beside ccxt's own objects.

A real bridge process gets connectors over HTTP, to five exchanges with thousands of markets each;
what each of them keeps is counted by Python, in a process that does the same without HTTP.
In the same run some stock objects, each with its own markets, are made in another process. Last,
the CPU of reading a balance by ours and by a bare `fetch_balance`, interleaved.
"""

import argparse
import asyncio
import gc
import json
import sys
import time
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import ccxt.async_support as ccxt

from bench.bridge_life import EXCHANGES, MEGA, SECRET, _clients, _post, _start, _stop
from bridge.ask import balance
from bridge.connectors import Registry
from bridge.credentials import Offered
from bridge.lag import lag_told
from bridge.logs import configure
from bridge.metrics import Metrics
from bridge.service import Service
from bridge.session import Outward, opened
from bridge.shelf import Shelf

SAMPLES = (
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "bridge_event_loop_lag_seconds_count",
    'bridge_event_loop_lag_seconds_bucket{le="0.05"}',
    "bridge_event_loop_lag_longest_seconds",
)
ASSETS = 200
"""In the account whose balance is read."""


async def main(options: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="bridge-memory-") as scratch:
        errors = Path(scratch, "stderr")
        wanted = ("--port", "0", "--markets", str(options.markets))
        paper, origin = await _start("bridge.paper", *wanted, errors=errors)
        try:
            figures = await _of_bridge(Path(scratch), origin, options)
            figures |= await _apart(origin, "held", options.connectors)
            figures |= await _apart(origin, "stock", options.stock)
            figures |= await _of_balances(origin, options)
        finally:
            await _stop(paper)
    print(json.dumps(figures) if options.json else _table(figures))


# -- ours ------------------------------------------------------------------------------------


async def _of_bridge(scratch: Path, origin: str, options: argparse.Namespace) -> dict[str, float]:
    uds = scratch / "bridge.sock"
    wanted = ("--uds", str(uds), "--exchange-origin", origin, "--log-level", "WARNING")
    bridge, _ = await _start("bridge", *wanted, errors=scratch / "bridge")
    try:
        async with _clients(uds, origin) as (client, _):
            await _load(client, options.markets)
            before, began = await _sample(client), time.perf_counter()
            numbers = iter(range(options.connectors))
            await asyncio.gather(*(_add(client, numbers) for _ in range(16)))
            took, after = time.perf_counter() - began, await _sample(client)
    finally:
        await _stop(bridge)
    rss, cpu, ticks, soon, longest = ((before[name], after[name]) for name in SAMPLES)
    return {
        "connectors": options.connectors,
        "markets_of_each_exchange": options.markets,
        "rss_mib_in_all": round(rss[1] / MEGA, 1),
        "rss_kib_per_connector": round((rss[1] - rss[0]) / 1024 / options.connectors, 2),
        "adds_per_second": round(options.connectors / took),
        "cpu_us_per_add_with_http": round((cpu[1] - cpu[0]) / options.connectors * 1e6),
        "longest_stall_ms": round(longest[1] * 1000),
        "stalls_over_50_ms_while_loading": round(ticks[0] - soon[0]),
        "stalls_over_50_ms_while_adding": round((ticks[1] - ticks[0]) - (soon[1] - soon[0])),
    }


async def _load(client: aiohttp.ClientSession, markets: int) -> None:
    """Let every exchange's markets be loaded, by a first connector to each."""
    for name in EXCHANGES:
        body = {"account_name": "first", "connector_name": name, "api_key": "k"}
        await _post(client, "/connectors/add", body | {"api_secret": SECRET, "password": "p"})
    while (await _sample(client))["loaded"] < len(EXCHANGES) * markets / 2:  # noqa: ASYNC110
        await asyncio.sleep(0.2)


async def _add(client: aiohttp.ClientSession, numbers: Any) -> None:
    for number in numbers:
        body = {
            "account_name": f"client_{number // len(EXCHANGES)}",
            "connector_name": EXCHANGES[number % len(EXCHANGES)],
            "api_key": f"an-api-key-of-the-usual-length-{number}",
            "api_secret": SECRET,
            "password": "passphrase",
            "fingerprint": f"{number:064x}",
        }
        await _post(client, "/connectors/add", body)


async def _sample(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        lines = (await answer.text()).splitlines()
    found = {"loaded": 0.0} | dict.fromkeys(SAMPLES, 0.0)
    for line in lines:
        name, _, value = line.rpartition(" ")
        if name in found:
            found[name] = float(value)
        elif name.startswith("bridge_template_markets{"):
            found["loaded"] += float(value)
    return found


# -- in processes of their own, whose memory is theirs ---------------------------------------


async def _apart(origin: str, what: str, count: int) -> dict[str, float]:
    command = (sys.executable, "-m", "bench.bridge_memory", "--apart", what, origin, str(count))
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    found: dict[str, float] = json.loads(said)
    return found


async def held(origin: str, count: int) -> None:
    """Add connectors as the bridge does, and count what Python allocates for them and keeps.

    The process's size would tell little: they begin by filling what the markets' loading left.
    """
    configure("WARNING", sys.stderr)
    registry = Registry()
    async with opened(origin) as outward:
        service = Service(registry, Shelf(outward), Metrics(registry.boot_id))
        for name in EXCHANGES:
            await service.add("first", name, Offered("k", SECRET, "p"))
            await service.shelf.get(name).markets()
        gc.collect()
        tracemalloc.start()
        for number in range(count):
            secret = b64encode(f"the-secret-of-{number:016}".encode()).decode()
            offered = Offered(f"an-api-key-of-the-usual-length-{number}", secret, f"pass-{number}")
            account, name = f"client_{number // len(EXCHANGES)}", EXCHANGES[number % len(EXCHANGES)]
            await service.add(account, name, offered, f"{number:064x}")
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await service.shelf.close()
    print(json.dumps({"kib_per_connector": round(kept / 1024 / count, 2)}))


async def stock(origin: str, count: int) -> None:
    async with opened(origin) as outward:
        await _stock_object(outward, "binance")  # what is imported and made once
        before, cpu, began = _rss(), time.process_time(), time.perf_counter()
        lags = [0.0]
        with lag_told(lags.append):
            kept = [await _stock_object(outward, EXCHANGES[n % 5]) for n in range(count)]
            await asyncio.sleep(0.2)  # the last stall is told after it
        took = time.perf_counter() - began - 0.2
        gc.collect()
        cost = time.process_time() - cpu
        print(
            json.dumps(
                {
                    "stock_objects": len(kept),
                    "stock_rss_mib_in_all": round(_rss() / MEGA, 1),
                    "stock_adds_per_second": round(count / took, 1),
                    "stock_longest_stall_ms": round(max(lags) * 1000),
                    "stock_mib_per_object": round((_rss() - before) / MEGA / count, 1),
                    "stock_cpu_ms_per_object": round(cost / count * 1000),
                }
            )
        )


async def _stock_object(outward: Outward, name: str) -> Any:
    made = getattr(ccxt, name)(_settings(outward))
    await made.load_markets()
    return made


def _settings(outward: Outward) -> dict[str, Any]:
    return {
        "session": outward,
        "ssl_context": outward.tls,
        "enableRateLimit": False,
        "asyncio_loop": asyncio.get_running_loop(),
    }


def _rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


# -- balances --------------------------------------------------------------------------------


async def _of_balances(origin: str, options: argparse.Namespace) -> dict[str, float]:
    offered = Offered("balance-key", SECRET, "p")
    async with _reading(origin) as (shelf, outward):
        ratios = {}
        for name in ("binance", "okx"):
            ours, bare = shelf.make(name, offered), await _stock_object(outward, name)
            # Not before: with a key ccxt asks more while it loads markets.
            bare.apiKey, bare.secret, bare.password = "balance-key", SECRET, "p"
            await shelf.get(name).markets()
            await balance(name, ours, offered.secrets(), 20)
            await bare.fetch_balance()
            gc.collect()
            gc.freeze()  # as the bridge does: whose turn it is to collect would be chance
            spent = {"ours": 0.0, "bare": 0.0}
            for _ in range(options.balances):
                began = time.process_time()
                await balance(name, ours, offered.secrets(), 20)
                halfway = time.process_time()
                await bare.fetch_balance()
                spent["ours"] += halfway - began
                spent["bare"] += time.process_time() - halfway
            ratios[f"balance_cpu_of_bare_ccxt_{name}"] = round(spent["ours"] / spent["bare"], 2)
        return ratios


@asynccontextmanager
async def _reading(origin: str) -> AsyncIterator[tuple[Shelf, Outward]]:
    held = {f"A{number}": "1.5" for number in range(ASSETS)}
    async with aiohttp.ClientSession(origin) as exchange, opened(origin) as outward:
        for name in ("binance", "okx"):
            account = {"exchange": name, "api_key": "balance-key", "api_secret": SECRET}
            await _post(
                exchange, "/_paper/credentials", account | {"password": "p", "balances": held}
            )
        shelf = Shelf(outward)
        try:
            yield shelf, outward
        finally:
            await shelf.close()


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<32} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connectors", type=int, default=10_000)
    parser.add_argument("--markets", type=int, default=3_400, help="of each of five exchanges")
    parser.add_argument("--stock", type=int, default=10, help="how many of ccxt's own objects")
    parser.add_argument("--balances", type=int, default=100, help="read by each, of two exchanges")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--apart", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.apart:
        what, origin, count = options.apart
        asyncio.run({"held": held, "stock": stock}[what](origin, int(count)))
    else:
        asyncio.run(main(options))
