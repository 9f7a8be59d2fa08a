"""A disk so small that a test can fill it. Only root may mount one, and not everywhere."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """Mount a disk of 96 MB at *place*; a new cluster has about 40. Skip where that is refused."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m,mode=0711", "none", str(place)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs to be allowed to mount a small tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Leave no room, or little; removing the file that is returned makes some again."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(os.sysconf("SC_PAGE_SIZE")))
    os.truncate(ballast, ballast.stat().st_size - leave)
    return ballast
