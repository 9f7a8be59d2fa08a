import json
from typing import Any

import pytest

from daemon.cli.exits import Code
from daemon.store.people import People
from reconciler.model import ClientId

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
    assert "give another with --account" in result.output
    assert await people.clients() == []
    assert (await cli("clients", "add", name, "--account", "desk")).exit_code == Code.OK


async def test_a_name_of_the_field_cannot_move_the_cursor(cli: Any, people: People) -> None:
    await people.add_client("evil\x1b[2J\r\nname")
    printed = (await cli("clients", "list")).stdout
    assert "\x1b" not in printed
    assert len(printed.splitlines()) == 2
