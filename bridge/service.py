"""What the bridge does, apart from HTTP: add, prove, remove, read balances."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import structlog

from bridge.ask import Amounts, balance
from bridge.catalogue import canonical, proves
from bridge.connectors import Connector, Registry
from bridge.credentials import Offered
from bridge.errors import Trouble
from bridge.late import Late
from bridge.metrics import Metrics
from bridge.proof import Proof, proven, rights_of, unproven
from bridge.shelf import Shelf

log = structlog.get_logger()
RIGHTS_LIMIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Added:
    """`proof` is None when none was asked for."""

    connector: str
    markets_loaded: int
    news: str
    proof: Proof | None = None


class Service:
    """`limit_s` bounds each question to an exchange as a whole."""

    def __init__(
        self, registry: Registry, shelf: Shelf, metrics: Metrics, limit_s: float = 20.0
    ) -> None:
        self.registry, self.shelf, self.metrics = registry, shelf, metrics
        self._limit_s = limit_s
        self._late = Late()

    def close(self) -> None:
        """Ask nothing any more."""
        self._late.close()

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
        if self.registry.repeats(account, name, offered, fingerprint, verify=verify):
            proof = await self.verify(account, name) if verify else None
            return Added(name, template.markets_loaded, "was there already", proof)
        remote = self.shelf.make(name, offered, account)
        proof = await self._proven_for(account, name, remote, offered) if verify else None
        made = self.registry.put(account, name, offered, remote, fingerprint)
        if proof:
            self.registry.answered(made, proof.at)
        template.warm()
        log.info("connector_added", account=account, connector=name, proven=bool(proof))
        return Added(name, template.markets_loaded, "added", proof)

    async def check(self, connector: str, offered: Offered, account: str | None = None) -> Proof:
        """Prove credentials, the way that *account* goes, and keep nothing. Raises `Trouble`."""
        name = canonical(connector)
        return await self._proven(name, self.shelf.make(name, offered, account), offered)

    async def verify(self, account: str, connector: str) -> Proof:
        """Prove a connector by an authenticated call. Raises `Trouble`."""
        held = self.registry.connector(account, canonical(connector))
        try:
            proof = await self._proven(held.name, held.remote, held.offered)
        except Trouble as trouble:
            self._still(account, held.name, held)
            self.registry.failed(held, trouble)
            raise
        self._still(account, held.name, held)
        self.registry.answered(held, proof.at)
        return proof

    async def _proven_for(self, account: str, name: str, remote: Any, offered: Offered) -> Proof:
        before = self.registry.find(account, name)
        proof = await self._proven(name, remote, offered)
        self._still(account, name, before)
        return proof

    def _still(self, account: str, name: str, before: Connector | None) -> None:
        """Raise `Trouble` conflict if the slot has changed since."""
        if self.registry.find(account, name) is not before:
            raise Trouble("conflict", "The connector was changed meanwhile; nothing done")

    async def _proven(self, name: str, remote: Any, offered: Offered) -> Proof:
        await self._ask(name, remote, offered)
        at = self._proven_at(name)
        if at is None:
            return unproven(name)
        limit_s = min(RIGHTS_LIMIT_S, self._limit_s)
        return proven(at, await rights_of(name, remote, offered.secrets(), limit_s))

    def _proven_at(self, name: str) -> datetime | None:
        """Return now, or None if the answer just had says nothing of the credentials."""
        return self.registry.now() if proves(name) else None

    def remove(self, account: str, connector: str, fingerprint: str | None) -> bool:
        """Drop a connector, True if there was one. Raises `Trouble` conflict."""
        name = canonical(connector)
        removed = self.registry.remove(account, name, fingerprint)
        if removed:
            log.info("connector_removed", account=account, connector=name)
        return removed

    async def portfolio(self, account: str, wait_s: float | None = None) -> dict[str, Any]:
        """Ask all exchanges of *account* at once: {exchange: balances or {error, code}}.

        One that takes longer than *wait_s* is an error, and is asked on: the next one to ask soon
        has its answer.
        """
        held = list(self.registry.account(account).connectors.values())
        if wait_s is not None:
            questions = {each: partial(self._balances, each) for each in held}
            found = await self._late.asked(questions, wait_s)
            return {each.name: _told(each.name, found[each], wait_s) for each in held}
        answers = await asyncio.gather(*(self._balances(connector) for connector in held))
        return {c.name: answer for c, answer in zip(held, answers, strict=True)}

    async def _balances(self, held: Connector) -> dict[str, Any]:
        try:
            found = await self._ask(held.name, held.remote, held.offered)
        except Trouble as trouble:
            self.registry.failed(held, trouble)
            return {"error": trouble.detail, "code": trouble.code}
        self.registry.answered(held, self._proven_at(held.name))
        return dict(found)

    async def _ask(self, name: str, remote: Any, offered: Offered) -> dict[str, Amounts]:
        try:
            found = await balance(name, remote, offered.secrets(), self._limit_s)
        except Trouble as trouble:
            self.metrics.asked(name, trouble.code)
            log.info("exchange_failed", exchange=name, code=trouble.code, detail=trouble.detail)
            raise
        self.metrics.asked(name, "ok")
        return found


def _told(exchange: str, answer: dict[str, Any] | None, wait_s: float) -> dict[str, Any]:
    if answer is not None:
        return answer
    words = f"{exchange} has not answered within {wait_s:g} s; it is asked on, so ask again soon"
    return {"error": words, "code": "timeout"}
