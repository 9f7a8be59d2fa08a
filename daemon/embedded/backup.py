"""A backup of our own server's database: a plain SQL dump, and a last line that proves it whole.

PostgreSQL's pg_dump and psql do the work. The encryption key is never in it.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO

from daemon.embedded.binaries import SETTING, Binaries, find_binaries
from daemon.embedded.children import clean_environment
from daemon.embedded.disk import sync
from daemon.embedded.errors import EmbeddedError, failed
from daemon.embedded.locks import InUse
from daemon.embedded.postgres import Server, listening, running_postgres
from daemon.embedded.users import User, server_user

SEAL = b"-- bridgetender backup, whole: sha256 "
_PIECE = 1 << 20
_SEALED = len(SEAL) + 64 + 1
_DUMP = ("--format=plain", "--no-owner", "--no-privileges", "--encoding=UTF8")
_RESTORE = ("--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1")
_TABLES = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'S')
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
"""


class Refusal(Exception):
    """It is not done, and nothing was changed; the message is meant for people."""


def back_up(directory: Path, target: Path | None) -> None:
    """Write what the server of *directory* holds to a new file, which is whole or not there.

    None is stdout. The server is started for it unless it runs. Raises Refusal or EmbeddedError.
    """
    if not (directory / "data").exists():
        raise Refusal(f"there is no database in {directory}: say where with --state-dir")
    with _reached(directory) as (found, dsn), _written(target) as sink:
        _dump(found, dsn, sink, directory)


def restore(directory: Path, source: Path | None, afterwards: str) -> None:
    """Make what is in a backup the database of *directory*, then run the SQL *afterwards*.

    None is stdin. All of it happens or nothing does. Raises Refusal or EmbeddedError.
    """
    with _opened(source) as backup:
        _require_whole(backup, source)
        with running_postgres(directory) as server:
            _require_empty(server, directory)
            _psql(server, ["--file=-", f"--command={afterwards}"], backup)


# -- the server --------------------------------------------------------------------------------


@contextmanager
def _reached(directory: Path) -> Iterator[tuple[Binaries, str]]:
    """Yield PostgreSQL's programs and the URL of the server, which runs already or is started."""
    try:
        with running_postgres(directory) as server:
            yield server.binaries, server.dsn()
    except InUse:
        if (url := listening(directory)) is None:
            raise
        yield find_binaries(), url


def _dump(found: Binaries, dsn: str, sink: IO[bytes], directory: Path) -> None:
    command: list[str | Path] = [_program(found, "pg_dump"), *_DUMP, f"--dbname={dsn}"]
    digest = sha256()
    with tempfile.TemporaryFile() as trouble:
        with _started(command, None, stdout=subprocess.PIPE, stderr=trouble) as dump:
            assert dump.stdout is not None  # noqa: S101  (for the type checker)
            while piece := dump.stdout.read(_PIECE):
                digest.update(piece)
                sink.write(piece)
        if dump.returncode:
            trouble.seek(0)
            raise failed("pg_dump failed", trouble.read().decode(errors="replace"), directory)
    sink.write(SEAL + digest.hexdigest().encode() + b"\n")


def _require_empty(server: Server, directory: Path) -> None:
    if (count := _psql(server, ["--tuples-only", f"--command={_TABLES}"]).strip()) != "0":
        raise Refusal(
            f"{directory} holds {count} tables already, and nothing is restored over data: move"
            " that directory away, or choose another with --state-dir"
        )


def _psql(server: Server, arguments: Sequence[str], said: IO[bytes] | None = None) -> str:
    """Run psql as the server's user, who may do less than root; return what it said."""
    with _started(
        [_program(server.binaries, "psql"), *_RESTORE, f"--dbname={server.dsn()}", *arguments],
        server_user(),
        stdin=said or subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as psql:
        answer = psql.communicate()[0].decode(errors="replace")
    if psql.returncode:
        raise failed("psql failed, and nothing was restored", answer, server.data.parent)
    return answer


def _program(found: Binaries, name: str) -> Path:
    if not os.access(found[name], os.X_OK):
        raise EmbeddedError(
            f"{found.directory} holds no {name}: set {SETTING} to a PostgreSQL {found.major} that"
            " has it"
        )
    return found[name]


def _started(
    command: Sequence[str | Path], user: User | None, **streams: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    started: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]  # noqa: S603
        command,
        env=clean_environment(),
        cwd="/",
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        **streams,
    )
    return started


# -- the file ----------------------------------------------------------------------------------


@contextmanager
def _written(target: Path | None) -> Iterator[IO[bytes]]:
    """Yield a file that only we can read, and that takes its name once it is whole."""
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if target.exists() and not target.is_file():
        raise Refusal(f"{target} is no file: name one, or say - for stdout")
    making = None
    try:
        making = _new_beside(target)
        with making:
            yield making
            making.flush()
            os.fsync(making.fileno())
        Path(making.name).replace(target)
        sync(target.parent)
    except OSError as error:
        raise Refusal(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        if making is not None:
            Path(making.name).unlink(missing_ok=True)


def _new_beside(target: Path) -> IO[bytes]:
    return tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False)


@contextmanager
def _opened(source: Path | None) -> Iterator[IO[bytes]]:
    try:
        backup = _kept_stdin() if source is None else source.open("rb")
    except OSError as error:
        raise Refusal(f"{source or 'stdin'} cannot be read: {error.strerror or error}") from error
    with backup:
        yield backup


def _kept_stdin() -> IO[bytes]:
    """A backup is read twice, to know that it is whole before anything of it is used."""
    kept = tempfile.TemporaryFile()  # noqa: SIM115  (the caller closes it)
    while piece := sys.stdin.buffer.read(_PIECE):
        kept.write(piece)
    return kept


def _require_whole(backup: IO[bytes], source: Path | None) -> None:
    """Raise Refusal unless the last line is the digest of all before; then start at the top."""
    left = backup.seek(0, os.SEEK_END) - _SEALED
    backup.seek(0)
    digest = sha256()
    while left > 0 and (piece := backup.read(min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    if backup.read() != SEAL + digest.hexdigest().encode() + b"\n":
        raise Refusal(
            f"{source or 'stdin'} is not a whole backup made by 'bridgetender backup': it is cut"
            " off, was changed, or is something else; nothing was restored"
        )
    backup.seek(0)
    os.lseek(backup.fileno(), 0, os.SEEK_SET)
