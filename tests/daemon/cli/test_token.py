import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.cli.exits import Code
from daemon.store.audit import Audit
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of
from reconciler.model import ClientId, KeyId, Secret
from tests.daemon.cli.conftest import API_KEY, API_SECRET

pytestmark = pytest.mark.anyio


async def made(cli: Any, *words: str) -> dict[str, Any]:
    result = await cli("token", "create", *words, "--json")
    assert result.exit_code == Code.OK, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


async def test_a_token_is_printed_once_and_only_its_digest_is_kept(
    cli: Any, engine: AsyncEngine
) -> None:
    result = await cli("token", "create", "ada", "--role", "admin")
    token = result.stdout.strip()
    assert token.startswith("bt_")
    assert "It is not shown again" in result.stderr
    found = await Tokens(engine).find(digest_of(Secret(token)))
    assert found is not None
    assert (found.name, found.role, found.by) == ("ada", "admin", getpass.getuser())
    assert found.good(datetime.now(UTC))
    for words in (("token", "list"), ("token", "list", "--json")):
        listed = (await cli(*words)).output
        assert "ada" in listed
        assert token not in listed


async def test_a_clients_token_says_whose_it_is_and_ends_when_it_was_to(
    cli: Any, acme: ClientId
) -> None:
    words = ("--role", "client", "--client", "Acme Capital", "--expires", "90d")
    told = await made(cli, "acme's desk", *words)
    assert told["client_id"] == str(acme)
    left = datetime.fromisoformat(told["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < left <= timedelta(days=90)
    listed = (await cli("token", "list")).stdout
    assert "Acme Capital" in listed
    assert "good, expires in 90 d" in listed or "good, expires in 89 d" in listed


@pytest.mark.parametrize("by", ["name", "id"])
async def test_a_revoked_token_opens_nothing_and_is_still_listed(
    cli: Any, engine: AsyncEngine, by: str
) -> None:
    told = await made(cli, "ada", "--role", "viewer")
    assert (await cli("token", "revoke", told[by])).exit_code == Code.OK
    found = await Tokens(engine).find(digest_of(Secret(told["token"])))
    assert found is not None
    assert not found.good(datetime.now(UTC))
    assert "revoked" in (await cli("token", "list")).stdout
    assert (await cli("token", "revoke", told[by])).exit_code == Code.NOT_FOUND
    await made(cli, "ada", "--role", "viewer")  # its name is free again


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ada", "--role", "root"), "say one of admin, viewer, client"),
        (("ada", "--role", "client"), "say --client"),
        (("ada", "--role", "admin", "--client", "Acme Capital"), "say --client"),
        (("ada", "--role", "admin", "--expires", "soon"), "no length of time"),
        (("ada", "--role", "admin", "--expires", "0d"), "never be good"),
        (("", "--role", "admin"), "name: is empty"),
        (("a\nb", "--role", "admin"), "name: holds a line break"),
    ],
)
@pytest.mark.usefixtures("acme")
async def test_what_makes_no_sense_is_refused_with_words(
    cli: Any, engine: AsyncEngine, words: tuple[str, ...], said: str
) -> None:
    result = await cli("token", "create", *words)
    assert result.exit_code == Code.USAGE
    assert said in result.stderr
    assert await Tokens(engine).all() == []


async def test_two_tokens_in_use_do_not_share_a_name(cli: Any, engine: AsyncEngine) -> None:
    await made(cli, "ada", "--role", "admin")
    again = await cli("token", "create", "ada", "--role", "viewer")
    assert again.exit_code == Code.USAGE
    assert "take another name, or revoke it first" in again.stderr
    assert len(await Tokens(engine).all()) == 1


async def test_the_audit_says_who_at_the_shell_did_it(
    cli: Any, engine: AsyncEngine, key: KeyId
) -> None:
    secrets = json.dumps({"api_key": API_KEY, "api_secret": API_SECRET})
    before = len(await Audit(engine).newest(100))
    done = {
        "client_added": ("clients", "add", "Birch"),
        "client_status_set": ("clients", "set-status", "Birch", "paused"),
        "client_refiled": ("clients", "rename", "Birch", "Beech"),
        "key_added": ("keys", "add", "Beech", "okx", "--secrets-from", "-"),
        "key_disabled": ("keys", "disable", str(key)),
        "key_enabled": ("keys", "enable", str(key)),
        "key_relabelled": ("keys", "relabel", str(key), "desk 2"),
        "key_rotated": ("keys", "replace", str(key), "--secrets-from", "-"),
        "reinitialize_asked": ("reinit", "--all"),
        "paused": ("pause", "--all"),
        "resumed": ("resume", "--all"),
        "key_deleted": ("keys", "delete", str(key), "--yes"),
        "client_deleted": ("clients", "delete", "Beech", "--yes"),
        "token_created": ("token", "create", "ada", "--role", "admin"),
        "token_revoked": ("token", "revoke", "ada"),
    }
    for words in done.values():
        result = await cli(*words, input=secrets if "-" in words else "")
        assert result.exit_code == Code.OK, result.output
    deeds = list(reversed(await Audit(engine).newest(100)))[before:]
    assert [deed.action for deed in deeds] == [*done]
    assert {(deed.actor, deed.role) for deed in deeds} == {(getpass.getuser(), "operator")}
