"""A canary in every secret, and then a search through everything that was printed and served."""

import base64
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import anyio
import pytest

from daemon.embedded.children import clean_environment
from daemon.vault import Keyring, new_key
from reconciler.model import KeyId, Phase
from tests.acceptance.firm import Firm, Issued, Site, issue, spoken_to
from tests.acceptance.processes import linux, mentioning

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance, linux]
PATHS = (
    *("/metrics", "/livez?verbose", "/readyz?verbose", "/readyz/database", "/startupz?verbose"),
    *("/healthz", "/healthz/bridges", "/healthz/bridges/main", "/nothing"),
)
BRIDGE_PATHS = ("/health", "/accounts", "/connectors", "/metrics", "/nothing")
ALL_TEXT = """
SELECT row_to_json(t)::text FROM {} t
"""
_OUR_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'bridgetender'"
OURS = ("daemon", "bridge")
GOOD = ("binance", "kraken", "okx")
FAULTS = ("html", "truncated", "status", "refuse_ip", "clock")
COMMANDS = (
    *("status", "status --json", "plan", "plan --json", "keys list", "keys list --json"),
    *(
        "clients list --json",
        "config show",
        "config check",
        "history",
        "history --json",
        "explain nothing",
        "nothing",
    ),
)


async def test_no_secret_is_in_anything_that_was_printed_served_or_written_down(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await site.start_bridge("--log-level", "DEBUG")
    keys = await all_kinds_of_keys(firm)
    await site.start_daemon()
    await firm.until(lambda: settled(firm, len(keys)))
    assert await firm.phases(Phase.LIVE) == len(GOOD)
    for kind in FAULTS:  # each failure has words of its own
        await misbehave(site, kind)
        await asked_again(firm, keys)
    async with firm.bridge() as bridge:
        served = [(await bridge.get(path)).text for path in BRIDGE_PATHS]
    seen_in_processes = [mentioning(secret) for secret in firm.secrets]
    dumped = [resource.prlimit(site.children[name].pid, resource.RLIMIT_CORE) for name in OURS]
    await site.kill("bridge")
    await firm.until(lambda: noticed(firm))
    served += [(await firm.health(path)).text for path in PATHS]
    served += [await commanded(site, *words.split()) for words in COMMANDS]
    served += [await commanded(site, "explain", str(key)) for key in keys]
    await site.stop_all()

    printed = [site.logged(name) for name in ("daemon", "bridge", "paper")]
    written = [
        row
        for table in await firm.ask(_OUR_TABLES)
        for (row,) in await firm.ask(ALL_TEXT.format(f"bridgetender.{table[0]}"))
    ]
    assert all(text for text in (*served, *printed))
    texts = [*served, *printed, *written]
    assert [form for form in disguises(firm.secrets) if any(form in text for text in texts)] == []
    assert seen_in_processes == [[]] * len(firm.secrets)
    assert dumped == [(0, 0)] * len(OURS)  # by a crash, or a watchdog
    assert (Path(site.directory) / "encryption-key").read_text() in firm.secrets  # they are sought


async def all_kinds_of_keys(firm: Firm) -> list[KeyId]:
    """Store keys that work, one that is wrong, one without an exchange, one that nobody reads."""
    client = await firm.add_client("Acme")
    keys = []
    for exchange in GOOD:
        good = issue(exchange)
        await firm.issue_on_paper(exchange, good, BTC="0.5")
        keys.append(await firm.add_key(client, exchange, good))
    wrong = issue("kucoin")
    await firm.issue_on_paper("kucoin", wrong)
    another = Issued(wrong.api_key, issue().api_secret, "Wr0ng-phrase")
    keys.append(await firm.add_key(client, "kucoin", another))
    keys.append(await firm.add_key(client, "mtgox"))
    firm.keyring, own = Keyring([new_key()]), firm.keyring
    keys.append(await firm.add_key(client, "bybit"))
    firm.keyring = own
    return keys


async def misbehave(site: Site, kind: str) -> None:
    async with spoken_to(site.addresses["paper"]) as paper:
        for exchange in GOOD:
            fault = {"exchange": exchange, "kind": kind, "only": "account", "times": 1}
            (await paper.post("/_paper/faults", json=fault)).raise_for_status()


async def asked_again(firm: Firm, keys: list[KeyId]) -> None:
    """Have every key initialized again, and wait until that was tried."""
    before = await firm.attempts()
    for key in keys:
        await firm.people.wish(key_id=key)

    async def tried() -> bool:
        return await firm.attempts() >= before + len(keys)

    await firm.until(tried)


async def commanded(site: Site, *words: str) -> str:
    """Return all that a command says, on both of its channels."""
    env = clean_environment() | site.environment()
    command = [sys.executable, "-c", "from daemon.cli import main; main()", *words]
    done = await anyio.run_process(command, env=env, check=False)
    return (done.stdout + done.stderr).decode()


def disguises(secrets: set[str]) -> Iterator[str]:
    for secret in secrets:
        yield from {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


async def settled(firm: Firm, count: int) -> bool:
    bridges = await firm.status.bridges()
    done = await firm.phases(Phase.LIVE, Phase.PARKED)
    return bool(bridges) and bridges[0].up and done == count


async def noticed(firm: Firm) -> bool:
    return not (await firm.status.bridges())[0].up
