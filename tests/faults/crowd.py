"""The people whose keys are at stake. They go on while things fail, and try again afterwards."""

from collections.abc import Awaitable, Callable
from itertools import count

from daemon.store.people import NoSuchThing
from reconciler.model import ClientId, KeyId
from reconciler.verdicts import StoreError
from tests.acceptance.firm import Issued, issue
from tests.faults.scene import Scene

EXCHANGES = ("binance", "bybit", "kraken", "kucoin", "okx")
"""Those that the paper exchange plays."""
ASSET = "BTC"
Deed = Callable[[], Awaitable[object]]


class Crowd:
    """Clients with keys that are right, wrong, disabled, and changed in the middle of a fault."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.firm = scene, scene.firm
        self.holdings: dict[tuple[str, str], int] = {}
        """What the exchange holds for each valid key and secret: of each another amount."""
        self._amounts = count(1)
        self._clients: list[ClientId] = []
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
            deeds = [lambda: self.join(2), lambda: self.join(3), self.rotate, self.rotate]
            deeds += [self.mend, self.disable, self.delete, self.crowd_a_slot]
            self.scene.chance.shuffle(deeds)
            for deed in deeds:
                if not await self._done(deed):
                    self._undone.append(deed)
                await self.scene.pause(0, 0.2)

    async def finish(self) -> None:
        """Do what failed before, again and again until it is done."""
        while self._undone:
            if await self._done(self._undone[0]):
                self._undone.pop(0)
            else:
                await self.scene.pause(0.2, 0.5)

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
        for exchange in self.scene.chance.sample(EXCHANGES, keys):
            await self.add(client, exchange)

    async def add(
        self, client: ClientId, exchange: str | None = None, *, wrong: bool = False
    ) -> KeyId:
        """Store a key; a *wrong* one has a secret that the exchange does not know."""
        exchange = exchange or self.scene.chance.choice(EXCHANGES)
        issued = await self.issued(exchange, wrong=wrong)
        return await self.firm.add_key(client, exchange, issued)

    async def rotate(self) -> None:
        """Put new right credentials in the place of any."""
        key = await self._any_key()
        exchange = (await self.firm.standing())[key].exchange
        await self.firm.rotate(key, await self.issued(exchange))

    async def mend(self) -> None:
        """Put right credentials in the place of wrong ones, if there are any."""
        for key, issued in self.firm.keys.items():
            if (issued.api_key, issued.api_secret) not in self.holdings:
                exchange = (await self.firm.standing())[key].exchange
                await self.firm.rotate(key, await self.issued(exchange))
                return

    async def disable(self) -> None:
        await self.firm.people.set_active(await self._any_key(), active=False)

    async def delete(self) -> None:
        key = await self._any_key()
        try:
            await self.firm.delete_key(key)
        except NoSuchThing:
            del self.firm.keys[key]

    async def crowd_a_slot(self) -> None:
        """Store a second key where a client has one already: the newer is to be used."""
        key = (await self.firm.standing())[await self._any_key()]
        await self.add(key.client_id, key.exchange)

    async def issued(self, exchange: str, *, wrong: bool = False) -> Issued:
        """Get credentials from an exchange, if it is one that we play."""
        issued = issue(exchange)
        if exchange in EXCHANGES:
            amount = next(self._amounts)
            await self._until_known(exchange, issued, amount)
            if wrong:
                return Issued(issued.api_key, issue().api_secret, issued.passphrase)
            self.holdings[issued.api_key, issued.api_secret] = amount
        return issued

    async def _until_known(self, exchange: str, issued: Issued, amount: int) -> None:
        await self.firm.issue_on_paper(exchange, issued, **{ASSET: str(amount)})

    def _someone(self) -> ClientId:
        return self.scene.chance.choice(self._clients)

    async def _any_key(self) -> KeyId:
        return self.scene.chance.choice(sorted(self.firm.keys))
