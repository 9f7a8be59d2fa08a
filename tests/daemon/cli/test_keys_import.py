import getpass
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.store.audit import Audit
from daemon.store.people import People
from reconciler.model import ClientId
from tests.daemon.cli.conftest import API_KEY, API_SECRET

pytestmark = pytest.mark.anyio
CSV = f"""client,exchange,api_key,api_secret,label
Acme Capital,binance,{API_KEY},{API_SECRET},desk 1
Acme Capital,okx,{API_KEY},,desk 2
Nobody,okx,{API_KEY},{API_SECRET},desk 2
Acme Capital,binance,{API_KEY},{API_SECRET},desk 3
"""


async def test_a_file_is_imported_row_by_row_with_a_report(
    cli: Any, engine: AsyncEngine, people: People, acme: ClientId, tmp_path: Path
) -> None:
    (file := tmp_path / "keys.csv").write_text(CSV)
    tried = await cli("keys", "import", str(file), "--dry-run")
    assert tried.exit_code == Code.UNSETTLED
    assert "1 to be added, 2 not usable, 1 there already" in tried.stdout
    assert await people.keys() == []

    done = await cli("keys", "import", str(file))
    assert done.exit_code == Code.UNSETTLED
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [words[0] for words in lines] == ["ROW", "2", "3", "4", "1"]
    assert "api_secret: is missing" in done.stdout
    assert "the same as row 1" in done.stdout
    assert "Nobody" not in done.stdout  # it might have been a secret
    assert [(key.client_id, key.exchange, key.label) for key in await people.keys()] == [
        (acme, "binance", "desk 1")
    ]
    (deed,) = [each for each in await Audit(engine).newest(10) if each.action == "key_added"]
    assert (deed.actor, deed.role) == (getpass.getuser(), "operator")


async def test_json_comes_by_stdin_for_one_client_and_a_report_goes_out(
    cli: Any, people: People, acme: ClientId
) -> None:
    rows = [
        {"exchange": name, "api_key": API_KEY, "api_secret": API_SECRET}
        for name in ("okx", "bybit")
    ]
    words = ("keys", "import", "-", "--client", "Acme Capital", "--json")
    for state in ("added", "duplicate"):
        result = await cli(*words, input=json.dumps(rows))
        assert result.exit_code == Code.OK
        told = json.loads(result.stdout)
        assert told["counts"] == {state: 2}
        assert [(row["row"], row["state"]) for row in told["rows"]] == [(1, state), (2, state)]
    assert len(await people.keys(acme)) == 2


@pytest.mark.usefixtures("acme")
async def test_what_is_no_file_of_keys_is_refused_and_nothing_stored(
    cli: Any, people: People, tmp_path: Path
) -> None:
    for words, data, said in (
        (("-",), b"", "is empty"),
        (("-",), b"\xff", "is not UTF-8"),
        (("/nowhere/keys.csv",), b"", "cannot be read"),
    ):
        result = await cli("keys", "import", *words, input=data)
        assert result.exit_code == Code.USAGE
        assert said in result.output
    missing = await cli("keys", "import", "-", "--client", "Nobody", input=CSV)
    assert missing.exit_code == Code.NOT_FOUND
    assert await people.keys() == []
    del tmp_path
