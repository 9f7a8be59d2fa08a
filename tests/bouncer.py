"""A real PgBouncer in transaction mode, in front of the tests' PostgreSQL."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from daemon.embedded.children import child, clean_environment
from daemon.embedded.cluster import ROLE
from daemon.embedded.postgres import Server
from daemon.embedded.users import server_user
from tests.conftest import fast_place, installed

_PORT = 6432
"""Only names the socket."""
_CONFIGURATION = """
[databases]
* = host={server} user={role} pool_size={servers}
[pgbouncer]
pool_mode = transaction
listen_addr =
listen_port = {port}
unix_socket_dir = {place}
unix_socket_mode = 0777
auth_type = any
"""


@asynccontextmanager
async def bouncing(server: Server, database: str, servers: int = 4) -> AsyncIterator[str]:
    """Yield the URL of *database* through a bouncer that shares out so many server processes."""
    program, user = installed("pgbouncer", package="pgbouncer"), server_user()
    place = Path(tempfile.mkdtemp(prefix="bridgetender-bouncer-", dir=fast_place()))
    configuration, socket = place / "pgbouncer.ini", place / f".s.PGSQL.{_PORT}"
    configuration.write_text(
        _CONFIGURATION.format(
            server=server.socket, role=ROLE, port=_PORT, place=place, servers=servers
        )
    )
    if user:
        shutil.chown(place, user.uid)
        configuration.chmod(0o644)
    command, log = [program, str(configuration)], place / "log"
    try:
        async with child(command, env=clean_environment(), log=log, user=user) as running:
            while not socket.exists():
                assert running.returncode is None, log.read_text()
                await anyio.sleep(0.01)
            yield f"postgresql://{ROLE}@/{database}?host={place}&port={_PORT}"
    finally:
        shutil.rmtree(place)
