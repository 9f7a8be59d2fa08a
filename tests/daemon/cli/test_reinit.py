import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.store.people import People
from reconciler.model import ClientId, KeyId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def keys(
    people: People, acme: ClientId, key: KeyId, sealed: Callable[..., Any]
) -> list[KeyId]:
    """Three active ones, the last of another client, and one that is not active."""
    birch = await people.add_client("Birch")
    more = [(acme, sealed("okx")), (birch, sealed("kraken")), (birch, sealed(is_active=False))]
    return [key, *[await people.add_key(client, entry) for client, entry in more]]


async def _wishes(engine: AsyncEngine) -> set[KeyId]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT key_id FROM bridgetender.wishes"))
        return set(rows.scalars())


@pytest.mark.parametrize(
    ("who", "wished"), [("--all", [0, 1, 2]), ("--client", [0, 1]), ("--key", [1])]
)
async def test_a_wish_is_written_for_every_active_key_asked_for(
    cli: Any, engine: AsyncEngine, keys: list[KeyId], who: str, wished: list[int]
) -> None:
    whom = {"--all": [], "--client": ["Acme Capital"], "--key": [str(keys[1])[:13]]}[who]
    result = await cli("reinit", who, *whom, "--json")
    assert result.exit_code == Code.OK
    assert json.loads(result.stdout) == {"asked_for": len(wished), "without_holder": ["main"]}
    assert await _wishes(engine) == {keys[number] for number in wished}


@pytest.mark.usefixtures("key")
async def test_it_is_said_whether_a_daemon_is_there_to_do_it(cli: Any, daemon: Any) -> None:
    alone = await cli("reinit", "--all")
    await daemon.hold()
    held = await cli("reinit", "--all")
    assert "Warning: no daemon holds the bridge 'main'" in alone.stderr
    assert held.stderr == ""
    assert (
        alone.stdout == held.stdout == "1 active key(s) will be initialized again, by the daemon.\n"
    )


async def test_a_disabled_key_is_not_wished_for(
    cli: Any, engine: AsyncEngine, keys: list[KeyId]
) -> None:
    result = await cli("reinit", "--key", str(keys[3]))
    assert result.exit_code == Code.USAGE
    assert f"bridgetender keys enable {keys[3]}" in result.output
    assert await _wishes(engine) == set()


@pytest.mark.parametrize("args", [[], ["--all", "--client", "x"], ["--key", "a", "--client", "x"]])
async def test_exactly_one_of_key_client_and_all_is_said(cli: Any, args: list[str]) -> None:
    result = await cli("reinit", *args)
    assert result.exit_code == Code.USAGE
    assert "say one of --key, --client and --all" in result.output
