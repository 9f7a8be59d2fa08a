"""Where bridges of one contract differ: how ours lists, verifies and removes, and how others do."""

from typing import Protocol
from urllib.parse import quote

from daemon.bridges.balances import Balances, Failure, portfolio
from daemon.bridges.checks import proof
from daemon.bridges.line import MIB, Line, Patience
from daemon.bridges.listing import TESTNET, Foreign, Listing, ours, story
from daemon.bridges.translate import Answer, in_words, made, spoken, verdict
from daemon.scrub import scrubbed, shown
from reconciler.model import BridgeName, Proof, Slot, Verified
from reconciler.ports import Clock
from reconciler.verdicts import (
    ExchangeAway,
    NotThere,
    Throttled,
    Unavailable,
    Unclear,
    Unsupported,
    Verdict,
)

_LISTING = 64 * MIB
_NO_SUCH_REQUEST = frozenset({400, 404, 405, 422, 501})


class Dialect(Protocol):
    """One way to speak to a Trading Bridge."""

    name: str

    async def listing(self) -> Listing:
        """Raises Foreign if the bridge speaks another one."""
        ...

    def accepts(self, slot: Slot) -> None:
        """Raises Unsupported if the bridge would put this connector somewhere else."""
        ...

    def label(self, fingerprint: str) -> dict[str, str]:
        """Return the fields of an add that carry the fingerprint."""
        ...

    async def verify(self, slot: Slot) -> Proof: ...

    async def remove(self, slot: Slot, fingerprint: str | None) -> None: ...


class Spoken:
    """What all dialects share: asking, and telling success from failure."""

    def __init__(self, bridge: BridgeName, line: Line, clock: Clock, patience: Patience) -> None:
        self.bridge, self.line, self.clock, self.patience = bridge, line, clock, patience
        self._last: Listing | None = None

    def failure(self, answer: Answer, secrets: tuple[str, ...] = ()) -> Verdict:
        return verdict(answer, self.clock.now(), (*secrets, *self.line.secrets))

    def done(self, answer: Answer, secrets: tuple[str, ...] = ()) -> None:
        """Return if the bridge says that it has done it; else raise what that means."""
        if not answer.ok:
            raise self.failure(answer, secrets)
        said = answer.json()
        if answer.status == 204 or _says_success(said):
            return
        known = isinstance(said, dict)
        text = scrubbed(in_words(said), (*secrets, *self.line.secrets)) if known else ""
        why = text or "the bridge answered with something that is not its contract"
        message = shown(f"HTTP {answer.status}: {why}")
        raise spoken(text, message, self.clock.now()) or Unclear(message)

    async def _listed(self, path: str) -> Answer:
        """Ask for a listing; an unchanged one costs the bridge next to nothing."""
        known = {"If-None-Match": self._last.etag} if self._last and self._last.etag else None
        seconds = self.patience.listing
        return await self.line.ask("GET", path, seconds=seconds, headers=known, largest=_LISTING)

    def _kept(self, listing: Listing) -> Listing:
        self._last = listing
        return listing


def _says_success(said: object) -> bool:
    if not isinstance(said, dict):
        return False
    return said.get("success", not said.keys() & {"error", "detail"}) is True


class Ours(Spoken):
    """Our own Trading Bridge, which keeps fingerprints and says what it means."""

    name = "ours"

    async def listing(self) -> Listing:
        answer = await self._listed("connectors")
        if answer.status == 304 and self._last:
            return self._last
        if answer.status in _NO_SUCH_REQUEST:
            raise Foreign
        if not answer.ok:
            raise _of_bridge(self.failure(answer))
        return self._kept(await ours(self.bridge, answer, self._last))

    def accepts(self, slot: Slot) -> None:
        """It knows testnets, and says itself where there is none."""

    def label(self, fingerprint: str) -> dict[str, str]:
        return {"fingerprint": fingerprint}

    async def verify(self, slot: Slot) -> Proof:
        body = {"account_name": slot.account, "connector_name": slot.connector}
        seconds = self.patience.proof
        answer = await self.line.ask("POST", "connectors/verify", body=body, seconds=seconds)
        self.done(answer)
        return proof(answer)

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        path = f"connectors/{quote(slot.account, safe='')}/{quote(slot.connector, safe='')}"
        query = {"fingerprint": fingerprint} if fingerprint else None
        seconds = self.patience.change
        answer = await self.line.ask("DELETE", path, query=query, seconds=seconds)
        self.done(answer)
        if (answer.json() or {}).get("removed") is False:
            raise NotThere("the bridge had no such connector")


class Story(Spoken):
    """A Trading Bridge of the story: it forgets, labels nothing, and removes nothing."""

    name = "story"

    async def listing(self) -> Listing:
        answer = await self._listed("accounts")
        if answer.status == 304 and self._last:
            return self._last
        if answer.status == 404:
            raise Unavailable("HTTP 404: there is no Trading Bridge at this URL")
        if not answer.ok:
            raise _of_bridge(self.failure(answer))
        return self._kept(await story(self.bridge, answer, self._last))

    def accepts(self, slot: Slot) -> None:
        if slot.connector.endswith(TESTNET):
            raise Unsupported(
                "this bridge has no testnets: it would use the key on the real exchange"
            )

    def label(self, fingerprint: str) -> dict[str, str]:  # noqa: ARG002 - it keeps none
        return {}

    async def verify(self, slot: Slot) -> Proof:
        """Read the balances: the only authenticated call there is."""
        query, seconds = {"account": slot.account}, self.patience.proof
        answer = await self.line.ask("GET", "portfolio", query=query, seconds=seconds)
        if answer.status == 404:
            raise NotThere(f"the bridge has no account {shown(slot.account)!r}")
        if not answer.ok:
            raise self.failure(answer)
        found = portfolio(answer, self.clock.now())
        of_it = found.by_connector.get(slot.connector) if found.keyed else None
        return Proof(_proven(of_it))

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:  # noqa: ARG002
        raise Unsupported("this bridge has no way to remove a connector")


def _proven(found: Balances | Failure | None) -> Verified:
    if isinstance(found, Failure):
        raise found.verdict
    # Such bridges show an empty balance also when the exchange answered with nonsense.
    return Verified.OK if found and found.amounts else Verified.UNKNOWN


def _of_bridge(found: Verdict) -> Verdict:
    """A listing speaks of no key and no exchange, so nor may its failure."""
    if isinstance(found, Unavailable | Throttled | Unclear):
        return found
    return made(Unavailable if isinstance(found, ExchangeAway) else Unclear, str(found))
