"""Builds the wheel and the sdist, and tells what is wrong with what is in them."""

import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parent.parent.parent
OURS = ("bridge", "daemon", "migrations", "reconciler")
"""What is installed; the rest of the tree is for those who work on it."""


def build(tree: Path, into: Path, kind: str) -> Path:
    """Build the "wheel" or "sdist" of *tree*, and return the file; equal trees make equal bytes."""
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(into), "-t", kind]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    made = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return max(made, key=lambda file: file.stat().st_mtime_ns)


def unpack(sdist: Path, into: Path) -> Path:
    """Return the tree that *sdist* is unpacked to."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):  # not in the first releases of Python 3.11
            archive.extraction_filter = staticmethod(tarfile.data_filter)
        archive.extractall(into)  # noqa: S202 - what we built a moment ago
    return into / sdist.name.removesuffix(".tar.gz")


def wrong_with_wheel(wheel: Path, tree: Path = ROOT) -> Iterator[str]:
    """Yield what is missing: whatever lies in our packages belongs in it, and nothing else."""
    with ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {name.split("/", 1)[1] for name in archive.namelist() if ".dist-info/" in name}
    there = {
        path.relative_to(tree).as_posix()
        for ours in OURS
        for path in (tree / ours).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    yield from (f"the wheel lacks {name}" for name in sorted(there - packed))
    yield from (f"the wheel has {name}, which is not ours" for name in sorted(packed - there))
    wanted = {"METADATA", "entry_points.txt", "licenses/LICENSE"}
    yield from (f"the wheel lacks {name} about itself" for name in sorted(wanted - about))


def wrong_with_sdist(sdist: Path) -> Iterator[str]:
    """Yield what an sdist should not carry, and what is needed to build and test from it."""
    with tarfile.open(sdist) as archive:
        packed = {name.split("/", 1)[1] for name in archive.getnames()}
    needed = {"CHANGELOG.md", "LICENSE", "Makefile", "requirements.lock", "tests/conftest.py"}
    yield from (f"the sdist lacks {name}" for name in sorted(needed - packed))
    unwanted = (".ci/", ".venv/", "dist/", ".git/")
    yield from (f"the sdist has {name}" for name in sorted(packed) if name.startswith(unwanted))
