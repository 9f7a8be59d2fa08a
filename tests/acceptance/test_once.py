"""`reconcile --once` as a cron job or a deployment runs it: a process of its own."""

import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from anyio.abc import Process

from daemon.embedded.children import clean_environment
from reconciler.model import Phase
from tests.acceptance.firm import Firm, Site, start_slow_bridge

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
RECONCILE = ["-c", "from daemon.cli import main; main()", "reconcile", "--once", "--json"]


@dataclass
class Told:
    code: int
    said: dict[str, Any]
    log: str


@asynccontextmanager
async def started(site: Site, *more: str) -> AsyncIterator[Process]:
    """Yield the process; what it says goes into the logs that are searched for secrets."""
    env = clean_environment() | site.environment()
    command = [sys.executable, *RECONCILE, *more]
    with (site.logs / "reconcile.log").open("ab") as log:
        async with await anyio.open_process(command, env=env, stderr=log) as process:
            yield process


async def told(process: Process, site: Site) -> Told:
    assert process.stdout is not None
    said = b"".join([chunk async for chunk in process.stdout])
    code = await process.wait()
    return Told(code, json.loads(said), site.logged("reconcile"))


async def reconciled(site: Site, *more: str) -> Told:
    async with started(site, *more) as process:
        return await told(process, site)


async def nobody_holds(firm: Firm) -> bool:
    rows = await firm.ask("SELECT expires_at <= clock_timestamp() FROM bridgetender.leases")
    return rows == [(True,)]


@asynccontextmanager
async def under_way(site: Site, firm: Firm) -> AsyncIterator[Process]:
    """Yield the process while it waits for a bridge that is slow."""
    await start_slow_bridge(site, 30)
    await firm.add_clients(1, "binance")
    async with started(site) as process:

        async def begun() -> bool:
            return await firm.open_intents() == 1

        await firm.until(begun)
        yield process


async def test_from_nothing_all_is_live_and_the_bridge_given_back(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0.02)
    await firm.add_clients(3, "binance", "okx")
    done = await reconciled(site)
    assert done.code == 0, done.log
    assert (done.said["settled"], done.said["all_live"]) == (True, True)
    assert await firm.labels_listed() == await firm.labels_wanted()
    assert await nobody_holds(firm)


async def test_what_the_bridge_has_forgotten_is_not_taken_for_live(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0)
    await firm.add_clients(2, "binance")
    assert (await reconciled(site)).code == 0
    await site.kill("bridge")
    await start_slow_bridge(site, 0)
    assert await firm.phases(Phase.LIVE) == 2  # so it is written down
    assert (await reconciled(site)).code == 0
    assert await firm.labels_listed() == await firm.labels_wanted()


async def test_settled_though_not_all_is_live_has_a_code_of_its_own(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0)
    keys = await firm.add_clients(2, "binance")
    await firm.ask(
        "UPDATE exchange_api_keys SET api_key = 'no ciphertext' WHERE id = :id RETURNING id",
        id=keys[0],
    )
    done = await reconciled(site)
    assert done.code == 3, done.log
    assert done.said["settled"] is True
    assert {key["phase"] for key in done.said["keys"]} == {"live", "parked"}


async def test_a_bridge_that_is_away_is_not_settled_in_time(site: Site, firm: Firm) -> None:
    await firm.add_clients(1, "binance")
    done = await reconciled(site, "--timeout", "1")
    assert (done.code, done.said["settled"]) == (1, False)
    assert "the bridge 'main' is down" in done.said["summary"]
    assert await nobody_holds(firm)


async def test_beside_a_daemon_it_only_watches(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0.2)
    await site.start_daemon()

    async def held() -> bool:
        return any(bridge.holder for bridge in await firm.status.bridges())

    await firm.until(held)
    await firm.add_clients(3, "binance")
    done = await reconciled(site)
    assert done.code == 0, done.log
    assert "holds the bridge 'main': it does the work, this only watches" in done.log
    assert await firm.phases(Phase.LIVE) == 3
    assert await firm.ask("SELECT epoch FROM bridgetender.leases") == [(1,)]
    await site.stop("daemon")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_interrupted_it_gives_the_bridge_back(
    site: Site, firm: Firm, number: signal.Signals
) -> None:
    async with under_way(site, firm) as process:
        process.send_signal(number)
        await site.kill("bridge")  # so that what is under way ends
        done = await told(process, site)
    assert done.code == 130, done.log
    assert await firm.open_intents() == 0
    assert await nobody_holds(firm)


async def test_with_another_encryption_key_nothing_is_begun(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0)
    await firm.add_clients(1, "binance")
    assert (await reconciled(site)).code == 0
    env = clean_environment() | site.environment()
    env.pop("ENCRYPTION_KEY_FILE")
    env["ENCRYPTION_KEY"] = "A" * 43 + "="
    result = await anyio.run_process([sys.executable, *RECONCILE], env=env, check=False)
    assert result.returncode == 2
    assert b"not the one this database was set up with" in result.stderr
