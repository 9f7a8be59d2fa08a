"""What the bridge does, apart from HTTP: add, prove, remove, read balances."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from bridge.ask import Amounts, balance
from bridge.catalogue import canonical
from bridge.connectors import Connector, Registry
from bridge.credentials import Offered
from bridge.errors import Trouble
from bridge.metrics import Metrics
from bridge.shelf import Shelf

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Added:
    connector: str
    markets_loaded: int
    news: str


class Service:
    """`limit_s` bounds each question to an exchange as a whole."""

    def __init__(
        self, registry: Registry, shelf: Shelf, metrics: Metrics, limit_s: float = 20.0
    ) -> None:
        self.registry, self.shelf, self.metrics = registry, shelf, metrics
        self._limit_s = limit_s

    async def add(
        self,
        account: str,
        connector: str,
        offered: Offered,
        fingerprint: str | None = None,
        *,
        verify: bool = False,
    ) -> Added:
        """File a connector, proven first if *verify*; nothing changes when this raises."""
        name = canonical(connector)
        template = self.shelf.get(name)
        if self.registry.holds(account, name, fingerprint):
            return Added(name, template.markets_loaded, "was there already")
        remote = template.make(offered)
        if verify:
            await self._ask(name, remote, offered)
        made = self.registry.put(account, name, offered, remote, fingerprint)
        if verify:
            self.registry.proved(made)
        template.warm()
        log.info("connector_added", account=account, connector=name, proven=verify)
        return Added(name, template.markets_loaded, "added")

    async def check(self, connector: str, offered: Offered) -> None:
        """Prove credentials and keep nothing. Raises `Trouble`."""
        name = canonical(connector)
        await self._ask(name, self.shelf.get(name).make(offered), offered)

    async def verify(self, account: str, connector: str) -> datetime:
        """Prove a connector by an authenticated call. Raises `Trouble`."""
        held = self.registry.connector(account, canonical(connector))
        await self._ask_for(held)
        if self.registry.connector(account, held.name) is not held:
            raise Trouble("conflict", "The connector was replaced meanwhile; verify again")
        return self.registry.proved(held)

    def remove(self, account: str, connector: str, fingerprint: str | None) -> bool:
        """Drop a connector, True if there was one. Raises `Trouble` conflict."""
        name = canonical(connector)
        removed = self.registry.remove(account, name, fingerprint)
        if removed:
            log.info("connector_removed", account=account, connector=name)
        return removed

    async def portfolio(self, account: str) -> dict[str, Any]:
        """Ask all exchanges of *account* at once: {exchange: balances or {error, code}}."""
        held = list(self.registry.account(account).connectors.values())
        answers = await asyncio.gather(*(self._balances(connector) for connector in held))
        return {c.name: answer for c, answer in zip(held, answers, strict=True)}

    async def _balances(self, held: Connector) -> dict[str, Any]:
        try:
            found = await self._ask_for(held)
        except Trouble as trouble:
            return {"error": trouble.detail, "code": trouble.code}
        if held.state != "verified":
            self.registry.proved(held)
        return dict(found)

    async def _ask_for(self, held: Connector) -> dict[str, Amounts]:
        try:
            return await self._ask(held.name, held.remote, held.offered)
        except Trouble as trouble:
            self.registry.failed(held, trouble.code)
            raise

    async def _ask(self, name: str, remote: Any, offered: Offered) -> dict[str, Amounts]:
        try:
            found = await balance(name, remote, offered.secrets(), self._limit_s)
        except Trouble as trouble:
            self.metrics.asked(name, trouble.code)
            log.info("exchange_failed", exchange=name, code=trouble.code, detail=trouble.detail)
            raise
        self.metrics.asked(name, "ok")
        return found
