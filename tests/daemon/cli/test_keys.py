import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest
from cryptography.fernet import Fernet
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import JSONResponse

from bridge.catalogue import catalogue
from daemon.cli import asking
from daemon.cli.exits import Code
from daemon.store.keyring import check_keyring, fingerprint_key
from daemon.store.people import People, SealedEntry
from daemon.vault import Keyring, new_key
from reconciler.model import ClientId, KeyId, Secret
from tests.daemon.cli.conftest import served

pytestmark = pytest.mark.anyio
API_KEY = "canary-key-5d1f2f0c9a7e4b6d8c3a1e0f-yek"
API_SECRET = "Y2FuYXJ5LXNlY3JldC1jYW5hcnktc2VjcmV0"
PASSPHRASE = "canary passphrase 77"
SECRETS = {"api_key": API_KEY, "api_secret": API_SECRET, "passphrase": PASSPHRASE}
PEM = "-----BEGIN EC PRIVATE KEY-----\nY2FuYXJ5\n-----END EC PRIVATE KEY-----"


async def _open(people: People, key: Any, encryption_key: str) -> dict[str, str | None]:
    sealed, fernet = await people.sealed(key), Fernet(encryption_key)
    return {
        name: text and fernet.decrypt(text).decode()
        for name, text in ((name, getattr(sealed, name)) for name in SECRETS)
    }


@pytest.mark.usefixtures("acme")
async def test_a_key_is_stored_encrypted_and_shown_by_its_ends(
    cli: Any, people: People, encryption_key: str
) -> None:
    args = ("keys", "add", "Acme Capital", "okx", "--label", "desk 1", "--testnet", "--json")
    said = json.loads((await cli(*args, input=json.dumps(SECRETS))).stdout)
    (row,) = await people.keys()
    assert said["id"] == str(row.id)
    assert said["api_key"] == "cana…-yek"
    assert (row.label, row.is_testnet, row.is_active, row.exchange) == ("desk 1", True, True, "okx")
    assert await _open(people, row.id, encryption_key) == SECRETS


@pytest.mark.usefixtures("acme")
async def test_a_key_sealed_with_another_encryption_key_is_not_stored(
    cli: Any, people: People, engine: AsyncEngine, encryption_key: str
) -> None:
    keyring = Keyring([Secret(encryption_key)])
    await fingerprint_key(engine, keyring.unseal, lambda: keyring.seal(new_key()))
    args, secrets = ("keys", "add", "Acme Capital", "okx"), json.dumps(SECRETS)
    wrong = await cli(*args, input=secrets, ENCRYPTION_KEY=new_key().reveal())
    assert wrong.exit_code == Code.USAGE
    assert "this ENCRYPTION_KEY is not the one this database was set up with" in wrong.output
    assert await people.keys() == []
    assert (await cli(*args, input=secrets)).exit_code == Code.OK


async def test_before_the_daemon_any_encryption_key_will_do(
    engine: AsyncEngine, encryption_key: str
) -> None:
    keyring = Keyring([Secret(encryption_key)])
    await check_keyring(engine, keyring.unseal)
    async with engine.begin() as connection:
        assert not (await connection.exec_driver_sql("TABLE bridgetender.keyring")).all()
        await connection.exec_driver_sql("DROP SCHEMA bridgetender CASCADE")
    await check_keyring(engine, keyring.unseal)


@pytest.mark.usefixtures("acme")
async def test_what_a_key_lacks_at_its_exchange_is_said_and_nothing_is_stored(
    cli: Any, people: People
) -> None:
    add, pair = ("keys", "add", "Acme Capital", "okx"), {**SECRETS, "passphrase": None}
    lacks = "passphrase: is missing, and okx needs one"
    async with served(JSONResponse({"exchanges": catalogue()})) as url:
        wrong = await cli(*add, input=json.dumps(pair), TRADING_BRIDGE_URL=url)
        assert (wrong.exit_code, lacks in wrong.output) == (Code.USAGE, True)
        rows = json.dumps([{"client": "Acme Capital", "exchange": "okx", **pair}])
        report = await cli("keys", "import", "-", input=rows, TRADING_BRIDGE_URL=url)
        assert (report.exit_code, lacks in report.output) == (Code.UNSETTLED, True)
        assert await people.keys() == []
        done = await cli(*add, input=json.dumps(SECRETS), TRADING_BRIDGE_URL=url)
        assert done.exit_code == Code.OK
        (row,) = await people.keys()
        before = await people.sealed(row.id)
        replace = ("keys", "replace", str(row.id))
        wrong = await cli(*replace, input=json.dumps(pair), TRADING_BRIDGE_URL=url)
        assert (wrong.exit_code, lacks in wrong.output) == (Code.USAGE, True)
        assert await people.sealed(row.id) == before


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("bridge", ["http://127.0.0.1:9", "ftp://nonsense", None])
async def test_a_key_is_stored_where_no_bridge_is_reached(cli: Any, bridge: str | None) -> None:
    add, pair = ("keys", "add", "Acme Capital", "okx"), {**SECRETS, "passphrase": None}
    done = await cli(*add, input=json.dumps(pair), TRADING_BRIDGE_URL=bridge)
    assert done.exit_code == Code.OK, done.output


@pytest.mark.usefixtures("acme")
async def test_what_the_exchange_does_not_have_is_left_out(cli: Any) -> None:
    add = ("keys", "add", "Acme Capital", "polymarket")
    assert (await cli(*add, input=json.dumps({"api_secret": API_SECRET}))).exit_code == Code.OK
    add = ("keys", "add", "Acme Capital", "binance")
    wrong = await cli(*add, input=json.dumps({"api_secret": API_SECRET}))
    assert (wrong.exit_code, "api_key: is missing" in wrong.output) == (Code.USAGE, True)


SPELLINGS = {
    json.dumps(SECRETS): PASSPHRASE,
    json.dumps(SECRETS | {"passphrase": None}): None,
    f"\ufeff{json.dumps(SECRETS)}\n": PASSPHRASE,
    f"{API_KEY}\n{API_SECRET}\n": None,
    f"{API_KEY}\r\n{API_SECRET}\r\n{PASSPHRASE}\r\n": PASSPHRASE,
}


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("source", ["file", "-", None])
async def test_secrets_come_from_a_file_or_stdin_as_json_or_lines(
    cli: Any, people: People, encryption_key: str, tmp_path: Path, source: str | None
) -> None:
    file = tmp_path / "secrets"
    given = {"file": ["--secrets-from", str(file)], "-": ["--secrets-from", "-"], None: []}[source]
    for text, passphrase in SPELLINGS.items():
        file.write_bytes(text.encode())
        said = await cli("keys", "add", "Acme Capital", "okx", *given, "--json", input=text)
        stored = await _open(people, json.loads(said.stdout)["id"], encryption_key)
        assert stored == SECRETS | {"passphrase": passphrase}


@pytest.mark.usefixtures("acme")
async def test_a_pem_keeps_its_lines_and_comes_by_json_only(
    cli: Any, people: People, encryption_key: str
) -> None:
    lines = await cli("keys", "add", "Acme Capital", "coinbase", input=f"{API_KEY}\n{PEM}\n")
    assert lines.exit_code == Code.USAGE
    assert "say it as JSON" in lines.output
    secrets = json.dumps({"api_key": API_KEY, "api_secret": PEM})
    await cli("keys", "add", "Acme Capital", "coinbase", input=secrets)
    (row,) = await people.keys()
    assert (await _open(people, row.id, encryption_key))["api_secret"] == PEM


WRONG_SECRETS = {
    "empty": ("", "--secrets-from: is empty"),
    "one line": (API_KEY, "--secrets-from: has 1 line(s)"),
    "four lines": (f"{API_KEY}\n" * 4, "--secrets-from: has 4 line(s)"),
    "broken json": (f'{{"api_key": "{API_KEY}"', "--secrets-from: looks like JSON and is not"),
    "deep json": ('{"api_key":' + "[" * 20_000, "--secrets-from: looks like JSON and is not"),
    "an unknown field": (json.dumps(SECRETS | {API_SECRET: 1}), "1 unknown field(s)"),
    "no secret": (json.dumps({"api_key": API_KEY}), "api_secret: is missing"),
    "a number": (json.dumps(SECRETS | {"api_key": 7}), "api_key: is not text"),
    "null": (json.dumps(SECRETS | {"api_key": None}), "api_key: is not text"),
    "not text": (b"\xff\xfe\x00" + API_KEY.encode(), "--secrets-from: is not UTF-8"),
    "huge": (API_KEY * 10_000, "more than 65,536 bytes"),
}
BAD = {
    "empty": "",
    "blank": "  ",
    "huge": "k" * 20_000,
    "newline": f"{API_KEY}\n{API_KEY}",
    "nul": f"{API_KEY}\x00",
    "emoji": f"{API_KEY}🔑",
    "escape": f"\x1b[31m{API_KEY}",
    "surrogate": f"{API_KEY}\ud800",
    "hard blank": f"{API_KEY}\u00a0b",
}
NO_EXCHANGE_ISSUES = {
    "sql": f"{API_KEY}';DROP/**/TABLE/**/clients;--",
    "html": f"<b>{API_KEY}</b>",
    "quotes": f'"{API_KEY}"',
    "two words": f"{API_KEY} {API_KEY}",
}
for _field in ("api_key", "api_secret", "passphrase"):
    _more = {} if _field == "passphrase" else NO_EXCHANGE_ISSUES
    for _name, _value in (BAD | _more).items():
        if (_field, _value) != ("passphrase", ""):  # that is none at all
            WRONG_SECRETS[f"{_field}: {_name}"] = (
                json.dumps(SECRETS | {_field: _value}),
                f"{_field}: ",
            )


@pytest.mark.usefixtures("acme")
async def test_wrong_secrets_are_named_by_field_not_echoed_and_not_stored(
    cli: Any, people: People
) -> None:
    for case, (text, complaint) in WRONG_SECRETS.items():
        result = await cli("keys", "add", "Acme Capital", "okx", input=text)
        assert result.exit_code == Code.USAGE, case
        assert complaint in result.output, case
        assert "canary" not in result.output, case
        assert len(result.output) < 400, case
    assert await people.keys() == []


WRONG_WORDS = {
    "empty": "",
    "huge": "x" * 300,
    "newline": "a\nb",
    "nul": "a\x00b",
    "emoji": "desk 🚀",
    "sql": "x'; DROP TABLE clients; --",
    "html": "<script>alert(1)</script>",
    "bidi": "abc\u202edef",
    "not utf-8": "abc\udcff",
}


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("field", ["exchange", "label", "name", "account"])
async def test_a_wrong_word_is_named_by_field_and_nothing_is_stored(
    cli: Any, people: People, field: str
) -> None:
    for case, word in WRONG_WORDS.items():
        command = {
            "exchange": ("keys", "add", "Acme Capital", word),
            "label": ("keys", "add", "Acme Capital", "okx", f"--label={word}"),
            "name": ("clients", "add", word),
            "account": ("clients", "add", "Birch", f"--account={word}"),
        }[field]
        result = await cli(*command, input=json.dumps(SECRETS))
        assert result.exit_code == Code.USAGE, case
        assert f"bridgetender: {field}: " in result.output, case
        assert len(result.output) < 400, case
    assert await people.keys() == []
    assert [client.name for client in await people.clients()] == ["Acme Capital"]


@pytest.mark.usefixtures("acme")
async def test_secrets_on_the_command_line_are_refused_and_not_repeated(
    cli: Any, people: People
) -> None:
    for extra in ([API_KEY, API_SECRET], ["--api-secret", API_SECRET], [f"--secret={API_SECRET}"]):
        args = ("keys", "add", "Acme Capital", "okx", *extra)
        result = await cli(*args, input=json.dumps(SECRETS))
        assert result.exit_code == Code.USAGE
    assert await people.keys() == []


@pytest.mark.usefixtures("acme")
async def test_a_file_that_cannot_be_read_is_named(cli: Any, tmp_path: Path) -> None:
    for path, why in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        result = await cli("keys", "add", "Acme Capital", "okx", "--secrets-from", str(path))
        assert result.exit_code == Code.USAGE
        assert why in result.output
        assert str(path) in result.output


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("exchange", "near"), [("binanse", "binance"), ("gateioo", "gate"), ("mtgox", "no exchange")]
)
async def test_an_unknown_exchange_is_stored_with_a_warning_that_names_the_nearest(
    cli: Any, people: People, exchange: str, near: str
) -> None:
    result = await cli("keys", "add", "Acme Capital", exchange, input=json.dumps(SECRETS))
    assert result.exit_code == Code.OK
    assert f"Warning: no exchange '{exchange}' is known here" in result.stderr
    assert near in result.stderr
    assert [row.exchange for row in await people.keys()] == [exchange]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("exchange", ["binance", "GateIO", "huobi"])
async def test_a_known_exchange_under_any_of_its_names_is_no_reason_to_warn(
    cli: Any, exchange: str
) -> None:
    result = await cli("keys", "add", "Acme Capital", exchange, input=json.dumps(SECRETS))
    assert (result.exit_code, result.stderr) == (Code.OK, "")


@pytest.mark.usefixtures("acme")
async def test_a_client_that_is_not_there_is_answered_with_the_nearest(cli: Any) -> None:
    result = await cli("keys", "add", "acme capitol", "okx", input=json.dumps(SECRETS))
    assert result.exit_code == Code.NOT_FOUND
    assert "no client 'acme capitol': did you mean 'Acme Capital'?" in result.output
    huge = await cli("keys", "list", "--client", "x" * 100_000)
    assert huge.exit_code == Code.NOT_FOUND
    assert len(huge.output) < 400


async def test_keys_are_listed_whole_in_a_pipe(cli: Any, key: KeyId) -> None:
    result = await cli("keys", "list")
    heading, line = result.stdout.splitlines()
    assert heading.split() == [
        "KEY",
        "CLIENT",
        "EXCHANGE",
        "API",
        "KEY",
        "ACTIVE",
        "LABEL",
        "ADDED",
    ]
    assert line.startswith(f"{key}  Acme Capital  binance   cana…-yek  yes")
    assert "\x1b" not in result.stdout
    (listed,) = json.loads((await cli("keys", "list", "--json")).stdout)["keys"]
    assert listed["id"] == str(key)
    assert listed["api_key"] == "cana…-yek"
    assert listed["created_at"].endswith("+00:00")


async def test_a_key_that_nothing_here_reads_is_shown_as_such(
    cli: Any, people: People, key: KeyId, acme: ClientId
) -> None:
    await people.add_key(acme, SealedEntry("okx", "gAAAAnonsense", "gAAAAnonsense"))
    first, second = (await cli("keys", "list")).stdout.splitlines()[1:]
    assert "cana…-yek" in first
    assert "not readable with this ENCRYPTION_KEY" in second
    assert "gAAAA" not in second
    shown = json.loads((await cli("keys", "list", "--json")).stdout)["keys"]
    assert [row["api_key"] for row in shown] == ["cana…-yek", None]
    assert str(key) == shown[0]["id"]


async def test_a_key_is_disabled_and_enabled_by_a_prefix_of_its_id(
    cli: Any, people: People, key: KeyId
) -> None:
    for command, active in (("disable", False), ("enable", True)):
        result = await cli("keys", command, str(key)[:8].upper())
        assert result.exit_code == Code.OK
        assert [row.is_active for row in await people.keys()] == [active]


@pytest.mark.parametrize("asked", ["0123456", "zzzzzzzz", "", "%%%%%%%%", "x" * 99_999, "a\x00b"])
async def test_what_is_no_id_is_not_found(cli: Any, key: KeyId, asked: str) -> None:
    result = await cli("keys", "disable", asked)
    assert result.exit_code == Code.NOT_FOUND
    assert "at least the first 8" in result.output
    assert str(key) not in result.output


async def test_a_prefix_that_fits_several_keys_is_not_enough(
    cli: Any, people: People, engine: Any, key: KeyId, acme: ClientId, sealed: Callable[..., Any]
) -> None:
    twin = str(UUID(int=key.int ^ 1))
    await people.add_key(acme, sealed("okx"))
    async with engine.begin() as connection:
        await connection.exec_driver_sql(
            f"UPDATE public.exchange_api_keys SET id = '{twin}' WHERE exchange = 'okx'"
        )
    several = await cli("keys", "disable", str(key)[:8])
    assert several.exit_code == Code.NOT_FOUND
    assert "2 keys begin with" in several.output
    assert (await cli("keys", "disable", twin)).exit_code == Code.OK
    assert {row.exchange: row.is_active for row in await people.keys()} == {
        "binance": True,
        "okx": False,
    }


async def test_nothing_is_deleted_without_a_yes(cli: Any, people: People, key: KeyId) -> None:
    unasked = await cli("keys", "delete", str(key), input="y\n")
    assert unasked.exit_code == Code.USAGE
    assert "say --yes" in unasked.output
    assert len(await people.keys()) == 1
    done = await cli("keys", "delete", str(key), "--yes", "--json")
    assert json.loads(done.stdout) == {"id": str(key), "deleted": True}
    assert await people.keys() == []


@pytest.mark.parametrize(("answer", "left"), [("n\n", 1), ("\n", 1), ("", 1), ("y\n", 0)])
async def test_on_a_terminal_deletion_is_asked_about(
    cli: Any,
    people: People,
    key: KeyId,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    left: int,
) -> None:
    monkeypatch.setattr(asking, "on_terminal", lambda: True)
    result = await cli("keys", "delete", str(key), input=answer)
    assert f"Delete key {key} of Acme Capital for binance for good?" in result.output
    assert result.exit_code == (Code.INTERRUPTED if left else Code.OK)
    assert len(await people.keys()) == left


@pytest.mark.usefixtures("acme")
async def test_on_a_real_terminal_secrets_are_asked_for_and_not_echoed(
    people: People, environment: dict[str, str | None], encryption_key: str
) -> None:
    answers = [API_KEY, API_SECRET, PASSPHRASE]
    script = f"""
import os, pty, signal, sys
signal.alarm(60)
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "-c",
        "from daemon.cli import main; main()", "keys", "add", "Acme Capital", "okx"])
said, answers = b"", {answers!r}
while True:
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    said += chunk
    if not chunk:
        break
    if answers and said.endswith(b": "):  # the blank comes once the echo is off
        os.write(fd, answers.pop(0).encode() + b"\\n")
        said += b"<answered>"
print(said.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    env = {name: value for name, value in environment.items() if value is not None}
    done = await anyio.run_process([sys.executable, "-c", script], check=False, env=env)
    shown = (done.stdout + done.stderr).decode()
    assert done.returncode == Code.OK, shown
    assert shown.count("<answered>") == 3
    assert not [secret for secret in answers if secret in shown]
    (row,) = await people.keys()
    assert await _open(people, row.id, encryption_key) == SECRETS


async def test_new_credentials_take_the_place_of_the_old_ones_and_nothing_else_changes(
    cli: Any, people: People, key: KeyId, encryption_key: str
) -> None:
    await people.relabel(key, "desk 1")
    before = await people.find_key(str(key))
    new = {"api_key": "another-key-0123456789-another", "api_secret": API_SECRET}
    result = await cli("keys", "replace", str(key)[:8], input=json.dumps(new))
    assert result.exit_code == Code.OK, result.output
    assert f"Gave new credentials (anot…ther) to key {key} of Acme Capital" in result.stdout
    assert await _open(people, key, encryption_key) == new | {"passphrase": None}
    after = await people.find_key(str(key))
    assert (after.label, after.exchange, after.created_at) == (
        *("desk 1", before.exchange),
        before.created_at,
    )


async def test_new_credentials_are_not_taken_from_argv(
    cli: Any, people: People, key: KeyId
) -> None:
    before = await people.sealed(key)
    result = await cli("keys", "replace", str(key), "hunter2-hunter2")
    assert result.exit_code == Code.USAGE
    assert "hunter2" not in result.output
    assert await people.sealed(key) == before


async def test_a_label_is_given_and_taken_and_the_connector_not_touched(
    cli: Any, people: People, key: KeyId
) -> None:
    before = await people.sealed(key)
    await cli("keys", "relabel", str(key), "desk 2")
    assert (await people.sealed(key)).label == "desk 2"
    await cli("keys", "relabel", str(key))
    assert await people.sealed(key) == before
    bad = await cli("keys", "relabel", str(key), "a;b")
    assert bad.exit_code == Code.USAGE
