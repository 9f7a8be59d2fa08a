"""A PostgreSQL server of our own, in one directory, for as long as a block lasts.

    <directory>/data            the database cluster
               /server.log      what PostgreSQL says, in UTC
               /owner.lock      held by the process that asked for the server
               /server.lock     held by every process of the server, until the last is gone
               /pg_hba.conf, pg_ident.conf, run/

It listens on a unix socket only. The kernel says who connects: we, root and the server's own user
may log in as `bridgetender`, nobody else at all.
"""

import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import anyio
import asyncpg
from anyio import to_thread

from daemon.embedded.binaries import Binaries, find_binaries, readable_by
from daemon.embedded.children import Child, clean_environment, keep_short
from daemon.embedded.cluster import DATABASE, ROLE, refuse_foreign_postmaster, require_cluster
from daemon.embedded.errors import EmbeddedError, failed, full, make_room
from daemon.embedded.locks import owned, server_lock
from daemon.embedded.sockets import socket_home
from daemon.embedded.users import User, own_name, require_entry, server_user

POLL_S = 0.005
LOG_END = 20_000  # bytes that are looked through for last words
SETTINGS = {  # those of a small machine; durability stays as PostgreSQL ships it
    "listen_addresses": "",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "max_wal_size": "256MB",
    "jit": "off",
    "log_destination": "stderr",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


@dataclass(frozen=True)
class Server:
    child: Child
    binaries: Binaries
    data: Path
    socket: Path  # the directory that holds it
    log: Path
    log_start: int  # bytes that earlier runs have written

    @property
    def pid(self) -> int:
        return self.child.pid

    def url(self, database: str = DATABASE) -> str:
        """Return what SQLAlchemy connects to."""
        return self._url("postgresql+asyncpg", database)

    def dsn(self, database: str = DATABASE) -> str:
        """Return what asyncpg, psql and libpq connect to."""
        return self._url("postgresql", database)

    def kill(self) -> None:
        """Crash the server (SIGKILL to its postmaster)."""
        self.child.kill()

    async def wait(self) -> int:
        """Return the exit code when the server has ended."""
        return await self.child.wait()

    async def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database; a template must have no connections. Raise asyncpg.PostgresError."""
        source = f" TEMPLATE {_quoted(template)}" if template else ""
        await self._execute(f"CREATE DATABASE {_quoted(name)}{source}")

    async def drop_database(self, name: str) -> None:
        """Drop a database with whoever is connected to it, if it exists."""
        await self._execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def ready(self) -> bool:
        """Tell whether the server takes connections. Raise EmbeddedError if it has ended."""
        if self.child.returncode is not None:
            raise self.failure("PostgreSQL did not start")
        with suppress(FileNotFoundError, IndexError):
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return lines[0] == str(self.pid) and lines[7].strip() == "ready"
        return False

    def failure(self, what: str) -> EmbeddedError:
        """Return *what* as an error, with what this run of the server complained of at its end."""
        return failed(what, self._said(), self.data.parent)

    def _said(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(self.log_start, self.log.stat().st_size - LOG_END))
            return log.read().decode(errors="replace")

    def _url(self, scheme: str, database: str) -> str:
        return url_of(scheme, database, self.socket)

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


def url_of(scheme: str, database: str, socket: Path) -> str:
    """Return the URL of a database whose server listens in the directory *socket*."""
    return f"{scheme}://{ROLE}@/{quote(database, safe='')}?host={quote(str(socket))}"


def listening(directory: Path) -> str | None:
    """Return the URL at which the server of *directory* listens; None where none runs."""
    with suppress(OSError, IndexError):  # PostgreSQL notes itself where it listens
        noted = (directory / "data/postmaster.pid").read_text().splitlines()
        return url_of("postgresql", DATABASE, Path(noted[4]))
    return None


@asynccontextmanager
async def embedded_postgres(
    directory: Path, *, socket_directory: Path | None = None, binaries: Path | None = None
) -> AsyncIterator[Server]:
    """Run the server of `directory`, made on first use (2 to 4 s; afterwards some 0.1 s).

    Raise EmbeddedError, with words for people, if that is impossible. The server stops with the
    block, and also if this process is killed. It may end before: see `Server.wait`.
    """
    with claimed(directory) as home:
        async with served(home, socket_directory, binaries) as server:
            yield server


@contextmanager
def running_postgres(
    directory: Path, *, socket_directory: Path | None = None, binaries: Path | None = None
) -> Iterator[Server]:
    """Do as `embedded_postgres` does where no event loop runs."""
    with (
        claimed(directory) as home,
        _launched(home, socket_directory, binaries) as server,
    ):
        while not server.ready():
            time.sleep(POLL_S)
        yield server


@contextmanager
def claimed(directory: Path) -> Iterator[Path]:
    """Be the only one who wants the server of *directory*, made if need be; yield its full path.

    Raise InUse, an EmbeddedError, if somebody else does.
    """
    home = directory.absolute()
    with ExitStack() as stack:
        with _in_words(home):
            _make_directory(home, server_user())
            stack.enter_context(owned(home))
        yield home


@asynccontextmanager
async def served(
    home: Path, socket_directory: Path | None = None, binaries: Path | None = None
) -> AsyncIterator[Server]:
    """Run the server of a claimed directory once; see `embedded_postgres`."""
    with ExitStack() as stack:
        launched = _launched(home, socket_directory, binaries)
        server = await to_thread.run_sync(stack.enter_context, launched)
        try:
            while not server.ready():  # noqa: ASYNC110  (another process has no events)
                await anyio.sleep(POLL_S)
            yield server
        finally:
            with anyio.CancelScope(shield=True):
                await server.child.stop()


@contextmanager
def _launched(home: Path, *rest: Path | None) -> Iterator[Server]:
    with ExitStack() as stack:
        with _in_words(home):
            server = _launch(stack, home, *rest)
        yield server


@contextmanager
def _in_words(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # no space, read-only, not a directory, ...
        if full(str(error)):
            raise EmbeddedError(make_room(directory)) from error
        raise EmbeddedError(f"PostgreSQL cannot use {directory}: {error}") from error


def _launch(
    stack: ExitStack, directory: Path, socket_directory: Path | None, configured: Path | None
) -> Server:
    """Do all that has to be done before the server can start, and start it."""
    names, user = {own_name(), "root"}, server_user()  # root may do anything anyway: also a backup
    found = find_binaries(configured)
    lock = stack.enter_context(server_lock(directory))
    if user:
        names.add(user.name)
        found = readable_by(user, found, directory)
    data = directory / "data"
    require_cluster(data, found, user, lock)
    refuse_foreign_postmaster(data)
    socket = stack.enter_context(socket_home(directory, socket_directory, user))
    log = _log_file(directory)
    log_start = log.stat().st_size
    child = Child.start(
        [found["postgres"], "-D", data, *_settings(directory, socket, names)],
        env=clean_environment(),
        log=log,
        stop_signal=signal.SIGINT,  # a fast, clean shutdown
        grace=timedelta(seconds=60),  # its last checkpoint may be long; being killed is safe
        user=user,
        directory=directory,
        keep_open=[lock],
    )
    stack.callback(child.end)
    return Server(child, found, data, socket, log, log_start)


def _make_directory(directory: Path, user: User | None) -> None:
    """Make it if need be, without opening anything that was there before."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    if user:
        require_entry(user, (missing[-1] if missing else directory).parent)
    for path in reversed(missing):
        path.mkdir()
        path.chmod(0o711 if user else 0o700)
    if not directory.is_dir():
        raise NotADirectoryError("it is not a directory")
    if user:
        require_entry(user, directory)


def _settings(directory: Path, socket: Path, names: set[str]) -> list[str]:
    """Write who may log in; return the server's arguments."""
    access = {
        "hba_file": ("pg_hba.conf", ["local all all peer map=ours"]),
        "ident_file": ("pg_ident.conf", [f'ours "{name}" {ROLE}' for name in sorted(names)]),
    }
    settings = SETTINGS | {"unix_socket_directories": f'"{socket}"'}
    for setting, (name, lines) in access.items():
        path = directory / name
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o644)
        settings[setting] = str(path)
    return [part for item in settings.items() for part in ("-c", "=".join(item))]


def _log_file(directory: Path) -> Path:
    log = directory / "server.log"
    keep_short(log)
    return log


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
