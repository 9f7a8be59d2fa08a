"""CPU of pages of the listing of many keys: python -m bench.console_pages [KEYS]

Each page is asked for through the whole app, with search, filter, sort and a cursor. Python's
collector of cycles is as in the daemon.
"""

import statistics
import sys
import time

import anyio
import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon import collector
from daemon.clock import SystemClock
from daemon.embedded.postgres import embedded_postgres
from daemon.embedded.stage import scratch
from daemon.enquiries import Enquiries
from daemon.settings import BridgeSettings
from daemon.store import schema
from daemon.store.answers import Answers
from daemon.store.audit import NOBODY
from daemon.store.engine import make_engine, transaction
from daemon.store.tokens import Tokens
from daemon.tokens import digest_of, new_token
from daemon.vault import Keyring, new_key
from daemon.web.app import Backend, api_app
from daemon.web.auth import Gate
from daemon.web.checker import Checker
from daemon.web.forms import ExchangeForms
from daemon.web.keeper import Keeper
from daemon.web.news import News
from daemon.web.roster import Roster
from daemon.web.teller import Teller
from daemon.wiring import open_the_bridge
from reconciler.routes import MAIN

FILL = """
WITH made AS (
  INSERT INTO clients (name) SELECT 'Client ' || n FROM generate_series(1, :clients) n RETURNING id
)
INSERT INTO exchange_api_keys (client_id, exchange, api_key, api_secret)
SELECT id, exchange, 'x', 'y' FROM made,
  unnest(ARRAY['binance', 'kraken', 'okx', 'bybit', 'kucoin', 'gate', 'htx', 'mexc', 'bitget',
  'coinbase']) exchange
"""
PATHS = ("limit=500", "limit=500&sort=due_at&order=desc", "q=client+99", "exchange=okx&sort=phase")
CONSOLE = ("/console", "/console/keys", "/console/keys?q=99&sort=due_at&order=desc")
PAGES, LOOKS = 20, 5


async def main(keys: int) -> None:
    with scratch(None, "bridgetender-bench-") as directory:
        async with embedded_postgres(directory / "postgres") as server:
            engine = make_engine(server.url())
            await schema.migrate(engine)
            async with transaction(engine) as connection:
                await connection.execute(text(FILL), {"clients": keys // 10})
            await measure(engine)
            await engine.dispose()


async def measure(engine: AsyncEngine) -> None:
    clock, keyring = SystemClock(), Keyring([new_key()])
    roster, token = Roster(engine, lambda: MAIN, clock), new_token()
    keeper = Keeper(engine, lambda: keyring, lambda: MAIN, clock, News())
    gate = Gate(Tokens(engine), clock)
    await gate.tokens.create("bench", "admin", digest_of(token), NOBODY)
    nowhere = [BridgeSettings(MAIN, "http://127.0.0.1:9")]
    enquiries = Enquiries(lambda: nowhere, lambda wanted: open_the_bridge(wanted, clock))
    teller, forms = Teller(keeper, enquiries, lambda: 5.0), ExchangeForms(enquiries)
    checker = Checker(enquiries, forms)
    app = api_app(Backend(keeper, gate, Answers(engine), teller, checker, roster, forms))
    collector.spare()  # as the daemon does
    began = time.process_time()
    found = await roster.now()
    print(f"one look at {len(found.keys):,} keys: {time.process_time() - began:.3f} s of CPU")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://bench",
        headers={"Authorization": f"Bearer {token.reveal()}"},
    ) as web:
        for path in PATHS:
            await pages(web, roster, path)
        await web.post("/console/login", data={"token": token.reveal()})
        for path in CONSOLE:
            await shown(web, roster, path)
        for path in (f"/api/admin/connectors?{PATHS[0]}", *CONSOLE):
            await anew(web, roster, path)


async def pages(web: httpx.AsyncClient, roster: Roster, path: str) -> None:
    """Page through what *path* finds; a page that asked the database anew does not count."""
    took, cursor = [], ""
    for _ in range(PAGES):
        looks, began = roster.looks, time.process_time()
        answer = await web.get(f"/api/admin/connectors?{path}{cursor}")
        if roster.looks == looks:
            took.append((time.process_time() - began) * 1_000)
        after = answer.raise_for_status().json()["next"]
        cursor = f"&cursor={after}" if after else ""
    print(f"{path}: {statistics.median(took):.0f} ms of CPU a page, at most {max(took):.0f} ms")


async def shown(web: httpx.AsyncClient, roster: Roster, path: str) -> None:
    """Load a page of the console again and again, as if it had changed each time."""
    took = []
    for _ in range(PAGES):
        looks, began = roster.looks, time.process_time()
        (await web.get(path)).raise_for_status()
        if roster.looks == looks:
            took.append((time.process_time() - began) * 1_000)
    print(f"{path}: {statistics.median(took):.0f} ms of CPU a page, at most {max(took):.0f} ms")


async def anew(web: httpx.AsyncClient, roster: Roster, path: str) -> None:
    """Load a page for which the database is asked anew, as the first of all who look pays."""
    took: list[float] = []
    while len(took) < LOOKS:
        await anyio.sleep(1.1)  # one look a second at most
        roster.touch()
        looks, began = roster.looks, time.process_time()
        (await web.get(path)).raise_for_status()
        if roster.looks > looks:
            took.append((time.process_time() - began) * 1_000)
    print(f"{path}, asked anew: {statistics.median(took):.0f} ms, at most {max(took):.0f} ms")


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]) if sys.argv[1:] else 10_000)
