import subprocess
import sys
from typing import Any

import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from daemon.cli import version
from daemon.cli.app import COMMANDS, app
from daemon.cli.exits import MEANINGS, Code
from daemon.embedded.postgres import Server

pytestmark = pytest.mark.anyio
HEAVY = {
    *("sqlalchemy", "asyncpg", "alembic", "httpx", "aiohttp", "cryptography"),
    *("rich.console", "structlog", "ccxt"),
}


def _in_a_fresh_process(*args: str) -> str:
    program = (
        "import sys\nfrom daemon.cli import main\ntry: main()\n"
        f"finally: sys.stderr.write(' '.join({HEAVY!r} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *args], capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("args", [["--help"], ["version"]])
def test_help_and_version_wait_for_nothing_heavy(args: list[str]) -> None:
    assert _in_a_fresh_process(*args) == ""


def test_help_names_every_command_and_every_exit_code() -> None:
    printed = CliRunner().invoke(app, ["--help"]).output
    for name in COMMANDS:
        assert f"\n  {name} " in printed
    for code, meaning in MEANINGS.items():
        assert f"{code:>3}  {meaning}\n" in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(name: str) -> None:
    result = CliRunner().invoke(app, [name, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert f"{name} " in result.output


def test_a_wrong_command_is_a_usage_error_that_names_the_nearest() -> None:
    result = CliRunner().invoke(app, ["statsu"])
    assert result.exit_code == Code.USAGE
    assert "Did you mean 'status'" in result.output


def test_a_new_key_is_a_fernet_key_and_never_the_same() -> None:
    first, second = (CliRunner().invoke(app, ["new-key"]).output.strip() for _ in range(2))
    assert first != second
    Fernet(first)


def test_an_unexpected_error_is_a_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = _crash(monkeypatch, {})
    assert result.exit_code == Code.BUG
    assert "Traceback" not in result.output
    assert "unexpected ZeroDivisionError" in result.output
    assert "BRIDGETENDER_DEBUG=1" in result.output


def test_the_traceback_that_was_asked_for_is_scrubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = _crash(monkeypatch, {"BRIDGETENDER_DEBUG": "1"})
    assert result.exit_code == Code.BUG
    assert "Traceback" in result.output
    assert "0af1b2c3" not in result.output


def _crash(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    def crash(_: object) -> None:
        raise ZeroDivisionError("GET https://x.example/order?signature=0af1b2c3")

    monkeypatch.setattr(version, "say", crash)
    return CliRunner().invoke(app, ["version"], env=environment, catch_exceptions=False)


def test_an_interrupt_has_the_exit_code_that_shells_expect(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(version, "say", interrupt)
    assert CliRunner().invoke(app, ["version"]).exit_code == Code.INTERRUPTED


def test_run_and_the_module_are_the_same_and_name_every_wrong_setting() -> None:
    wrong = {"DATABASE_URL": "x", "ENCRYPTION_KEY": "x", "TRADING_BRIDGE_URL": "x"}
    for command in (["-c", "from daemon.cli import main; main()", "run"], ["-m", "daemon"]):
        done = subprocess.run(
            [sys.executable, *command], capture_output=True, text=True, check=False, env=wrong
        )
        assert done.returncode == Code.USAGE
        for name in wrong:
            assert f"bridgetender: {name}: " in done.stderr
        assert "Traceback" not in done.stderr


def test_the_module_starts_no_daemon_for_who_meant_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "status"],
        capture_output=True,
        text=True,
        check=False,
        env={},
        timeout=60,
    )
    assert done.returncode == Code.USAGE
    assert "try 'bridgetender status'" in done.stderr


NEEDS = {
    ("migrate",): {"DATABASE_URL"},
    ("status",): {"DATABASE_URL"},
    ("clients", "list"): {"DATABASE_URL"},
    ("clients", "add", "Acme"): {"DATABASE_URL"},
    ("keys", "list"): {"DATABASE_URL", "ENCRYPTION_KEY"},
    ("keys", "add", "Acme", "okx"): {"DATABASE_URL", "ENCRYPTION_KEY"},
    ("keys", "delete", "01234567"): {"DATABASE_URL"},
    ("keys", "replace", "01234567"): {"DATABASE_URL", "ENCRYPTION_KEY"},
    ("keys", "relabel", "01234567"): {"DATABASE_URL"},
    ("clients", "show", "Acme"): {"DATABASE_URL"},
    ("clients", "delete", "Acme"): {"DATABASE_URL"},
    ("reinit", "--all"): {"DATABASE_URL"},
    ("pause", "--all"): {"DATABASE_URL"},
    ("reconcile", "--once"): {"DATABASE_URL", "ENCRYPTION_KEY"},
    ("rotate",): {"DATABASE_URL", "ENCRYPTION_KEY"},
    ("resume", "--all"): {"DATABASE_URL"},
    ("plan",): {"DATABASE_URL"},
    ("history",): {"DATABASE_URL"},
    ("explain", "01234567"): {"DATABASE_URL", "ENCRYPTION_KEY"},
}


@pytest.mark.parametrize("args", NEEDS, ids=" ".join)
def test_a_command_names_all_settings_that_it_misses_and_no_other(args: tuple[str, ...]) -> None:
    names = ("DATABASE_URL", "ENCRYPTION_KEY", "TRADING_BRIDGE_URL")
    result = CliRunner().invoke(app, args, env=dict.fromkeys(names), catch_exceptions=False)
    assert result.exit_code == Code.USAGE
    assert {name for name in names if name in result.output} == NEEDS[args]


AWAY = {
    "postgresql://user:hunter2@127.0.0.1:1/shop": ("127.0.0.1:1", "'shop'", "'user'"),
    "postgresql://user:hunter2@/shop?host=/nowhere": ("socket /nowhere", "'shop'", "'user'"),
    "postgresql://user:hunter2@no-such-host.invalid/shop": ("no-such-host.invalid:5432",),
}


@pytest.mark.parametrize("url", AWAY)
@pytest.mark.parametrize("command", ["migrate", "status"])
def test_a_database_that_is_away_is_said_with_what_was_tried(url: str, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from daemon.cli import main; main()", command],
        capture_output=True,
        text=True,
        check=False,
        env={"DATABASE_URL": url},
    )
    assert done.returncode == Code.DATABASE
    for part in (*AWAY[url], "the database does not let us in", "check that it runs"):
        assert part in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_database_that_is_not_there_or_not_migrated_says_which(
    cli: Any, postgres: Server
) -> None:
    missing = await cli("status", DATABASE_URL=postgres.url("no_such_database"))
    assert missing.exit_code == Code.DATABASE
    assert '"no_such_database" does not exist' in missing.output
    await postgres.create_database("not_migrated")
    bare = await cli("status", DATABASE_URL=postgres.url("not_migrated"))
    assert bare.exit_code == Code.DATABASE
    assert "run 'bridgetender migrate'" in bare.output
    await postgres.drop_database("not_migrated")


async def test_a_url_that_is_none_of_postgresql_is_a_wrong_setting(cli: Any) -> None:
    result = await cli("status", DATABASE_URL="mysql://root:hunter2@localhost/shop")
    assert result.exit_code == Code.USAGE
    assert "DATABASE_URL: is not a PostgreSQL URL" in result.output
    assert "hunter2" not in result.output


async def test_migrate_says_from_where_to_where_and_may_be_repeated(
    cli: Any, postgres: Server
) -> None:
    await postgres.create_database("to_migrate")
    url = postgres.url("to_migrate")
    first = await cli("migrate", DATABASE_URL=url)
    again = await cli("migrate", "--json", DATABASE_URL=url)
    assert first.output.startswith("Migrated the schema: nothing -> 0")
    assert '"changed": false' in again.output
    assert first.exit_code == again.exit_code == Code.OK
    await postgres.drop_database("to_migrate")


async def test_an_error_holds_no_escape_sequences(cli: Any) -> None:
    result = await cli("keys", "disable", "\x1b[2Jevil")
    assert "\x1b" not in result.output
