import json
from collections.abc import Callable
from typing import Any

import pytest

from daemon.cli.exits import Code
from daemon.cli.who import user
from daemon.store.audit import Audit
from daemon.store.people import People
from daemon.vault import Keyring, new_key
from daemon.wiring import open_vault
from reconciler.model import ClientId, KeyId, Secret

pytestmark = pytest.mark.anyio


async def test_the_old_key_can_go_once_all_is_under_the_new_one(
    cli: Any, engine: Any, people: People, key: KeyId, encryption_key: str, printed: list[str]
) -> None:
    old, new = Secret(encryption_key), new_key()
    await open_vault(engine, Keyring([old]))
    both = f"{new.reveal()},{encryption_key}"
    result = await cli("rotate", ENCRYPTION_KEY=both)
    assert result.exit_code == Code.OK
    assert result.stdout == "1 key(s) re-encrypted, 0 were under the first key already.\n"
    assert result.stderr == "1 keys looked at\n"
    again = await cli("rotate", "--json", ENCRYPTION_KEY=both)
    assert json.loads(again.stdout) == {
        "rewritten": 0,
        "current": 1,
        "unreadable": [],
        "changing": [],
    }
    listed = await cli("keys", "list", ENCRYPTION_KEY=new.reveal())
    assert "not readable" not in listed.stdout
    await open_vault(engine, Keyring([new]))
    assert (await people.find_key(str(key))).label is None
    deeds = await Audit(engine).newest(2)  # the second run changed nothing
    assert [(deed.action, deed.detail) for deed in deeds] == [
        ("keys_reencrypted", {"keys": 1}),
        ("fingerprint_key_reencrypted", {}),
    ]
    assert {(deed.actor, deed.role) for deed in deeds} == {(user(), "operator")}
    assert not [text for text in printed if new.reveal() in text]


async def test_rows_that_cannot_be_read_are_named_and_the_exit_code_tells(
    cli: Any, people: People, acme: ClientId, sealed: Callable[..., Any]
) -> None:
    strange = await people.add_key(acme, sealed(api_secret="no ciphertext"))
    result = await cli("rotate")
    assert result.exit_code == Code.UNSETTLED
    assert f"key {strange}: not readable with this ENCRYPTION_KEY" in result.stderr


async def test_with_another_keyring_nothing_is_changed(
    cli: Any, engine: Any, people: People, key: KeyId, encryption_key: str
) -> None:
    await open_vault(engine, Keyring([Secret(encryption_key)]))
    before = await people.sealed(key)
    result = await cli("rotate", ENCRYPTION_KEY=new_key().reveal())
    assert result.exit_code == Code.USAGE
    assert "not the one this database was set up with; nothing was changed" in result.output
    assert await people.sealed(key) == before
