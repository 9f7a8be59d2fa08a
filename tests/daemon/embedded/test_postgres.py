"""The real server, started, stopped, killed, misled and restarted."""

# ruff: noqa: ASYNC220, ASYNC240  (a test may block: nothing else runs)

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import asyncpg
import pytest
from anyio import from_thread, to_thread
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from daemon.embedded import children, postgres
from daemon.embedded.binaries import SETTING, Binaries, find_binaries
from daemon.embedded.cluster import require_cluster
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.postgres import Server, embedded_postgres, running_postgres
from daemon.embedded.users import server_user
from tests.conftest import debians_postgres

pytestmark = pytest.mark.anyio
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
ROOT = Path(__file__).parents[3]
SERVE = Path(__file__).with_name("serve.py")


async def run(server: Server, *statements: str, database: str = "bridgetender") -> Any:
    """Return the last statement's first value."""
    connection = await asyncpg.connect(server.dsn(database))
    try:
        return [await connection.fetchval(statement) for statement in statements][-1]
    finally:
        await connection.close()


def wait_until_free(state: Path) -> None:
    """Return when no process of the server is left: each of them holds this lock."""
    with (state / "server.lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def is_free(state: Path) -> bool:
    with (state / "server.lock").open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def stopped_cleanly(state: Path) -> bool:
    """Tell whether the last words are those of a server with nothing to recover."""
    said = (state / "server.log").read_text()
    end = said[said.rindex(" shutdown request") :]
    return end.endswith("database system is shut down\n") and "checkpoint complete" in end


@contextmanager
def serving(state: Path, python: str = sys.executable, **options: int) -> Iterator[list[str]]:
    """Serve from another process; yield the words of its first line, then kill it."""
    packages = [str(ROOT), *(path for path in sys.path if path.endswith("site-packages"))]
    with subprocess.Popen(
        [python, "-W", "error", SERVE, state],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": ":".join(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        **options,  # type: ignore[call-overload]
    ) as parent:
        assert parent.stdout is not None
        try:
            yield parent.stdout.readline().split()
        finally:
            parent.kill()


def fake_binaries(directory: Path, version: str, initdb: str = "exit 0") -> Path:
    """Return a directory of programs that only pretend."""
    directory.mkdir()
    for name, script in {
        "postgres": f"echo postgres '(PostgreSQL)' {version}",
        "initdb": initdb,
    }.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return directory


async def test_a_first_start_makes_a_durable_local_utf8_database(home: Path) -> None:
    async with embedded_postgres(home / "a new state") as server:
        engine = create_async_engine(server.url())
        async with engine.connect() as connection:
            rows = await connection.execute(text("SELECT name, setting FROM pg_settings"))
            settings = {row.name: row.setting for row in rows}
            who = await connection.scalar(text("SELECT current_user || '@' || current_database()"))
        await engine.dispose()
    assert who == "bridgetender@bridgetender"
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "log_timezone": "UTC",
        "jit": "off",
    }
    assert {name: settings[name] for name in wanted} == wanted


async def test_letters_beyond_ascii_have_cases(state: Path) -> None:
    async with embedded_postgres(state) as server:
        assert await run(server, "SELECT upper('äß') || lower('Ж')") == "Äßж"


async def test_no_process_and_no_socket_is_left_after_a_stop(state: Path) -> None:
    async with embedded_postgres(state) as server:
        assert not is_free(state)
        assert server.pid == int((state / "data/postmaster.pid").read_text().split()[0])
    assert is_free(state)
    assert stopped_cleanly(state)
    assert server.child.returncode == 0
    assert list(server.socket.iterdir()) == []


def test_a_server_can_be_had_without_an_event_loop(state: Path) -> None:
    with running_postgres(state) as server:
        assert server.ready()
    assert is_free(state)


async def test_rows_outlive_a_stop(state: Path) -> None:
    async with embedded_postgres(state) as server:
        await run(server, "CREATE TABLE t AS SELECT 7 AS x")
    async with embedded_postgres(state) as server:
        assert await run(server, "SELECT x FROM t") == 7


async def test_committed_rows_outlive_a_crash_of_the_server(state: Path) -> None:
    async with embedded_postgres(state) as server:
        await run(server, "CREATE TABLE t (x int)", "INSERT INTO t VALUES (7)")
        server.kill()
        assert await server.wait() == 137
    assert (state / "data/postmaster.pid").exists()
    async with embedded_postgres(state) as server:
        assert await run(server, "SELECT x FROM t") == 7


async def test_the_server_stops_cleanly_when_its_parent_is_killed(state: Path) -> None:
    with serving(state) as (_, pid):
        assert int(pid) == int((state / "data/postmaster.pid").read_text().split()[0])
    await to_thread.run_sync(wait_until_free, state)
    assert stopped_cleanly(state)
    assert not (state / "data/postmaster.pid").exists()


async def test_a_start_waits_for_the_server_of_a_killed_parent(state: Path) -> None:
    with serving(state):
        pass
    async with embedded_postgres(state) as server:
        assert await run(server, "SELECT 1") == 1


async def test_a_second_start_on_the_same_directory_is_refused(state: Path) -> None:
    async with embedded_postgres(state) as server:
        with pytest.raises(EmbeddedError, match=f"{state} is in use by process {os.getpid()}: "):
            async with embedded_postgres(state):
                pass
        assert await run(server, "SELECT 1") == 1


async def test_a_server_that_somebody_else_started_is_left_alone(state: Path) -> None:
    async with embedded_postgres(state) as server:
        (state / "owner.lock").unlink()
        (state / "server.lock").unlink()
        with pytest.raises(EmbeddedError, match=rf"not ours \(process {server.pid}\): stop it"):
            async with embedded_postgres(state):
                pass
        assert await run(server, "SELECT 1") == 1


async def test_a_recorded_number_that_now_belongs_to_another_process_is_no_obstacle(
    state: Path,
) -> None:
    user = server_user()
    uid = user.uid if user else os.geteuid()
    with subprocess.Popen(["sleep", "1000"], user=uid) as stranger:
        try:
            for name in ("data/postmaster.pid", "run/.s.PGSQL.5432.lock"):
                (state / name).write_text(f"{stranger.pid}\n{state / 'data'}\n1\n5432\n")
                os.chown(state / name, uid, -1)
            async with embedded_postgres(state) as server:
                assert await run(server, "SELECT 1") == 1
        finally:
            stranger.kill()


async def test_databases_are_made_from_templates_and_dropped(state: Path) -> None:
    async with embedded_postgres(state) as server:
        await server.create_database("mould")
        await run(server, "CREATE TABLE t AS SELECT 7 AS x", database="mould")
        await server.create_database('a "cast"', template="mould")
        assert await run(server, "SELECT x FROM t", database='a "cast"') == 7
        await server.drop_database('a "cast"')
        await server.drop_database('a "cast"')
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await run(server, "SELECT 1", database='a "cast"')


@pytest.mark.parametrize("name", ["with blanks", "ünï+c%de", "long" * 30, "with,comma:colon"])
async def test_any_path_will_do(state: Path, name: str) -> None:
    elsewhere = state.rename(state.with_name(name))
    async with embedded_postgres(elsewhere) as server:
        engine = create_async_engine(server.url())
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()
        assert await run(server, "SELECT 1") == 1
    assert server.socket.exists() == (server.socket.parent == elsewhere)


async def test_a_socket_directory_can_be_chosen(state: Path, home: Path) -> None:
    async with embedded_postgres(state, socket_directory=home / "s") as server:
        assert server.socket == home / "s"
        assert await run(server, "SELECT 1") == 1
    with pytest.raises(EmbeddedError, match="too long or holds"):
        async with embedded_postgres(state, socket_directory=home / ("s" * 100)):
            pass


async def test_a_socket_directory_that_others_can_write_is_refused(state: Path, home: Path) -> None:
    (home / "open").mkdir()
    (home / "open").chmod(0o777)
    with pytest.raises(EmbeddedError, match="only its owner, our own user, can write"):
        async with embedded_postgres(state, socket_directory=home / "open"):
            pass


async def test_another_major_version_is_refused_with_the_way_out(state: Path, home: Path) -> None:
    major = find_binaries().major
    other = fake_binaries(home / "bin", f"{major + 1}.2")
    words = f"made by PostgreSQL {major} and .* holds {major + 1}.2: set {SETTING} to programs of"
    with pytest.raises(EmbeddedError, match=words):
        async with embedded_postgres(state, binaries=other):
            pass


async def test_half_of_a_cluster_is_made_anew(home: Path) -> None:
    (home / "state/data.making/base").mkdir(parents=True)
    (home / "state/data.making/PG_VERSION").write_text("18\n")
    (home / "state").chmod(0o711)
    async with embedded_postgres(home / "state") as server:
        assert await run(server, "SELECT 1") == 1
    assert not (home / "state/data.making").exists()


async def test_a_failed_first_start_says_why_and_does_not_spoil_the_next(home: Path) -> None:
    full = fake_binaries(home / "bin", "18.6", "echo could not write: No space left >&2; exit 1")
    with pytest.raises(EmbeddedError, match="initdb failed: could not write: No space left"):
        async with embedded_postgres(home / "state", binaries=full):
            pass
    assert not (home / "state/data").exists()
    assert is_free(home / "state")


async def test_a_start_that_fails_says_the_logs_last_words(state: Path) -> None:
    with (state / "data/postgresql.conf").open("a") as settings:
        settings.write("no_such_thing = 1\n")
    with pytest.raises(EmbeddedError, match=r'did not start: .*parameter "no_such_thing"'):
        async with embedded_postgres(state):
            pass
    assert is_free(state)


async def test_a_directory_of_something_else_is_left_alone(home: Path) -> None:
    (home / "state/data").mkdir(parents=True)
    (home / "state").chmod(0o711)
    (home / "state/data/thesis.tex").write_text("years of work")
    with pytest.raises(EmbeddedError, match="data is not a database of PostgreSQL: move it away"):
        async with embedded_postgres(home / "state"):
            pass
    assert (home / "state/data/thesis.tex").exists()


async def test_a_file_where_a_directory_should_be_is_named(home: Path) -> None:
    (home / "state").write_text("")
    with pytest.raises(EmbeddedError, match=f"PostgreSQL cannot use {home}/state: .*irectory"):
        async with embedded_postgres(home / "state"):
            pass


async def test_a_start_that_is_given_up_leaves_no_process(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.CancelScope() as scope:

        def find_and_give_up(configured: Path | None) -> Binaries:
            from_thread.run_sync(scope.cancel)
            return find_binaries(configured)

        monkeypatch.setattr(postgres, "find_binaries", find_and_give_up)
        async with embedded_postgres(state):
            pytest.fail("this start was given up")
    assert scope.cancelled_caught
    assert stopped_cleanly(state)
    assert is_free(state)


async def test_the_server_knows_none_of_our_secrets(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_KEY", "s3cret")
    async with embedded_postgres(state) as server:
        said = await run(server, f"SELECT pg_read_binary_file('/proc/{server.pid}/environ')")
    assert b"PATH=" in said
    assert b"s3cret" not in said


async def test_a_log_that_grew_large_starts_anew(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "LOG_LIMIT", 10)
    (state / "server.log").write_text("from long ago\n")
    async with embedded_postgres(state) as server:
        assert "from long ago" not in server.log.read_text()
    assert (state / "server.log.1").read_text() == "from long ago\n"


async def test_an_older_system_server_serves_too(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = debians_postgres()
    monkeypatch.setenv(SETTING, str(programs))
    async with embedded_postgres(home / "state") as server:
        assert server.binaries.major == int(programs.parent.name)
        assert await run(server, "SELECT pg_encoding_to_char(6)") == "UTF8"


def test_a_setting_that_names_no_programs_is_refused(home: Path) -> None:
    with pytest.raises(EmbeddedError, match=f"{SETTING} names {home}, which holds no initdb"):
        find_binaries(home)


@as_root
async def test_root_lends_the_server_another_user(state: Path) -> None:
    user = server_user()
    assert user
    async with embedded_postgres(state) as server:
        assert Path(f"/proc/{server.pid}").stat().st_uid == user.uid
        assert (state / "data").stat().st_uid == user.uid


@as_root
async def test_a_directory_that_user_cannot_enter_is_named_and_left_as_it_is(home: Path) -> None:
    (home / "closed").mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"who cannot enter {home}/closed: choose"):
        async with embedded_postgres(home / "closed/a/b"):
            pass
    assert (home / "closed").stat().st_mode & 0o777 == 0o700
    assert list((home / "closed").iterdir()) == []


@as_root
async def test_programs_that_user_cannot_reach_are_copied_once(state: Path, home: Path) -> None:
    package = find_binaries().directory.parents[1]
    closed = home / "closed" / package.name
    closed.parent.mkdir(mode=0o700)
    shutil.copytree(package, closed)
    shutil.copytree(f"{package}.libs", f"{closed}.libs")
    copies = []
    for _ in range(2):
        async with embedded_postgres(state, binaries=closed / "pginstall/bin") as server:
            assert await run(server, "SELECT 1") == 1
            copies.append(server.binaries.directory.stat())
    assert server.binaries.directory.is_relative_to(state)
    assert copies[0] == copies[1]
    assert closed.parent.stat().st_mode & 0o777 == 0o700
    require_cluster(home / "data", server.binaries, server_user(), 0)  # initdb finds its libraries


@as_root
def test_an_ordinary_user_needs_nobody_else(home: Path) -> None:
    python = shutil.which("python3", path="/usr/bin")
    if python is None or sys.version_info[:2] != _version(python):
        pytest.skip("this test needs a Python like ours that others may run")
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    with serving(home / "state", python, user=nobody.pw_uid, group=nobody.pw_gid) as (url, pid):
        assert url.startswith("postgresql+asyncpg://bridgetender@/bridgetender?host=")
        assert Path(f"/proc/{pid}").stat().st_uid == nobody.pw_uid
    wait_until_free(home / "state")
    assert (home / "state").stat().st_mode & 0o777 == 0o700
    assert stopped_cleanly(home / "state")


def _version(python: str) -> tuple[int, ...]:
    said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:2])"])
    return tuple(map(int, said.split()))
