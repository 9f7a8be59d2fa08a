"""Warns of files that hold a secret and that everybody on the machine may read."""

import stat
from collections.abc import Iterable
from pathlib import Path

import structlog

log = structlog.get_logger()


def warn_of_exposed(files: Iterable[Path]) -> None:
    for file in files:
        if is_exposed(file):
            mode = f"{stat.S_IMODE(file.stat().st_mode):04o}"
            cure = f"chmod 600 {file} (in Kubernetes defaultMode 0440)"
            log.warning("secret_file_open_to_all", file=str(file), mode=mode, run=cure)


def is_exposed(file: Path) -> bool:
    """Tell whether anybody can read *file*: it is open, and so is every directory on the way."""
    try:
        found = file.resolve(strict=True)
        return bool(found.stat().st_mode & stat.S_IROTH) and all(
            parent.stat().st_mode & stat.S_IXOTH for parent in found.parents
        )
    except OSError:
        return False  # a pipe, say: there is nothing to close
