"""The daemon on a PostgreSQL of our own that dies, runs out of disk, or is an old backup."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from daemon.embedded.backup import back_up, restore
from daemon.embedded.kept import Kept, kept_postgres
from daemon.embedded.postgres import embedded_postgres
from daemon.store.audit import NOBODY
from daemon.store.engine import make_engine
from daemon.store.restored import distrust
from tests.acceptance.firm import Firm, Site, start_slow_bridge
from tests.acceptance.test_health import answers, of_server, own_place
from tests.disks import fill, small_disk

__all__ = ["own_place"]
pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


async def test_a_daemon_goes_on_by_itself_when_its_database_dies_and_is_started_again(
    own_place: Path,
) -> None:
    async with (
        kept_postgres(own_place / "postgres") as kept,
        of_server(own_place, kept.server) as site,
    ):
        firm = Firm(site)
        await start_slow_bridge(site, 0.01)
        await firm.add_clients(4, "binance", "okx")
        await site.start_daemon()
        await firm.until_live()
        for _ in range(2):
            await kill(kept)
            await site.engine.dispose()  # its connections died with the server
            await firm.add_key(await firm.add_client(f"After {kept.server.pid}"))
            await firm.until_live()
        assert await firm.labels_listed() == await firm.labels_wanted()
        assert await answers(firm, "/livez", 200)
        assert await site.children["daemon"].stop() == 0
        del site.children["daemon"]


async def kill(kept: Kept) -> None:
    pid = kept.server.pid
    kept.server.kill()
    with anyio.fail_after(60):
        while kept.server.pid == pid:  # noqa: ASYNC110  (another process has no events)
            await anyio.sleep(0.01)


async def test_a_disk_that_fills_up_under_a_daemon_costs_nothing_once_there_is_room(
    own_place: Path,
) -> None:
    with small_disk(own_place / "disk") as disk:
        async with (
            kept_postgres(disk / "postgres") as kept,
            of_server(own_place, kept.server) as site,
        ):
            firm = Firm(site)
            await start_slow_bridge(site, 0)
            await firm.add_clients(5, "binance", "okx")
            await site.start_daemon()
            await firm.until_live()
            ballast = fill(disk)
            await site.kill("bridge")  # much is to be written down now
            await start_slow_bridge(site, 0)
            await firm.until(lambda: said(firm, "No space left on device"))
            ballast.unlink()
            await site.engine.dispose()
            await firm.until(lambda: listed_as_wanted(firm))
            await firm.until_live()
            await site.stop("daemon")


async def test_an_old_backup_is_made_true_again_without_harm_to_what_came_after_it(
    own_place: Path,
) -> None:
    old, new, dump = own_place / "old", own_place / "new", own_place / "dump.sql"
    async with embedded_postgres(old) as server, of_server(own_place, server) as site:
        firm = Firm(site)
        await start_slow_bridge(site, 0)
        rotated, removed, _ = await firm.add_clients(1, "binance", "okx", "kucoin")
        await site.start_daemon()
        await firm.until_live()
        await to_thread.run_sync(back_up, old, dump)
        before = firm.keys.copy()
        await firm.rotate(rotated)
        await firm.delete_key(removed)
        await firm.add_key(await firm.add_client("Later"), "kraken")
        await firm.until(lambda: listed_as_wanted(firm))
        later = await firm.labels_listed()
        await site.stop("daemon")

        await to_thread.run_sync(restore, new, dump, distrust(NOBODY))
        async with restarted(site, new) as again:
            restored = Firm(again)
            restored.keys = before
            await again.start_daemon()
            await restored.until(lambda: holds(restored))
            async with restored.bridge() as bridge:
                adds = (await bridge.get("/calls")).json()["add"]
            listed = await restored.labels_listed()
    assert {place: label for place, label in listed.items() if place[1] == "kraken"} == {
        place: label for place, label in later.items() if place[1] == "kraken"
    }  # not ours, as far as the backup knows: it is reported and left alone
    assert adds == 3 + 2 + 3  # at first, after the backup, and all again after the restore


@asynccontextmanager
async def restarted(site: Site, directory: Path) -> AsyncIterator[Site]:
    """The same bridge and encryption key, on the database of another directory."""
    async with embedded_postgres(directory) as server:
        engine = make_engine(server.url())
        key, bridge = site.encryption_key, site.bridge_url
        again = Site(site.directory, server, engine, key, bridge, database_url=server.url())
        try:
            yield again
        finally:
            await again.stop("daemon")
            await engine.dispose()


async def holds(firm: Firm) -> bool:
    """Tell whether the bridge holds all that is wanted, and perhaps more, and no wish is left."""
    listed, wanted = await firm.labels_listed(), await firm.labels_wanted()
    return wanted.items() <= listed.items() and not await firm.ask(
        "SELECT 1 FROM bridgetender.wishes"
        " UNION ALL SELECT 1 FROM bridgetender.connectors WHERE phase <> 'live'"
    )


async def said(firm: Firm, words: str) -> bool:
    return words in firm.site.logged()


async def listed_as_wanted(firm: Firm) -> bool:
    return await firm.labels_listed() == await firm.labels_wanted()
