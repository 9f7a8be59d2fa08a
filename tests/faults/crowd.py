"""The people whose keys are at stake. They go on while things fail, and try again afterwards."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from random import Random

import anyio

from daemon.store.people import NoSuchThing
from reconciler.model import ClientId, KeyId
from reconciler.verdicts import StoreError
from tests.acceptance.firm import Firm, Issued, issue

EXCHANGES = ("binance", "bybit", "kraken", "kucoin", "okx")
"""Those that the paper exchange plays."""
ASSET = "BTC"
Deed = Callable[[], Awaitable[object]]


class Crowd:
    """Clients with keys that are right, wrong, disabled, and changed in the middle of a fault."""

    def __init__(self, firm: Firm, chance: Random) -> None:
        self.firm, self.chance = firm, chance
        self.holdings: dict[tuple[str, str], int] = {}
        """What the exchange holds for each valid key and secret: of each another amount."""
        self._amounts = count(1)
        self._clients: list[ClientId] = []
        self._exchanges: dict[KeyId, str] = {}
        self._undone: list[Deed] = []

    # -- before, during and after a fault

    async def settle_in(self, clients: int = 4) -> None:
        """Store right keys on two exchanges for each client, and some that cannot be live."""
        for _ in range(clients):
            await self.join(2)
        await self.add(self._someone(), wrong=True)
        await self.add(self._someone(), "mtgox")
        await self.firm.people.set_active(await self.add(self._someone()), active=False)

    async def go_about(self, times: int = 1) -> None:
        """Add, rotate, disable and delete keys, in any order; what fails is left for later."""
        for _ in range(times):
            deeds = [await self.rotation(), await self.rotation(), await self.mending()]
            deeds += [lambda: self.join(2), lambda: self.join(3), self.crowd_a_slot]
            deeds += [self.disabling(), self.deletion()]
            self.chance.shuffle(deeds)
            for deed in deeds:
                if not await self._done(deed):
                    self._undone.append(deed)
                await anyio.sleep(self.chance.uniform(0, 0.2))

    async def finish(self) -> None:
        """Do what failed before, again and again until it is done."""
        while self._undone:
            if await self._done(self._undone[0]):
                self._undone.pop(0)
            else:
                await anyio.sleep(0.3)

    async def _done(self, deed: Deed) -> bool:
        try:
            await deed()
        except StoreError:
            return False
        except NoSuchThing:  # it was done when it seemed to fail
            return True
        return True

    # -- deeds

    async def join(self, keys: int) -> None:
        """Be a new client with some keys."""
        client = await self.firm.add_client(f"Client {len(self._clients)}")
        self._clients.append(client)
        for exchange in self.chance.sample(EXCHANGES, keys):
            await self.add(client, exchange)

    async def add(
        self, client: ClientId, exchange: str | None = None, *, wrong: bool = False
    ) -> KeyId:
        """Store a key; a *wrong* one has a secret that the exchange does not know."""
        exchange = exchange or self.chance.choice(EXCHANGES)
        issued = await self.issued(exchange, wrong=wrong)
        key = await self.firm.add_key(client, exchange, issued)
        self._exchanges[key] = exchange
        return key

    async def rotation(self) -> Deed:
        """Get new credentials for any key; to store them is the deed."""
        return await self._rotation(self._any_key())

    async def mending(self) -> Deed:
        """Get right credentials for a key whose are wrong, if there is one."""
        wrong = [key for key in self._keys() if not self._is_right(self.firm.keys[key])]
        return await self._rotation(min(wrong, default=self._any_key()))

    async def _rotation(self, key: KeyId) -> Deed:
        issued = await self.issued(self._exchanges[key])

        async def rotate() -> None:
            if key in self.firm.keys:  # else it was deleted meanwhile
                await self.firm.rotate(key, issued)

        return rotate

    def _is_right(self, issued: Issued) -> bool:
        return (issued.api_key, issued.api_secret) in self.holdings

    def disabling(self) -> Deed:
        key = self._any_key()
        return lambda: self.firm.people.set_active(key, active=False)

    def deletion(self) -> Deed:
        key = self._any_key()

        async def delete() -> None:
            with suppress(NoSuchThing):
                await self.firm.delete_key(key)
            self.firm.keys.pop(key, None)

        return delete

    async def crowd_a_slot(self) -> None:
        """Store a second key where a client has one already: the newer is to be used."""
        key = (await self.firm.standing())[self._any_key()]
        await self.add(key.client_id, key.exchange)

    async def issued(self, exchange: str, *, wrong: bool = False) -> Issued:
        """Get credentials from an exchange, if it is one that we play."""
        issued = issue(exchange)
        if exchange in EXCHANGES:
            amount = next(self._amounts)
            await self.firm.issue_on_paper(exchange, issued, **{ASSET: str(amount)})
            if wrong:
                return Issued(issued.api_key, issue().api_secret, issued.passphrase)
            self.holdings[issued.api_key, issued.api_secret] = amount
        return issued

    def _someone(self) -> ClientId:
        return self.chance.choice(self._clients)

    def _any_key(self) -> KeyId:
        return self.chance.choice(self._keys())

    def _keys(self) -> list[KeyId]:
        """Return those that we stored ourselves, and that are there still."""
        return sorted(self._exchanges.keys() & self.firm.keys.keys())
