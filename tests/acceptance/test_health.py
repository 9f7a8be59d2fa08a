"""What a probe is told while the database dies and comes back."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from daemon.embedded.postgres import Server, embedded_postgres
from daemon.store import schema
from daemon.store.engine import make_engine
from daemon.vault import new_key
from tests.acceptance.firm import Firm, Site, start_slow_bridge
from tests.conftest import fast_place

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


@pytest.fixture
def own_place() -> Iterator[Path]:
    """A directory for a PostgreSQL that may be killed: nobody else needs it."""
    directory = Path(tempfile.mkdtemp(prefix="bridgetender-acceptance-", dir=fast_place()))
    directory.chmod(0o711)
    (directory / "logs").mkdir()
    yield directory
    shutil.rmtree(directory)


async def test_a_dead_database_stops_traffic_and_is_no_reason_to_restart(own_place: Path) -> None:
    async with AsyncExitStack() as stack:
        async with embedded_postgres(own_place / "postgres") as server:
            site = await stack.enter_async_context(of_server(own_place, server))
            firm = Firm(site)
            await start_slow_bridge(site, 0)
            await site.start_daemon()
            await firm.until(lambda: answers(firm, "/healthz/bridges", 200))
            server.kill()
            await server.wait()
            await firm.until(lambda: answers(firm, "/readyz", 503))
            assert await answers(firm, "/livez", 200)
            told = (await firm.health("/readyz?verbose")).json()
            assert [name for name, how in told["checks"].items() if how != "ok"] == ["database"]

        async with embedded_postgres(own_place / "postgres"):
            await site.engine.dispose()  # its connections died with the server
            await firm.until(lambda: answers(firm, "/readyz", 200))
            await firm.add_clients(2, "binance")
            await firm.until_live()
            assert await answers(firm, "/healthz/bridges", 200)
            await site.stop("daemon")


@asynccontextmanager
async def of_server(directory: Path, server: Server) -> AsyncIterator[Site]:
    engine, socket = make_engine(server.url()), f"unix:{directory}/bridge.sock"
    await schema.migrate(engine)
    site = Site(directory, server, engine, new_key(), socket, database_url=server.url())
    site.key_file.write_text(site.encryption_key.reveal())
    yield site
    await site.stop_all()
    await engine.dispose()


async def answers(firm: Firm, path: str, status: int) -> bool:
    return (await firm.health(path)).status_code == status
