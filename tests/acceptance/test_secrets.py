"""A canary in every secret, and then a search through everything that was printed and served."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from reconciler.model import Phase
from tests.acceptance.firm import Firm, Issued, Site, issue

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]
PATHS = (
    *("/metrics", "/livez?verbose", "/readyz?verbose", "/readyz/database", "/startupz?verbose"),
    *("/healthz", "/healthz/bridges", "/healthz/bridges/main", "/nothing"),
)
BRIDGE_PATHS = ("/health", "/accounts", "/connectors", "/metrics", "/nothing")
ALL_TEXT = """
SELECT row_to_json(t)::text FROM {} t
"""
TABLES = ("connectors", "attempts", "bridges", "accounts", "leases", "wishes", "keyring", "pauses")


async def test_no_secret_is_in_anything_that_was_printed_served_or_written_down(
    site: Site, firm: Firm
) -> None:
    await site.start_paper()
    await site.start_bridge("--log-level", "DEBUG")
    client = await firm.add_client("Acme")
    for exchange in ("binance", "kraken", "okx"):
        good = issue(exchange)
        await firm.issue_on_paper(exchange, good, BTC="0.5")
        await firm.add_key(client, exchange, good)
    wrong = issue("kucoin")
    await firm.issue_on_paper("kucoin", wrong)
    await firm.add_key(client, "kucoin", Issued(wrong.api_key, issue().api_secret, "Wr0ng-phrase"))
    await firm.add_key(client, "mtgox")
    await site.start_daemon()
    await firm.until(lambda: settled(firm, 5))
    assert await firm.phases(Phase.LIVE) == 3
    async with firm.bridge() as bridge:
        served = [(await bridge.get(path)).text for path in BRIDGE_PATHS]
    await site.kill("bridge")  # failures have words of their own
    await firm.until(lambda: noticed(firm))
    served += [(await firm.health(path)).text for path in PATHS]
    await site.stop_all()

    printed = [site.logged(name) for name in ("daemon", "bridge", "paper")]
    written = [
        row
        for table in TABLES
        for (row,) in await firm.ask(ALL_TEXT.format(f"bridgetender.{table}"))
    ]
    assert all(text for text in (*served, *printed))
    texts = [*served, *printed, *written]
    assert [form for form in disguises(firm.secrets) if any(form in text for text in texts)] == []
    assert (Path(site.directory) / "encryption-key").read_text() in firm.secrets  # they are sought


def disguises(secrets: set[str]) -> Iterator[str]:
    for secret in secrets:
        yield from {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode()}


async def settled(firm: Firm, count: int) -> bool:
    bridges = await firm.status.bridges()
    done = await firm.phases(Phase.LIVE, Phase.PARKED)
    return bool(bridges) and bridges[0].up and done == count


async def noticed(firm: Firm) -> bool:
    return not (await firm.status.bridges())[0].up
