"""A stage for each test: a database of its own, real processes, and none of them left behind."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.postgres import Server
from daemon.vault import new_key
from tests.acceptance.firm import Firm, Site
from tests.acceptance.processes import mentioning
from tests.conftest import fast_place


@pytest.fixture
async def site(postgres: Server, engine: AsyncEngine, database_url: str) -> AsyncIterator[Site]:
    directory = Path(tempfile.mkdtemp(prefix="bridgetender-acceptance-", dir=fast_place()))
    (directory / "logs").mkdir()
    socket = f"unix:{directory}/bridge.sock"
    site = Site(directory, postgres, engine, new_key(), socket, database_url=database_url)
    site.key_file.write_text(site.encryption_key.reveal())
    try:
        yield site
    finally:
        await site.stop_all()
        left = mentioning(str(directory))
        shutil.rmtree(directory)
    assert left == []


@pytest.fixture
def firm(site: Site) -> Iterator[Firm]:
    """A firm whose secrets no process has printed, whatever the test did to it."""
    firm = Firm(site)
    yield firm
    printed = [log.read_text() for log in site.logs.glob("*.log")]
    assert not [secret for secret in firm.secrets if any(secret in text for text in printed)]
