"""A bridge that lives long: connectors added and removed over HTTP, again and again.

Every so often one is proven and its balances are read, by real ccxt from the paper exchange. Shows
the memory and the open files of the bridge's process at each tenth, and what it complained of.
"""

import argparse
import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

EXCHANGES = ("binance", "bybit", "kraken", "kucoin", "okx")
SECRET = "c2VjcmV0LWNhbmFyeS1zZWNyZXQtY2FuYXJ5"
MEGA = 1024 * 1024
SAMPLES = {
    "process_resident_memory_bytes": "rss_mib",
    "process_open_fds": "open_files",
    "process_cpu_seconds_total": "cpu_seconds",
}
COMPLAINTS = ("Unclosed", "never awaited", "never retrieved", "Traceback", '"error"')


async def main(options: argparse.Namespace) -> None:
    with TemporaryDirectory(prefix="bridge-life-") as scratch:
        errors, uds = Path(scratch, "stderr"), Path(scratch, "bridge.sock")
        paper, origin = await _start("bridge.paper", "--port", "0", errors=Path(scratch, "paper"))
        wanted = ("--uds", str(uds), "--exchange-origin", origin, "--log-level", "WARNING")
        bridge, _ = await _start("bridge", *wanted, errors=errors)
        try:
            async with _clients(uds, origin) as (client, exchange):
                tenths = await _live(client, exchange, options)
        finally:
            codes = [await _stop(process) for process in (bridge, paper)]
        said = await asyncio.to_thread(errors.read_text)
    figures = _figures(tenths, options) | {
        "exit_code": codes[0],
        "complaints": sum(any(c in line for c in COMPLAINTS) for line in said.splitlines()),
    }
    print(json.dumps(figures) if options.json else _table(figures))


async def _live(
    client: aiohttp.ClientSession, exchange: aiohttp.ClientSession, options: argparse.Namespace
) -> list[dict[str, float]]:
    tenths: list[dict[str, float]] = []
    for tenth in range(11):
        first, last = (options.rounds * each // 10 for each in (tenth - 1, tenth))
        numbers = iter(range(max(first, 0), last))
        workers = [_work(client, exchange, numbers, options) for _ in range(options.concurrency)]
        await asyncio.gather(*workers)
        tenths.append(await _sample(client) | {"rounds": last})
        if not options.json:
            _tell(tenths[-1])
    return tenths


async def _work(
    client: aiohttp.ClientSession,
    exchange: aiohttp.ClientSession,
    numbers: Any,
    options: argparse.Namespace,
) -> None:
    for number in numbers:
        name = EXCHANGES[number % len(EXCHANGES)]
        account = number % options.accounts if options.accounts else number
        slot = {"account_name": f"client_{account}", "connector_name": name}
        mine = {"api_key": f"key-{number}", "api_secret": SECRET, "password": "pass"}
        await _post(client, "/connectors/add", slot | mine | {"fingerprint": str(number)})
        if number % options.read_every == 0:
            held = {"exchange": name, **mine, "balances": {"BTC": "0.5"}}
            await _post(exchange, "/_paper/credentials", held)
            await _post(client, "/connectors/verify", slot)
            async with client.get("/portfolio", params={"account": slot["account_name"]}) as told:
                found = (await told.json())["balances"][name]
                assert found["BTC"]["total"] == 0.5, found
            gone = {"exchange": name, "api_key": mine["api_key"]}
            async with exchange.delete("/_paper/credentials", json=gone) as closed:
                closed.raise_for_status()
        where = f"/connectors/{slot['account_name']}/{name}"
        async with client.delete(where) as removed:
            removed.raise_for_status()


async def _post(client: aiohttp.ClientSession, path: str, body: Any) -> None:
    async with client.post(path, json=body) as answer:
        assert answer.status == 200, await answer.text()


async def _sample(client: aiohttp.ClientSession) -> dict[str, float]:
    async with client.get("/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    samples = [sample for family in families for sample in family.samples]
    found = {SAMPLES[s.name]: s.value for s in samples if s.name in SAMPLES}
    found["rss_mib"] = round(found["rss_mib"] / MEGA, 2)
    held = sum(s.value for s in samples if s.name == "bridge_connectors")
    async with client.get("/accounts", params={"limit": 100_000}) as answer:
        accounts = len((await answer.json())["accounts"])
    return found | {"series": len(samples), "connectors": held, "accounts": accounts}


@asynccontextmanager
async def _clients(
    uds: Path, origin: str
) -> AsyncIterator[tuple[aiohttp.ClientSession, aiohttp.ClientSession]]:
    way = aiohttp.UnixConnector(str(uds))
    async with (
        aiohttp.ClientSession("http://bridge", connector=way) as client,
        aiohttp.ClientSession(origin) as exchange,
    ):
        yield client, exchange


async def _start(module: str, *arguments: str, errors: Path) -> tuple[Process, str]:
    """Start a module as a process; return it and where it listens."""
    # As ResourceWarning is silent by default, and unclosed sessions are what it tells.
    command = (sys.executable, "-W", "always", "-m", module, *arguments)
    with errors.open("w") as sink:
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=sink)
    assert process.stdout is not None
    return process, json.loads(await process.stdout.readline())["address"]


async def _stop(process: Process) -> int:
    process.terminate()
    return await process.wait()


def _figures(tenths: list[dict[str, float]], options: argparse.Namespace) -> dict[str, Any]:
    start, half, end = tenths[0], tenths[5], tenths[10]
    return {
        "adds_and_removals": options.rounds,
        "names_of_accounts": options.accounts or options.rounds,
        "proofs_and_reads": -(-options.rounds // options.read_every),
        "rss_mib_at_each_tenth": [each["rss_mib"] for each in tenths],
        "rss_mib_grown_in_second_half": round(end["rss_mib"] - half["rss_mib"], 2),
        "open_files_at_each_tenth": [each["open_files"] for each in tenths],
        "series_at_the_end": end["series"],
        "connectors_at_the_end": end["connectors"],
        "accounts_at_the_end": end["accounts"],
        "cpu_ms_per_round": round(
            (end["cpu_seconds"] - start["cpu_seconds"]) / options.rounds * 1000, 2
        ),
    }


def _tell(tenth: dict[str, float]) -> None:
    now = time.strftime("%H:%M:%S")
    print(f"{now} {tenth['rounds']:>9} rounds {tenth['rss_mib']:>8} MiB", flush=True)


def _table(figures: dict[str, Any]) -> str:
    return "\n".join(f"{name.replace('_', ' '):<32} {value}" for name, value in figures.items())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100_000)
    parser.add_argument("--read-every", type=int, default=100, help="prove and read each so many")
    parser.add_argument(
        "--accounts",
        type=int,
        default=0,
        help="names, used over and over; 0: each add has its own",
    )
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    asyncio.run(main(parser.parse_args()))
