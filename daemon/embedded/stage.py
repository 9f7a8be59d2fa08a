"""Everything on one machine: PostgreSQL, paper exchange, bridge and daemon, a process each."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.embedded.children import Child, clean_environment
from daemon.embedded.errors import EmbeddedError, last_words
from daemon.embedded.postgres import Server, embedded_postgres
from daemon.embedded.sockets import short_path
from daemon.embedded.users import may, server_user
from daemon.store import schema
from daemon.store.engine import dispose, make_engine
from daemon.vault import new_key
from reconciler.model import Secret

_POLL = 0.02
"""Seconds between two looks into the log of a process that starts."""


@dataclass(slots=True)
class Stage:
    """What runs, and where. Each process writes to a log of its own in `logs`."""

    directory: Path
    server: Server
    engine: AsyncEngine
    encryption_key: Secret
    bridge_url: str
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of the daemon, beside those that say where everything is."""
    children: dict[str, Child] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def key_file(self) -> Path:
        return self.directory / "encryption-key"

    def pid_file(self, name: str) -> Path:
        """Return the file that holds the present process's id."""
        return self.directory / f"{name}.pid"

    def environment(self, health_port: int = 0, api_port: int = 0) -> dict[str, str]:
        """Return what the daemon, or a command beside it, needs to know."""
        return {
            "BRIDGETENDER_CONFIG": "",  # what is installed here is none of its business
            "DATABASE_URL": self.server.url(),
            "ENCRYPTION_KEY_FILE": str(self.key_file),
            "TRADING_BRIDGE_URL": self.bridge_url,
            "BRIDGETENDER_HEALTH_PORT": str(health_port),
            "BRIDGETENDER_API_PORT": str(api_port),
            **self.settings,
        }

    def write_environment(self) -> Path:
        """Write what a shell needs to run commands beside the daemon; return the file's path."""
        path = self.directory / "environment"
        lines = (
            f"export {name}={shlex.quote(value)}" for name, value in self.environment().items()
        )
        path.write_text("\n".join(lines) + "\n")
        return path

    async def start_paper(self) -> str:
        """Start the paper exchange; return its URL."""
        return await self.start("paper", ["-m", "bridge.paper", "--port", "0"])

    async def start_bridge(self, *options: str) -> str:
        """Start the bridge before the paper exchange, on its unix socket."""
        where = ["--uds", self.bridge_url.removeprefix("unix:")]
        origin = ["--exchange-origin", self.addresses["paper"]]
        return await self.start("bridge", ["-m", "bridge", *where, *origin, *options])

    async def start_daemon(self, health_port: int = 0, api_port: int = 0) -> str:
        """Start the daemon; return the URL of its health and metrics, note that of its API."""
        environment = self.environment(health_port, api_port)
        return await self.start("daemon", ["-m", "daemon"], environment)

    async def stop(self, name: str) -> None:
        """End a process in order, if it runs."""
        if name in self.children:
            await self.children.pop(name).stop()

    async def kill(self, name: str) -> None:
        """End a process by SIGKILL, and wait until it is gone."""
        child = self.children.pop(name)
        child.kill()
        await child.wait()

    async def stop_all(self) -> None:
        for name in ("daemon", "bridge", "paper", *self.children):
            await self.stop(name)

    async def start(
        self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None
    ) -> str:
        """Start a Python program that says where it listens; return that address."""
        log = self.logs / f"{name}.log"
        said_before = log.stat().st_size if log.exists() else 0
        env = clean_environment() | dict(environment or {})
        child = Child.start([sys.executable, *arguments], env=env, log=log)
        self.children[name] = child
        self.pid_file(name).write_text(f"{child.pid}\n")
        words = await _said(name, child, log, said_before)
        self.addresses[name] = str(words.get("address") or words["health"])
        if "api" in words:
            self.addresses["api"] = str(words["api"])
        return self.addresses[name]


@asynccontextmanager
async def staged(
    directory: Path, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Stage]:
    """Run a migrated PostgreSQL below *directory*; what is started on the stage ends with it.

    Raises EmbeddedError, in words for people.
    """
    (directory / "logs").mkdir(mode=0o700)
    async with AsyncExitStack() as stack:
        home = stack.enter_context(_postgres_home(directory))
        server = await stack.enter_async_context(embedded_postgres(home))
        engine = make_engine(server.url())
        stack.push_async_callback(dispose, engine)
        await schema.migrate(engine)
        socket = stack.enter_context(short_path(directory / "bridge.sock"))
        key = new_key()
        stage = Stage(directory, server, engine, key, f"unix:{socket}", settings or {})
        _write_private(stage.key_file, key.reveal())
        try:
            yield stage
        finally:
            with anyio.CancelScope(shield=True):
                await stage.stop_all()


@contextmanager
def scratch(below: Path | None, prefix: str) -> Iterator[Path]:
    """Yield a new directory that PostgreSQL's user can pass through; remove it unless it failed.

    What failed is kept, so that its logs can be read. Raises EmbeddedError if none can be made.
    """
    try:
        directory = _new_directory(below, prefix)
    except OSError as error:
        where = "the temporary directory (TMPDIR)" if below is None else repr(str(below))
        raise EmbeddedError(
            f"cannot make a directory in {where}: {error.strerror}; choose another"
        ) from error
    failed = False
    try:
        yield directory
    except Exception:
        failed = True
        raise
    finally:
        if not failed:
            shutil.rmtree(directory, ignore_errors=True)


def _new_directory(below: Path | None, prefix: str) -> Path:
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=below)).absolute()
    directory.chmod(0o711)
    return directory


@contextmanager
def _postgres_home(directory: Path) -> Iterator[Path]:
    """Yield a place for PostgreSQL: below *directory*, or where root's stand-in may enter."""
    user = server_user()
    if user is None or all(may(user, "-x", step) for step in (directory, *directory.parents)):
        yield directory / "postgres"
        return
    with scratch(None, "bridgetender-postgres-") as elsewhere:
        yield elsewhere / "postgres"


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


async def _said(name: str, child: Child, log: Path, skip: int) -> dict[str, Any]:
    """Wait for the line in which a process says where it listens. Raises EmbeddedError."""
    while True:
        said = (await anyio.Path(log).read_bytes())[skip:].decode(errors="replace")
        for line in said.splitlines():
            if '"listening"' in line:
                words: dict[str, Any] = json.loads(line)
                return words
        if child.returncode is not None:
            raise EmbeddedError(f"the {name} did not start: {last_words(said)} (see {log})")
        await anyio.sleep(_POLL)
