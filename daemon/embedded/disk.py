"""What is done about a disk that forgets."""

import os
from pathlib import Path


def sync(directory: Path) -> None:
    """Return once what was made or renamed in *directory* is on the disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
