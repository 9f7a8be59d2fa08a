import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.cli.who import user
from daemon.store.audit import Audit
from daemon.store.leases import PostgresLeases
from daemon.store.routes import write_routes
from daemon.vault import Keyring, new_key
from daemon.wiring import open_vault
from reconciler.model import BridgeName
from reconciler.routes import MAIN, Routes
from tests.daemon.bridges.wire import Reply, Said, serving

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("bridge")
async def test_when_everything_answers_all_is_well(cli: Any) -> None:
    result = await cli("config", "check")
    assert result.exit_code == Code.OK, result.output
    assert result.stdout.endswith("All is well.\n")
    assert "answers, and lists 0 connector(s)" in result.stdout


async def test_offline_only_the_settings_are_looked_at(cli: Any) -> None:
    nowhere = "postgresql://user:hunter2@127.0.0.1:1/shop"
    result = await cli("config", "check", "--offline", DATABASE_URL=nowhere)
    assert result.exit_code == Code.OK
    assert "hunter2" not in result.output


async def test_every_wrong_setting_is_named_and_nothing_is_asked(cli: Any) -> None:
    wrong = {"DATABASE_URL": "mysql://root:hunter2@localhost/x", "ENCRYPTION_KEY": "hunter2"}
    result = await cli("config", "check", **wrong, TRADING_BRIDGE_URL="ftp://b")
    assert result.exit_code == Code.USAGE
    for name in ("DATABASE_URL: ", "ENCRYPTION_KEY: ", "TRADING_BRIDGE_URL: "):
        assert name in result.stderr
    assert "hunter2" not in result.output


async def test_a_variable_that_sets_nothing_is_a_warning(cli: Any) -> None:
    result = await cli("config", "check", "--offline", BRIDGETENDER_HELTH_PORT="1")
    assert result.exit_code == Code.OK
    assert "did you mean BRIDGETENDER_HEALTH_PORT?" in result.stderr


TLS = {"TRADING_BRIDGE_URL": "https://127.0.0.1:1"}


@pytest.mark.parametrize("content", [None, "not a certificate"])
async def test_a_certificate_file_that_will_not_do_is_named(
    cli: Any, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    files = {"TRADING_BRIDGE_CA_FILE": str(file), "BRIDGETENDER_WEBHOOK_CA_FILE": str(file)}
    result = await cli("config", "check", **TLS, **files)
    assert result.exit_code == Code.USAGE
    assert f"bridge 'main': ca_file: '{file}'" in result.stderr
    assert f"webhook_ca_file: '{file}'" in result.stderr


async def test_a_database_that_is_away_comes_with_what_to_check(cli: Any) -> None:
    nowhere = "postgresql://user:hunter2@127.0.0.1:1/shop"
    result = await cli("config", "check", "--json", DATABASE_URL=nowhere)
    assert result.exit_code == Code.DATABASE
    database = next(c for c in json.loads(result.stdout)["checks"] if c["name"] == "database")
    assert "check that it runs there" in database["found"]


@pytest.mark.usefixtures("bridge")
async def test_an_encryption_key_of_another_installation_is_told(
    cli: Any, engine: AsyncEngine
) -> None:
    await open_vault(engine, Keyring([new_key()]))
    result = await cli("config", "check")
    assert result.exit_code == Code.USAGE
    assert "ENCRYPTION_KEY is not the one that this database was set up with" in result.stdout


ANSWERS: dict[str, tuple[Said, str]] = {
    "redirect": (
        Reply(307, headers={"Location": "https://elsewhere.example/x"}),
        "redirect to elsewhere.example not followed, set the bridge's final URL",
    ),
    "html": (
        Reply(200, b"<html>Welcome</html>"),
        "not a listing: check that its URL is that of a Trading Bridge",
    ),
    "auth": (Reply(401, b"{}"), "refuses our token: check it, or its user and password"),
    "nothing there": (Reply(404, b"{}"), "there is no Trading Bridge at this URL"),
}


@pytest.mark.parametrize("kind", ANSWERS)
async def test_a_bridge_that_is_none_or_does_not_let_us_in_is_a_sentence_that_says_what_to_do(
    cli: Any, kind: str
) -> None:
    answer, expected = ANSWERS[kind]
    async with serving(lambda _: answer) as url:
        result = await cli("config", "check", TRADING_BRIDGE_URL=url)
    assert result.exit_code == Code.BRIDGE
    assert expected in result.stdout


async def test_the_state_directory_of_the_file_is_where_commands_look_too(
    cli: Any, tmp_path: Path
) -> None:
    state, file = tmp_path / "state", tmp_path / "config.toml"
    (state / "postgres" / "data").mkdir(parents=True)
    file.write_text(f"state_dir = '{state}'\n")
    bare = dict.fromkeys(("DATABASE_URL", "ENCRYPTION_KEY", "BRIDGETENDER_STATE_DIR"))
    result = await cli("status", **bare, BRIDGETENDER_CONFIG=str(file))
    assert result.exit_code == Code.DATABASE
    assert f"the embedded database in {state} does not run" in result.stderr


@pytest.mark.usefixtures("bridge")
async def test_rules_that_are_not_those_in_force_are_told(cli: Any, engine: AsyncEngine) -> None:
    await write_routes(engine, Routes(MAIN, {}, {"okx": BridgeName("second")}))
    result = await cli("config", "check")
    assert result.exit_code == Code.USAGE
    assert "First trouble: rules: others are in force" in result.stdout


async def test_a_bridge_that_is_gone_for_good_can_be_forgotten(
    cli: Any, engine: AsyncEngine
) -> None:
    unknown = await cli("config", "forget-bridge", "second", "--yes")
    assert unknown.exit_code == Code.NOT_FOUND
    await write_routes(engine, Routes(MAIN))
    leases = PostgresLeases(engine, "gone", timedelta(0))
    assert await leases.acquire(BridgeName("second"))
    forgotten = await cli("config", "forget-bridge", "second", "--yes")
    assert forgotten.exit_code == Code.OK
    assert "Forgot the bridge 'second' and 0 connector(s)" in forgotten.stdout
    (deed,) = await Audit(engine).newest(1)
    assert (deed.actor, deed.role, deed.action) == (user(), "operator", "bridge_forgotten")
    assert deed.detail == {"bridge": "second", "connectors": 0}


async def test_before_the_first_run_a_database_and_a_bridge_of_our_own_are_no_trouble(
    cli: Any, tmp_path: Path
) -> None:
    bare = dict.fromkeys(("DATABASE_URL", "ENCRYPTION_KEY", "TRADING_BRIDGE_URL"))
    bare["BRIDGETENDER_STATE_DIR"] = str(tmp_path)
    result = await cli("config", "check", **bare)
    assert "made when 'bridgetender run' first runs" in result.stdout
    assert "started when 'bridgetender run' first runs" in result.stdout
    assert result.exit_code == Code.OK
    (tmp_path / "bridge.log").touch()
    result = await cli("config", "check", **bare)
    assert "it is our own, and runs while 'bridgetender run' does" in result.stdout
    assert result.exit_code == Code.BRIDGE
