import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli import asking
from daemon.cli.exits import Code
from daemon.store.people import People
from reconciler.model import ClientId, KeyId, Phase, Reason

pytestmark = pytest.mark.anyio


async def test_a_client_is_added_and_listed_with_its_account(cli: Any) -> None:
    added = json.loads((await cli("clients", "add", "Acme Capital", "--json")).stdout)
    assert added["account"] == "client_acme_capital"
    await cli("clients", "add", "Søren & Söhne (O'Brien)", "--account", "desk-7")
    listed = json.loads((await cli("clients", "list", "--json")).stdout)["clients"]
    assert [(c["name"], c["account"], c["keys"], c["status"]) for c in listed] == [
        ("Acme Capital", "client_acme_capital", 0, "ACTIVE"),
        ("Søren & Söhne (O'Brien)", "desk-7", 0, "ACTIVE"),
    ]
    assert listed[0]["id"] == added["id"]
    heading, *lines = (await cli("clients", "list")).stdout.splitlines()
    assert heading.split() == ["CLIENT", "STATUS", "KEYS", "ACCOUNT", "ID"]
    assert [line.index("active") for line in lines] == [heading.index("STATUS")] * 2


async def test_the_name_of_a_client_is_given_only_once(
    cli: Any, people: People, acme: ClientId
) -> None:
    result = await cli("clients", "add", " Acme Capital ")
    assert result.exit_code == Code.USAGE
    assert f"name: there is a client 'Acme Capital' already, {acme}" in result.output
    assert len(await people.clients()) == 1


@pytest.mark.usefixtures("acme")
async def test_two_clients_that_would_meet_in_one_account_are_warned_of(cli: Any) -> None:
    result = await cli("clients", "add", "ACME capital")
    assert result.exit_code == Code.OK
    assert "Acme Capital has account 'client_acme_capital' too" in result.stderr


@pytest.mark.parametrize("name", ["A/B", "x" * 194])
async def test_a_name_that_makes_no_account_needs_one(cli: Any, people: People, name: str) -> None:
    result = await cli("clients", "add", name)
    assert result.exit_code == Code.USAGE
    assert "give it another account" in result.output
    assert await people.clients() == []
    assert (await cli("clients", "add", name, "--account", "desk")).exit_code == Code.OK


async def test_a_name_of_the_field_cannot_move_the_cursor(cli: Any, people: People) -> None:
    await people.add_client("evil\x1b[2J\r\nname")
    printed = (await cli("clients", "list")).stdout
    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 2


async def test_a_client_is_shown_with_where_its_keys_stand(
    cli: Any, daemon: Any, people: People, key: KeyId, sealed: Callable[..., Any]
) -> None:
    other = await people.add_client("Birch")
    await people.add_key(other, sealed("okx"))
    await daemon.hold()
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    told = json.loads((await cli("clients", "show", "Acme Capital", "--json")).stdout)
    assert told["client"]["account"] == "client_acme_capital"
    assert [(k["key_id"], k["phase"]) for k in told["keys"]] == [(str(key), "live")]
    printed = (await cli("clients", "show", "Acme Capital")).stdout
    assert "active, account client_acme_capital" in printed
    assert str(key) in printed
    assert "okx" not in printed


@pytest.mark.parametrize("status", ["active", "paused", "suspended"])
@pytest.mark.parametrize("enum", [False, True])
async def test_a_status_is_set_whatever_its_column_is(
    cli: Any, people: People, engine: AsyncEngine, acme: ClientId, *, status: str, enum: bool
) -> None:
    if enum:
        async with engine.begin() as connection:
            for statement in AS_ENUM:
                await connection.exec_driver_sql(statement)
    result = await cli("clients", "set-status", "Acme Capital", status)
    assert result.exit_code == Code.OK, result.output
    assert f"Client Acme Capital is {status}: " in result.stdout
    (client,) = await people.clients()
    assert (client.id, client.status) == (acme, status.upper())


AS_ENUM = (
    "CREATE TYPE client_status AS ENUM ('ACTIVE', 'PAUSED', 'SUSPENDED')",
    "ALTER TABLE clients DROP CONSTRAINT clients_status_check, ALTER status DROP DEFAULT",
    "ALTER TABLE clients ALTER status TYPE client_status USING status::client_status",
)


@pytest.mark.usefixtures("acme")
async def test_a_status_that_there_is_not_names_those_that_there_are(cli: Any) -> None:
    result = await cli("clients", "set-status", "Acme Capital", "retired")
    assert result.exit_code == Code.USAGE
    for status in ("active", "paused", "suspended"):
        assert status in result.output


async def _filed(people: People) -> list[tuple[str, str]]:
    return [(client.name, client.account) for client in await people.clients()]


@pytest.mark.usefixtures("acme")
async def test_a_renamed_client_keeps_its_account_unless_it_is_to_move(
    cli: Any, people: People
) -> None:
    await cli("clients", "rename", "Acme Capital", "Blue Sky")
    assert await _filed(people) == [("Blue Sky", "client_acme_capital")]
    await cli("clients", "rename", "Blue Sky", "Acme Capital")
    assert await _filed(people) == [("Acme Capital", "client_acme_capital")]
    result = await cli("clients", "rename", "Acme Capital", "B", "--move", "--json")
    assert json.loads(result.stdout)["account"] == "client_b"
    assert await _filed(people) == [("B", "client_b")]


@pytest.mark.usefixtures("acme")
async def test_a_client_cannot_be_given_anothers_name(cli: Any, people: People) -> None:
    await people.add_client("Birch")
    result = await cli("clients", "rename", "Birch", "Acme Capital")
    assert result.exit_code == Code.USAGE
    assert "there is a client 'Acme Capital' already" in result.output
    assert ("Birch", "client_birch") in await _filed(people)


async def test_another_account_is_set_beside_other_settings_and_taken_back(
    cli: Any, people: People, engine: AsyncEngine
) -> None:
    await people.add_client("Acme", {"theme": "dark", "bridge_account": "old"})
    await people.add_client("Birch", {"bridge_account": "desk"})
    result = await cli("clients", "set-account", "Acme", "desk")
    assert result.exit_code == Code.OK
    assert "Birch has account 'desk' too" in result.stderr
    assert ("Acme", "desk") in await _filed(people)
    await cli("clients", "set-account", "Acme")
    assert ("Acme", "client_acme") in await _filed(people)
    async with engine.connect() as connection:
        rows = await connection.exec_driver_sql("SELECT settings FROM clients WHERE name = 'Acme'")
        assert rows.scalar_one() == {"theme": "dark"}


async def test_a_client_is_deleted_with_its_keys_after_a_yes(
    cli: Any, people: People, acme: ClientId, key: KeyId, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = await cli("clients", "delete", "Acme Capital")
    assert asked.exit_code == Code.USAGE
    assert "say --yes" in asked.output
    monkeypatch.setattr(asking, "on_terminal", lambda: True)
    declined = await cli("clients", "delete", "Acme Capital", input="n\n")
    assert "Delete client Acme Capital and its 1 key(s) for good?" in declined.output
    assert [row.id for row in await people.keys()] == [key]
    done = await cli("clients", "delete", "Acme Capital", "--yes", "--json")
    assert json.loads(done.stdout) == {"id": str(acme), "deleted": True, "keys": 1}
    assert (await people.clients(), await people.keys()) == ([], [])
    assert (await cli("clients", "delete", "Acme Capital", "-y")).exit_code == Code.NOT_FOUND
