import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from daemon.cli.exits import Code
from daemon.store.pauses import Pauses
from daemon.store.people import People
from reconciler.model import ClientId, KeyId, Phase, Reason

pytestmark = pytest.mark.anyio
EVERYTHING = ("--all",)
THE_BRIDGE = ("--bridge", "main")
THE_CLIENT = ("--client", "Acme Capital")


@pytest.fixture
def said(acme: ClientId, key: KeyId) -> dict[tuple[str, ...], tuple[str, str]]:
    """What may be said, and what is then paused."""
    return {
        EVERYTHING: ("all", ""),
        THE_BRIDGE: ("bridge", "main"),
        THE_CLIENT: ("client", str(acme)),
        ("--key", str(key)[:8]): ("key", str(key)),
    }


async def test_a_pause_says_who_why_and_since_when_and_ends_once(
    cli: Any, engine: Any, said: dict[tuple[str, ...], tuple[str, str]]
) -> None:
    for words, (scope, subject) in said.items():
        result = await cli("pause", *words, "--by", "ada", "--reason", "ticket 7", "--json")
        assert result.exit_code == Code.OK
        told = json.loads(result.stdout)
        assert told["changed"] is True
        assert datetime.fromisoformat(told["pause"]["since"]).utcoffset() is not None
        assert {name: told["pause"][name] for name in ("scope", "id", "by", "reason")} == {
            "scope": scope,
            "id": subject,
            "by": "ada",
            "reason": "ticket 7",
        }
        again = await cli("pause", *words, "--by", "bob")
        assert again.exit_code == Code.OK
        assert "is paused, by ada" in again.stdout  # as it was
        ended = json.loads((await cli("resume", *words, "--json")).stdout)
        assert (ended["changed"], ended["pauses"]) == (True, [])
        late = await cli("resume", *words)
        assert late.exit_code == Code.OK
        assert "was not paused" in late.stdout
    assert await Pauses(engine).all() == []


@pytest.mark.usefixtures("acme")
async def test_what_stays_paused_is_said_when_something_is_resumed(cli: Any) -> None:
    await cli("pause", *EVERYTHING)
    await cli("pause", *THE_CLIENT)
    result = await cli("resume", *EVERYTHING)
    assert "Everything goes on." in result.stdout
    assert "Client 'Acme Capital' is paused, by " in result.stderr
    assert "bridgetender resume --client " in result.stderr


async def test_what_is_gone_can_still_be_resumed(
    cli: Any, people: People, acme: ClientId, key: KeyId
) -> None:
    await cli("pause", *THE_CLIENT)
    await cli("pause", "--key", str(key))
    await people.delete_client(acme)
    assert "goes on" in (await cli("resume", *THE_CLIENT)).stdout
    assert "goes on" in (await cli("resume", "--key", str(key))).stdout


WRONG = {
    ("--bridge", "mian"): (Code.NOT_FOUND, "no bridge 'mian': there is main"),
    ("--client", "Nobody"): (Code.NOT_FOUND, "no client 'Nobody'"),
    ("--key", "01234567"): (Code.NOT_FOUND, "no key '01234567'"),
    (): (Code.USAGE, "say one of --all, --bridge, --client and --key"),
    ("--all", "--bridge", "main"): (Code.USAGE, "say one of"),
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
@pytest.mark.parametrize("command", ["pause", "resume"])
async def test_what_is_not_there_is_not_paused(
    cli: Any, engine: Any, command: str, words: tuple[str, ...]
) -> None:
    code, text = WRONG[words]
    result = await cli(command, *words)
    assert result.exit_code == code
    assert text in result.output
    assert await Pauses(engine).all() == []


async def test_a_reason_is_one_line(cli: Any) -> None:
    result = await cli("pause", "--all", "--reason", "a\nb")
    assert result.exit_code == Code.USAGE
    assert "reason: use one line" in result.output


async def test_status_says_what_is_paused_and_how_to_go_on(
    cli: Any, daemon: Any, people: People, acme: ClientId, key: KeyId, sealed: Callable[..., Any]
) -> None:
    okx = await people.add_key(acme, sealed("okx"))
    gone = await people.add_key(acme, sealed("kraken"))
    await daemon.hold()
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    await daemon.write(okx, Phase.PARKED, Reason.PAUSED)
    await daemon.write(gone, Phase.REMOVING, Reason.ORPHAN)
    await people.delete_key(gone)
    await cli("pause", *THE_CLIENT, "--by", "ada", "--reason", "audit")

    result = await cli("status")
    assert result.exit_code == Code.NOT_LIVE  # settled: nothing is going to happen
    assert "Client 'Acme Capital' is paused, by ada, for " in result.stdout
    assert f": audit. To go on: bridgetender resume --client {acme}" in result.stdout
    rows = json.loads((await cli("status", "--json")).stdout)
    assert [(row["phase"], row["held"]) for row in rows["keys"]] == [
        ("live", True),
        ("parked", True),
    ]
    assert rows["leftovers"][0]["held"] is True
    assert rows["pauses"][0]["by"] == "ada"

    await cli("resume", *THE_CLIENT)
    assert (await cli("status")).exit_code == Code.UNSETTLED


async def test_explain_names_the_pause_that_keeps_a_key_from_being_live(
    cli: Any, daemon: Any, bridge: Any, key: KeyId
) -> None:
    await daemon.hold()
    await daemon.write(key, Phase.PARKED, Reason.PAUSED)
    await cli("pause", *THE_BRIDGE, "--by", "ada")
    told = json.loads((await cli("explain", str(key), "--json")).stdout)
    assert told["broken"]["name"] == "pause"
    assert told["broken"]["cure"] == "bridgetender resume --bridge main"

    await bridge.add("client_acme_capital", "binance")
    await daemon.write(key, Phase.LIVE, Reason.APPLIED)
    told = json.loads((await cli("explain", str(key), "--json")).stdout)
    assert told["broken"] is None
    assert "Bridge 'main' is paused, by ada" in str(told["links"])


@pytest.mark.usefixtures("bridge", "key")
async def test_a_plan_has_no_step_but_to_park_while_everything_is_paused(
    cli: Any, daemon: Any
) -> None:
    await daemon.hold()
    await cli("pause", *EVERYTHING)
    told = json.loads((await cli("plan", "--json")).stdout)
    assert [step["action"] for step in told["steps"]] == ["park"]
    assert told["pauses"][0]["scope"] == "all"
    assert "To go on: bridgetender resume --all" in (await cli("plan")).stdout


async def test_a_wish_for_what_is_paused_says_when_it_is_granted(
    cli: Any, people: People, key: KeyId
) -> None:
    await people.add_client("Birch")
    await cli("pause", *THE_CLIENT)
    words = "it is done once this ends: Client 'Acme Capital' is paused"
    for whom in (("--key", str(key)), THE_CLIENT):
        assert words in (await cli("reinit", *whom)).stderr
    assert words not in (await cli("reinit", "--client", "Birch")).stderr
