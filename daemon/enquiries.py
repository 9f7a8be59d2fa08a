"""What people ask of bridges, beside the loops: on lines of its own, as the settings are now."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from daemon.bridges.address import BadBridgeUrl
from daemon.bridges.balances import Balances, Failure
from daemon.bridges.checks import Check
from daemon.bridges.offers import Offer
from daemon.bridges.trading import TradingBridge
from daemon.settings import BridgeSettings, routes_of
from reconciler.model import BridgeName, ClientId, Credentials, Slot
from reconciler.verdicts import Unavailable


@dataclass(slots=True)
class _Opened:
    """One bridge, as it was reached when it was opened, and how many ask it now."""

    settings: BridgeSettings
    bridge: TradingBridge
    stack: AsyncExitStack
    asking: int = 0


@dataclass(slots=True)
class Enquiries:
    """Opens a bridge when it is first asked, and anew when its settings are other ones."""

    settings: Callable[[], Sequence[BridgeSettings]]
    open: Callable[[BridgeSettings], AbstractAsyncContextManager[TradingBridge]]
    _open: dict[BridgeName, _Opened] = field(default_factory=dict)

    async def balances(
        self,
        bridge: BridgeName,
        account: str,
        expected: Collection[str],
        wait: float | None = None,
    ) -> Mapping[str, Balances | Failure]:
        """Raises a verdict; see `TradingBridge.balances`."""
        async with self._asked(bridge) as asked:
            return await asked.balances(account, expected, wait)

    async def check(self, slot: Slot, credentials: Credentials) -> Check:
        """Raises a verdict; see `TradingBridge.check`."""
        async with self._asked(slot.bridge) as asked:
            return await asked.check(slot, credentials)

    def names(self) -> Sequence[BridgeName]:
        """Return all bridges."""
        return [each.name for each in self.settings()]

    def bridge_of(self, client_id: ClientId, name: str, exchange: str) -> BridgeName:
        """Return the bridge that such a key goes to."""
        return routes_of(self.settings()).bridge_of(client_id, name, exchange)

    async def exchanges(self, bridge: BridgeName) -> Mapping[str, Offer]:
        """Raises a verdict; see `TradingBridge.exchanges`."""
        async with self._asked(bridge) as asked:
            return await asked.exchanges()

    async def close(self) -> None:
        """Let go of all that is open."""
        while self._open:
            _, opened = self._open.popitem()
            await opened.stack.aclose()

    @asynccontextmanager
    async def _asked(self, name: BridgeName) -> AsyncIterator[TradingBridge]:
        opened = await self._current(name)
        opened.asking += 1
        try:
            yield opened.bridge
        finally:
            opened.asking -= 1
            if self._open.get(name) is not opened:
                await _let_go(opened)

    async def _current(self, name: BridgeName) -> _Opened:
        wanted = next((each for each in self.settings() if each.name == name), None)
        known = self._open.get(name)
        if known is not None and known.settings == wanted:
            return known
        if known is not None:
            await _let_go(self._open.pop(name))
        if wanted is None:
            raise Unavailable(f"the bridge {name!r} is no longer in the settings")
        return await self._opened(wanted)

    async def _opened(self, wanted: BridgeSettings) -> _Opened:
        stack = AsyncExitStack()
        try:
            bridge = await stack.enter_async_context(self.open(wanted))
        except BadBridgeUrl as error:  # a file of it has gone since it was checked
            raise Unavailable(f"the bridge {wanted.name!r} cannot be used: {error}") from None
        opened = self._open[wanted.name] = _Opened(wanted, bridge, stack)
        return opened


async def _let_go(opened: _Opened) -> None:
    """Close what nobody asks any more; whoever still does closes it later."""
    if not opened.asking:
        await opened.stack.aclose()
