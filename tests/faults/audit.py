"""What is true at the end, found out without the daemon: what people want, what a bridge holds.

Wanted is what the tables of people say, read and decrypted here. Held is what the bridge lists, and
what the exchange answers on its behalf: each credential holds another amount there, so a balance
proves which ones a connector has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio
from cryptography.fernet import Fernet, InvalidToken

from daemon.wiring import open_vault
from reconciler.model import SETTLED, ClientId, KeyId, Phase
from tests.acceptance.firm import Issued
from tests.faults.crowd import ASSET, EXCHANGES
from tests.faults.leaks import leaks
from tests.faults.scene import Scene

Place = tuple[str, str]
"""Account and connector."""


@dataclass
class Row:
    """A stored key as people want it; *issued* is None where nobody can read it.

    A *copied* one has the credentials of an older client, and must not be used.
    """

    id: KeyId
    client_id: ClientId
    place: Place
    issued: Issued | None
    wanted: bool
    copied: bool = False


@dataclass
class Findings:
    """What is amiss, each in words without a secret."""

    keys: int = 0
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)


class Audit:
    """Compares what people want with what there is."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.crowd, self.firm = scene, scene.crowd, scene.firm

    async def findings(self) -> Findings:
        """Find out everything; takes a second or so."""
        rows = await self.rows()
        found = Findings(len(rows))
        found.lost += self._gone(rows)
        await self._compare(rows, found)
        found.leaked += await leaks(self.scene)
        return found

    # -- wanted

    async def rows(self) -> list[Row]:
        """Return every stored key; the newest of a slot is wanted, of a client in business."""
        fernet = Fernet(self.scene.site.encryption_key.reveal())
        stored = [_row(fernet, *row) for row in await self.firm.ask(_STORED)]
        owners: dict[str, ClientId] = {}
        for row in stored:  # by the age of the clients: the first has the account
            if row.wanted:
                owners.setdefault(row.place[0], row.client_id)
        newest = {
            row.place: row.id  # and of its keys the last has the slot
            for row in stored
            if row.wanted and owners[row.place[0]] == row.client_id
        }
        first: dict[Issued, ClientId] = {}
        for row in stored:
            row.wanted = newest.get(row.place) == row.id
            if row.wanted and row.issued:
                row.copied = first.setdefault(row.issued, row.client_id) != row.client_id
        return stored

    def can_live(self, row: Row) -> bool:
        return row.wanted and self._amount(row) is not None

    def _amount(self, row: Row) -> int | None:
        """Return what the exchange holds for a key; None if nothing should be shown of it."""
        if row.issued is None or row.place[1] not in EXCHANGES or row.copied:
            return None
        return self.crowd.holdings.get((row.issued.api_key, row.issued.api_secret))

    def _gone(self, rows: list[Row]) -> Iterator[str]:
        """Yield the keys that people were told are stored, and are not, or not as they were."""
        stored = {row.id: row for row in rows}
        for key, issued in self.firm.keys.items():
            if key not in stored:
                yield f"key {key} is gone"
            elif stored[key].issued != issued:
                yield f"key {key} is not what its owner stored last"

    # -- held

    async def settled(self) -> bool:
        """Tell whether all is as it should be, as far as a listing shows it and daemons say it."""
        rows = await self.rows()
        living = {row.id for row in rows if self.can_live(row)}
        listed, labels = await self.firm.labels_listed(), await self._labels(rows)
        wanted = {row.place for row in rows if row.wanted}
        return (
            {row.place for row in rows if row.id in living} <= listed.keys()
            and listed.keys() <= wanted | self.scene.unmanaged
            and all(
                label in (None, labels.get(place))
                for place, label in listed.items()
                if place in wanted
            )
            and await self._told_settled(living)
        )

    async def _told_settled(self, living: set[KeyId]) -> bool:
        wished = await self._wished()  # first: what is granted afterwards shows in what is told
        told = [key for key in await self.firm.status.keys() if key.phase != "inactive"]
        bridges = await self.firm.status.bridges()
        return (
            bool(bridges)
            and all(bridge.up for bridge in bridges)
            and all(key.phase == Phase.LIVE or key.key_id not in living for key in told)
            and all(key.phase in SETTLED for key in told)
            and not await self.firm.status.leftovers()
            and not await self.firm.open_intents()
            and living.isdisjoint(wished)
        )

    async def _wished(self) -> set[KeyId]:
        """Return the keys that a person asked to have initialized again, and that were not yet."""
        return {key for (key,) in await self.firm.ask("SELECT key_id FROM bridgetender.wishes")}

    async def _labels(self, rows: list[Row]) -> Mapping[Place, str]:
        vault = await open_vault(self.scene.site.engine, self.firm.keyring)
        return {
            row.place: vault.fingerprint(row.issued.sealed())
            for row in rows
            if row.wanted and row.issued
        }

    async def _compare(self, rows: list[Row], found: Findings) -> None:
        listed, labels = await self.firm.labels_listed(), await self._labels(rows)
        held = await self._balances(listed)
        told = await self.firm.standing()
        wanted = {row.place: row for row in rows if row.wanted}
        for place in listed.keys() - wanted.keys() - self.scene.unmanaged:
            found.wrong.append(f"{_named(place)}: nobody wants it")
        for place, row in wanted.items():
            amount, shown = self._amount(row), held.get(place)
            label = listed.get(place)
            if isinstance(shown, int) and shown != amount:
                found.wrong.append(f"{_named(place)}: holds {self._whose(shown, row, rows)}")
            elif label not in (None, labels.get(place)) and shown != amount:
                found.wrong.append(f"{_named(place)}: has the label of other credentials")
            if amount is not None and shown != amount:
                found.lost.append(f"{_named(place)}: {shown or 'not on the bridge'}")
            elif amount is not None and told[row.id].phase != Phase.LIVE:
                found.lost.append(f"{_named(place)}: said to be {told[row.id].phase}")

    def _whose(self, amount: int, row: Row, rows: list[Row]) -> str:
        """Say whose credentials those are that hold *amount* at the exchange."""
        api_key = next((k for (k, _), held in self.crowd.holdings.items() if held == amount), "")
        now = {other.issued.api_key: other for other in rows if other.issued}
        if api_key in now and now[api_key].client_id != row.client_id:
            return "another client's credentials"
        account = row.place[0]
        return "outdated credentials" if api_key in self.firm.issued[account] else "a stranger's"

    async def _balances(self, listed: Mapping[Place, object]) -> Mapping[Place, int | str]:
        """Ask for each connector what its credentials hold, or why that is not known."""
        held: dict[Place, int | str] = {}
        async with self.firm.bridge() as bridge:
            bridge.timeout = 60

            async def ask(account: str) -> None:
                said = (await bridge.get("/portfolio", params={"account": account})).json()
                for connector, balance in said["balances"].items():
                    held[account, connector] = _held(balance)

            async with anyio.create_task_group() as tasks:
                for account in {account for account, _ in listed}:
                    tasks.start_soon(ask, account)
        return held


_STORED = """
SELECT k.id, c.id, c.name, c.status, k.exchange, k.is_testnet, k.is_active,
  k.api_key, k.api_secret, k.passphrase
FROM public.exchange_api_keys k JOIN public.clients c ON c.id = k.client_id
ORDER BY c.created_at, c.id, k.created_at, k.id
"""


def _row(fernet: Fernet, id_: KeyId, client_id: ClientId, name: str, *rest: Any) -> Row:
    status, exchange, is_testnet, is_active, *sealed = rest
    connector = exchange.strip(" ").lower().replace("okex", "okx")
    connector += "_testnet" if is_testnet else ""
    place = "client_" + name.lower().replace(" ", "_"), connector
    issued = _unsealed(fernet, *sealed)
    return Row(id_, client_id, place, issued, wanted=is_active and status != "SUSPENDED")


def _unsealed(
    fernet: Fernet, api_key: str, api_secret: str, passphrase: str | None
) -> Issued | None:
    def plain(sealed: str) -> str:
        return fernet.decrypt(sealed).decode()

    try:
        return Issued(plain(api_key), plain(api_secret), plain(passphrase) if passphrase else None)
    except (InvalidToken, ValueError):
        return None


def _held(balance: Mapping[str, Any]) -> int | str:
    if ASSET in balance:
        return int(balance[ASSET]["total"])
    return str(balance.get("error", "holds nothing"))[:100]


def _named(place: Place) -> str:
    return "/".join(place)
