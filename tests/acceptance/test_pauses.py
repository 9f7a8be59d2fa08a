"""A bridge is paused while it restarts; people hear of it everywhere, and it comes back at once."""

import sys

import anyio
import pytest

from daemon.embedded.children import clean_environment
from reconciler.model import Phase, Reason
from tests.acceptance.firm import Firm, Site, start_slow_bridge

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


async def command(site: Site, *words: str) -> str:
    program = [sys.executable, "-c", "from daemon.cli import main; main()", *words]
    env = clean_environment() | site.environment()
    return (await anyio.run_process(program, env=env)).stdout.decode()


async def calls(firm: Firm) -> object:
    """Return what the bridge was sent since it started, listings aside."""
    async with firm.bridge() as bridge:
        return (await bridge.get("/calls")).json()


async def noticed(firm: Firm) -> bool:
    return not (await firm.status.bridges())[0].up


async def test_a_paused_bridge_is_sent_nothing_until_it_is_resumed(site: Site, firm: Firm) -> None:
    await start_slow_bridge(site, 0)
    await site.start_daemon()
    await firm.add_clients(3, "binance")
    await firm.until_live()

    await command(site, "pause", "--bridge", "main", "--by", "ada", "--reason", "new certificate")
    await site.kill("bridge")
    await firm.until(lambda: noticed(firm))
    await start_slow_bridge(site, 0)
    newcomer = await firm.add_key(await firm.add_client("Newcomer"))

    async def parked() -> bool:
        keys = await firm.status.keys()
        return {(key.phase, key.reason) for key in keys} == {(Phase.PARKED, Reason.PAUSED)}

    async def told() -> bool:
        bridge = (await firm.health("/healthz/bridges/main")).json()
        return bool(bridge["up"] and bridge["paused"] and bridge["pauses"] == 1)

    await firm.until(parked)
    await firm.until(told)
    assert await calls(firm) == {}
    assert "paused, by ada" in await command(site, "plan")
    assert (await firm.standing())[newcomer].due_at is None

    await command(site, "resume", "--bridge", "main")
    await firm.until_live()
    assert await firm.labels_listed() == await firm.labels_wanted()
    await site.stop("daemon")
