"""What people and other programs store is not what anybody would expect; the others go on."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import anyio
from sqlalchemy import insert

from daemon.store.engine import transaction
from daemon.store.tables import exchange_api_keys
from reconciler.model import ClientId, KeyId, Secret
from tests.acceptance.firm import MARK, Issued, issue
from tests.faults.crowd import EXCHANGES
from tests.faults.fault import fault
from tests.faults.scene import Scene

ODD = {
    "empty": "",
    "blank": "   ",
    "huge": MARK + "x" * 200_000,
    "newline": f"{MARK}\r\nX-Injected: yes\n",
    "NUL": f"{MARK}\x00{MARK}",
    "emoji": f"{MARK}\N{PILE OF POO}\N{ZERO WIDTH JOINER}",
    "SQL": f"{MARK}'; DROP TABLE public.clients; --",
    "HTML": f"{MARK}<script>alert(1)</script>",
    "direction": f"{MARK}\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH NO-BREAK SPACE}",
    "template": MARK + "{{7*7}}${jndi:ldap://x}%s%n",
}
"""What may be in the field of a credential; what can be searched for has the mark."""
NAMES = (
    *("", "   ", "two\nlines", "a" * 255, "\N{PILE OF POO}", "'; DROP TABLE clients; --"),
    *("<script>alert(1)</script>", "../../etc/passwd", "%2e%2e%2f?a=b#c", "${jndi:ldap://x}"),
)
"""What may be called so: clients, exchanges and labels."""


@fault(quick=1)
async def input_odd_credentials(scene: Scene) -> AsyncIterator[None]:
    """credentials that are empty, huge, or no credentials at all, field by field"""
    for name, odd in ODD.items():
        exchange = scene.chance.choice(EXCHANGES)
        for number, issued in enumerate(_spoiled(issue(exchange), odd)):
            client = await scene.firm.add_client(f"Odd {name} {number}")
            await scene.firm.add_key(client, exchange, issued)
    yield


def _spoiled(right: Issued, odd: str) -> Iterator[Issued]:
    yield Issued(odd, right.api_secret, right.passphrase)
    yield Issued(right.api_key, odd, right.passphrase)
    yield Issued(right.api_key, right.api_secret, odd or None)


@fault()
async def input_odd_rows(scene: Scene) -> AsyncIterator[None]:
    """names of clients, exchanges and labels that are odd, and ciphertexts that are none"""
    for number, odd in enumerate(NAMES):
        named = await scene.firm.add_client(odd)
        await _store(scene, named, issue("binance"), "binance")
        client = await scene.firm.add_client(f"Odd row {number}")
        await _store(scene, client, issue("okx"), odd[:100], label=odd)
        await _store(scene, client, issue("kraken"), "kraken", api_key=odd)
        await _store(scene, client, issue("kucoin"), "kucoin", api_secret="", passphrase=odd)
    yield


@fault()
async def input_odd_clients_live(scene: Scene) -> AsyncIterator[None]:
    """clients with odd names, whose keys are right and so have to be live"""
    for odd in ("'; DROP TABLE clients; --", "\N{PILE OF POO}", "a&b=c", "%2e%2e", "straße"):
        await scene.crowd.add(await scene.firm.add_client(odd))
    yield


@fault()
async def input_unknown_exchange(scene: Scene) -> AsyncIterator[None]:
    """keys of exchanges that nobody knows, beside those of ones that are known"""
    for exchange in ("mtgox", "FTX", "quadrigacx"):
        client = await scene.firm.add_client(f"Client of {exchange}")
        await scene.crowd.add(client, exchange)
        await scene.crowd.add(client)
    yield


@fault()
async def input_duplicates(scene: Scene) -> AsyncIterator[None]:
    """a slot's key twice, under two names, and the same credentials under two clients"""
    first = await scene.firm.add_client("First")
    for exchange in ("okx", "OKX ", "okex"):
        await scene.firm.add_key(first, exchange, await scene.crowd.issued("okx"))
    stolen = await scene.crowd.issued("binance")
    await scene.firm.add_key(first, "binance", stolen)
    await scene.firm.add_key(first, "binance", stolen)
    await scene.pause(1, 1.5)
    await scene.firm.add_key(await scene.firm.add_client("Second"), "binance", stolen)
    yield


@fault()
async def input_thousand_at_once(scene: Scene) -> AsyncIterator[None]:
    """two hundred clients with a thousand keys, in one statement"""
    rows: list[dict[str, Any]] = []
    clients = [await scene.firm.add_client(f"One of many {number}") for number in range(200)]

    async def prepare(client: ClientId) -> None:
        for exchange in EXCHANGES:
            issued = await scene.crowd.issued(exchange)
            rows.append(_row(scene, client, issued, exchange))

    async with anyio.create_task_group() as tasks:
        for client in clients:
            tasks.start_soon(prepare, client)
    async with transaction(scene.site.engine) as connection:
        await connection.execute(insert(exchange_api_keys), rows)
    yield


async def _store(scene: Scene, client: ClientId, issued: Issued, exchange: str, **odd: str) -> None:
    """Store a key as any other program may, past all checks."""
    row = _row(scene, client, issued, exchange)
    async with transaction(scene.site.engine) as connection:
        await connection.execute(insert(exchange_api_keys), [row | odd])


def _row(scene: Scene, client: ClientId, issued: Issued, exchange: str) -> dict[str, Any]:
    seal = scene.firm.keyring.seal
    return {
        "id": KeyId(uuid4()),
        "client_id": client,
        "exchange": exchange,
        "api_key": seal(Secret(issued.api_key)),
        "api_secret": seal(Secret(issued.api_secret)),
        "passphrase": seal(Secret(issued.passphrase)) if issued.passphrase else None,
        "is_testnet": False,
        "is_active": True,
    }
