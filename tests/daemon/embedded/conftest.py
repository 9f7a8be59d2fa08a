"""Directories that a server run by another user can enter, and a cluster made only once."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.embedded.postgres import running_postgres
from tests.conftest import fast_place


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory all may enter; pytest's own are closed to the user that serves root."""
    yield from _scratch()


@pytest.fixture(scope="session")
def made() -> Iterator[Path]:
    """The state directory of a server that ran once and stopped."""
    for scratch in _scratch():
        with running_postgres(scratch / "state"):
            pass
        yield scratch / "state"


@pytest.fixture
def state(made: Path, home: Path) -> Path:
    subprocess.run(["cp", "-a", made, home / "state"], check=True)
    return home / "state"


def _scratch() -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix="bridgetender-test-", dir=fast_place()))
    scratch.chmod(0o711)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch)
