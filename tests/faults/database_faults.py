"""The database dies, hangs, refuses, or is not quite the one that the daemon would like."""

import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import anyio
import asyncpg

from daemon.embedded.cluster import ROLE
from daemon.embedded.users import own_name, server_user
from daemon.store import schema
from daemon.store.audit import NOBODY
from daemon.store.engine import make_engine
from daemon.store.restored import distrust
from tests.bouncer import bouncing
from tests.disks import fill, small_disk
from tests.faults.fault import fault, meanwhile
from tests.faults.scene import Scene

_TABLES = ("public.clients", "public.exchange_api_keys")
_DAWDLE = """
CREATE FUNCTION public.dawdle() RETURNS trigger LANGUAGE plpgsql
AS 'BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END'
"""
_DAWDLING = """
CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT OR UPDATE ON {}
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.dawdle()
"""


@fault(times=2)
async def database_restarts(scene: Scene) -> AsyncIterator[None]:
    """it stops in order and starts again, while the bridge restarts"""

    async def restart() -> None:
        await scene.restart_database()
        await scene.restart_bridge()

    async with meanwhile(restart):
        yield


@fault(times=4, quick=1, bustle=2)
async def database_killed(scene: Scene) -> AsyncIterator[None]:
    """kill -9 of PostgreSQL, five times at random instants"""

    async def kill() -> None:
        for _ in range(5):
            await scene.pause(0, 1)
            await scene.crash_database()

    async with meanwhile(kill):
        yield


@fault(times=2, bustle=2)
async def database_fails_over(scene: Scene) -> AsyncIterator[None]:
    """every connection is ended, again and again, while the bridge restarts"""
    async with meanwhile(lambda: _again_and_again(scene, scene.end_connections)):
        await scene.restart_bridge()
        yield


@fault(bustle=2)
async def database_listen_dropped(scene: Scene) -> AsyncIterator[None]:
    """the connection that listens is ended, again and again"""

    async def end() -> None:
        await scene.end_connections("query ILIKE 'LISTEN%'")

    async with meanwhile(lambda: _again_and_again(scene, end)):
        yield


@fault()
async def database_hangs(scene: Scene) -> AsyncIterator[None]:
    """it, or the network before it, answers nothing and closes nothing; the bridge restarts"""
    scene.wire.hold()
    await scene.restart_bridge()
    yield
    await scene.pause(3, 5)
    scene.wire.let_go()


@fault()
async def database_without_connections(scene: Scene) -> AsyncIterator[None]:
    """others have taken every connection, also those that were ours"""
    async with AsyncExitStack() as others:

        async def take_all() -> None:
            with suppress(asyncpg.TooManyConnectionsError):
                while True:
                    connection = await asyncpg.connect(scene.cluster.dsn("postgres"))
                    others.push_async_callback(connection.close)

        root = await asyncpg.connect(scene.cluster.dsn("postgres"))
        others.push_async_callback(root.close)
        for _ in range(3):
            await root.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1",
                scene.database,
            )
            await take_all()
        await scene.restart_bridge()
        yield
        await scene.pause(1, 2)


@fault(times=2)
async def database_slow_commits(scene: Scene) -> AsyncIterator[None]:
    """each commit takes half a second, and the bridge restarts"""
    tables = ("bridgetender.leases", "bridgetender.attempts", *_TABLES)
    await scene.sql(_DAWDLE, *(_DAWDLING.format(table) for table in tables))
    await scene.restart_bridge()
    yield
    await scene.pause(1, 2)
    await scene.sql(  # one table's lock at a time: the daemon may wait for another's
        *(f"DROP TRIGGER dawdle ON {table}" for table in tables), "DROP FUNCTION public.dawdle()"
    )


@fault()
async def database_commits_hang(scene: Scene) -> AsyncIterator[None]:
    """commits wait for a standby that is not there, for two seconds at a time"""

    async def wait() -> None:
        for _ in range(3):
            await _set(scene, "synchronous_standby_names", "nobody")
            await anyio.sleep(2)
            await _set(scene, "synchronous_standby_names", "")
            await anyio.sleep(0.3)

    async with meanwhile(wait):
        await scene.restart_bridge()
        yield


@fault()
async def database_notify_lost(scene: Scene) -> AsyncIterator[None]:
    """nobody is told of changes: the triggers are disabled"""
    await scene.sql(*(f"ALTER TABLE {table} DISABLE TRIGGER USER" for table in _TABLES))
    yield
    await scene.sql(*(f"ALTER TABLE {table} ENABLE TRIGGER USER" for table in _TABLES))


@fault()
async def database_locked(scene: Scene) -> AsyncIterator[None]:
    """somebody keeps everybody from writing into our table, while the bridge restarts"""
    async with scene.connected() as other, other.transaction():
        await other.execute("LOCK bridgetender.connectors IN EXCLUSIVE MODE")
        await scene.restart_bridge()
        yield
        await scene.pause(2, 4)


@fault()
async def database_read_only(scene: Scene) -> AsyncIterator[None]:
    """it takes no writes, and the bridge restarts"""
    await scene.sql(
        f"ALTER DATABASE {scene.database} SET default_transaction_read_only = on",
        database="postgres",
    )
    await scene.end_connections()
    await scene.restart_bridge()
    yield
    await scene.pause(1, 3)
    await scene.sql(
        f"ALTER DATABASE {scene.database} RESET default_transaction_read_only",
        database="postgres",
    )


@fault()
async def database_full(scene: Scene) -> AsyncIterator[None]:
    """there is no room on its disk, and the bridge restarts"""
    disk = scene.afterwards.enter_context(small_disk(scene.site.directory / "disk"))
    place = disk / "tablespace"
    place.mkdir()
    if user := server_user():
        subprocess.run(["chown", str(user.uid), place], check=True)  # noqa: ASYNC221
    await scene.sql(f"CREATE TABLESPACE small LOCATION '{place}'", database="postgres")
    scene.afterwards.push_async_callback(scene.sql, "DROP TABLESPACE small", database="postgres")
    async with _alone(scene):
        await scene.sql(
            f"ALTER DATABASE {scene.database} SET TABLESPACE small", database="postgres"
        )
    ballast = fill(disk)
    await scene.restart_bridge()
    yield
    await scene.pause(1, 3)
    ballast.unlink()


@fault()
async def database_schema_behind(scene: Scene) -> AsyncIterator[None]:
    """its tables are those of before; they are migrated while the daemon waits"""
    await scene.site.stop("daemon")
    await schema.downgrade(scene.site.engine, "base")
    await scene.restart_bridge()
    await scene.site.start_replica("daemon")
    yield
    await scene.pause(0, 2)
    await schema.migrate(scene.site.engine)


@fault()
async def database_role_without_triggers(scene: Scene) -> AsyncIterator[None]:
    """the daemon's role may read people's tables and nothing more, so there are no triggers"""
    async with _alone(scene):
        await schema.downgrade(scene.site.engine, "base")
        await scene.sql("DROP SCHEMA bridgetender CASCADE")
        await _let_in(scene, "app")
        url = scene.site.database_url.replace(f"{ROLE}@", "app@")
        engine = make_engine(url)
        await schema.migrate(engine)
        await engine.dispose()
        scene.site.settings["DATABASE_URL"] = url
        await scene.restart_bridge()
    yield


@fault(quick=1)
async def database_behind_pgbouncer(scene: Scene) -> AsyncIterator[None]:
    """the daemon reaches it through PgBouncer in transaction mode; daemon and bridge are killed"""
    bouncer = bouncing(scene.cluster.server, scene.database)
    url = await scene.afterwards.enter_async_context(bouncer)
    scene.site.settings["DATABASE_URL"] = url
    await scene.restart_daemon()
    await scene.restart_bridge()
    yield
    await scene.site.kill("daemon")
    await scene.restart_bridge()
    await scene.site.start_replica("daemon")


@fault(quick=1)
async def database_backup_restored(scene: Scene) -> AsyncIterator[None]:
    """after people's changes it is what it was before them; the bridge is not"""
    copy = f"{scene.database}_copy"
    async with _alone(scene):
        await scene.cluster.server.create_database(copy, scene.database)
    before = dict(scene.firm.keys)
    yield
    await scene.pause(1, 2)
    async with _alone(scene):
        await scene.cluster.server.drop_database(scene.database)
        await scene.cluster.server.create_database(scene.database, copy)
        await scene.cluster.server.drop_database(copy)
        await scene.sql(distrust(NOBODY))  # as `bridgetender restore` does
    scene.firm.keys.clear()
    scene.firm.keys.update(before)
    known = await scene.firm.ask("SELECT account, connector FROM bridgetender.connectors")
    scene.unmanaged |= (await scene.firm.labels_listed()).keys() - set(known)


@asynccontextmanager
async def _alone(scene: Scene) -> AsyncIterator[None]:
    """Let nobody be connected to the database meanwhile."""
    await scene.site.stop("daemon")
    await scene.site.engine.dispose()
    await scene.end_connections()
    yield
    await scene.site.start_replica("daemon")


async def _let_in(scene: Scene, role: str) -> None:
    """Make a role that may read, and that we may log in as."""
    identities = scene.cluster.server.data.parent / "pg_ident.conf"
    with identities.open("a") as file:
        file.write(f'ours "{own_name()}" {role}\n')
    await scene.sql(
        f"DO $$ BEGIN CREATE ROLE {role} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        f"GRANT CREATE ON DATABASE {scene.database} TO {role}",
        *(f"GRANT SELECT ON {table} TO {role}" for table in _TABLES),
        "SELECT pg_reload_conf()",
    )


async def _set(scene: Scene, name: str, value: str) -> None:
    """Change a setting of the whole server."""
    await scene.sql(
        f"ALTER SYSTEM SET {name} = '{value}'", "SELECT pg_reload_conf()", database="postgres"
    )


async def _again_and_again(scene: Scene, act: Callable[[], Awaitable[None]]) -> None:
    for _ in range(6):
        await act()
        await scene.pause(0, 0.8)
