"""Where the server's socket lives: the kernel takes only short paths."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from daemon.embedded.errors import EmbeddedError
from daemon.embedded.users import User, may

LONGEST = 100  # bytes, with the socket's name; Linux takes 107, macOS 103
NAME = ".s.PGSQL.5432"


@contextmanager
def socket_home(directory: Path, chosen: Path | None, user: User | None) -> Iterator[Path]:
    """Yield a directory for the socket in which the server may write.

    That is the chosen one, or `<directory>/run`, or if that is too long one of our own in /tmp,
    always the same, so that a kill -9 leaves nothing behind that the next start does not use.
    The caller holds the directory's locks: no server of ours is alive.
    """
    home = chosen.absolute() if chosen else directory / "run"
    if chosen and not _fits(home):
        raise EmbeddedError(
            f"the socket directory {chosen} is too long or holds a ',' or ':': choose a shorter one"
        )
    private = not _fits(home)
    if private:
        home = _private(directory)
    _make(home, user)
    if not chosen:
        _forget_the_dead(home)
    try:
        yield home
    finally:
        if private:
            with suppress(OSError):  # not empty after a crash: the next start uses it
                home.rmdir()


@contextmanager
def short_path(wanted: Path) -> Iterator[Path]:
    """Yield *wanted*, or a path that is short enough for a socket."""
    path = near(wanted)
    if path != wanted:
        _make(path.parent, None)
    yield path
    if path != wanted:
        with suppress(OSError):  # not empty after a crash: the next start uses it
            path.parent.rmdir()


def near(wanted: Path) -> Path:
    """Return the path that `short_path` yields for *wanted*: always the same."""
    if len(os.fsencode(wanted)) <= LONGEST:
        return wanted
    return _private(wanted.parent) / wanted.name


def _fits(home: Path) -> bool:
    """Tell whether drivers and kernel can take the path; drivers split it at ',' and ':'."""
    return len(os.fsencode(home / NAME)) <= LONGEST and not re.search(r'[,:"]', str(home))


def _forget_the_dead(home: Path) -> None:
    """Remove a crashed server's socket: PostgreSQL would believe any process with its number."""
    for leftover in (home / NAME, home / f"{NAME}.lock"):
        leftover.unlink(missing_ok=True)


def _private(directory: Path) -> Path:
    mark = sha256(os.fsencode(directory)).hexdigest()[:12]
    return Path(f"/tmp/bridgetender-{os.geteuid()}-{mark}")  # noqa: S108  (its owner is checked)


def _make(home: Path, user: User | None) -> None:
    try:
        home.mkdir(mode=0o700)
    except FileExistsError:
        _check(home, user)
    else:
        if user:
            os.chown(home, user.uid, user.gid)


def _check(home: Path, user: User | None) -> None:
    """Raise EmbeddedError if the directory is not fit: somebody else could pose as the server."""
    found = home.lstat()
    trusted = {os.geteuid(), user.uid if user else os.geteuid()}
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in trusted or found.st_mode & 0o022:
        raise EmbeddedError(
            f"{home} is not a directory that only its owner, our own user, can write: remove it, "
            "or choose another socket directory"
        )
    if user and not may(user, "-w", home):
        raise EmbeddedError(f"user {user.name!r} may not write in {home}: choose another")
