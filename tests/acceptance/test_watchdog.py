"""systemd's watchdog is fed by progress: of the loop that keeps a bridge, not of the process."""

from collections.abc import Iterator
from contextlib import closing

import anyio
import pytest
from sqlalchemy import text

from tests.acceptance.firm import PATIENCE, Firm, Site, start_slow_bridge
from tests.acceptance.processes import linux
from tests.systemd import ALIVE, Systemd, freeze, thaw

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance, linux]
IMPATIENT = """
from daemon.web import health
health.STALLED_AFTER = 3.0  # a stall takes three minutes otherwise
from daemon.__main__ import main
main()
"""


@pytest.fixture
def systemd(site: Site) -> Iterator[Systemd]:
    with closing(Systemd(site.directory / "notify", watchdog=1)) as systemd:
        yield systemd


async def test_a_frozen_daemon_is_one_that_systemd_kills(site: Site, systemd: Systemd) -> None:
    await start_slow_bridge(site, latency=0)
    site.settings = systemd.environment
    await site.start_daemon()
    systemd.hear("READY=1")
    systemd.hear(ALIVE)
    freeze(site.children["daemon"].pid)
    systemd.drop()
    assert systemd.would_kill()
    thaw(site.children["daemon"].pid)
    systemd.hear(ALIVE)


async def test_a_loop_that_stands_still_is_fed_no_more_though_its_process_answers(
    site: Site, firm: Firm, systemd: Systemd
) -> None:
    await start_slow_bridge(site, latency=0)
    told = systemd.environment | {"BRIDGETENDER_RESYNC_SECONDS": "1"}
    await site.start("daemon", ["-c", IMPATIENT], site.environment() | told)
    await firm.until(lambda: firm.answers("/startupz", 200))
    systemd.hear(ALIVE)

    async def fails() -> bool:
        return (await firm.health("/livez")).status_code == 503

    async def starves() -> bool:
        """Say whether no sign of life comes while it stands still, before and after."""
        before = await fails()
        systemd.drop()
        return before and systemd.would_kill() and await fails()

    async with site.engine.begin() as connection:  # a pass that never ends
        await connection.execute(text("LOCK TABLE exchange_api_keys"))
        with anyio.fail_after(PATIENCE):  # what `firm` tells of a failure waits for that lock, too
            while not await starves():
                pass
    systemd.hear(ALIVE)
    assert not await fails()
