"""The Trading Bridge over HTTP, ours or one of the story's: which one it is, it finds out."""

import math
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from weakref import WeakValueDictionary

import anyio
import structlog

from daemon.bridges.access import Access
from daemon.bridges.balances import Balances, Failure, Late, portfolio
from daemon.bridges.checks import CANNOT, Check, cannot, check
from daemon.bridges.dialects import Dialect, Ours, Story
from daemon.bridges.line import Line, Patience, open_line
from daemon.bridges.listing import Foreign, Listing
from daemon.bridges.offers import Offer, offers
from daemon.scrub import shown
from reconciler.model import BridgeName, Credentials, Observation, Proof, Slot
from reconciler.ports import Clock
from reconciler.verdicts import NotThere, Unavailable

log = structlog.get_logger()
_NOBODY_BEHIND = (502, 503, 504)
_ON_ITS_WAY = 0.5
"""Seconds that an answer may be on its way once the bridge has given it."""


class TradingBridge:
    """A `reconciler.ports.Bridge`."""

    def __init__(
        self, name: BridgeName, line: Line, clock: Clock, patience: Patience | None = None
    ) -> None:
        self.name, self._line, self._clock = name, line, clock
        self._patience = patience or Patience()
        self._ours = Ours(name, line, clock, self._patience)
        self._story = Story(name, line, clock, self._patience)
        self._dialect: Dialect | None = None
        self._sure = False
        self._accounts: set[str] = set()
        self._making: WeakValueDictionary[str, anyio.Lock] = WeakValueDictionary()
        self._finding_out = anyio.Lock()

    # -- the port ----------------------------------------------------------------------------

    async def observe(self) -> Observation:
        """Return one whole listing, the same object as before if the bridge says 304."""
        self._sure, sure = False, self._sure
        with self._noticing_absence():
            listing = await self._listing(self._dialect if sure else None)
        # A boot id in the story's listing may be ours, met while it was coming up.
        self._sure = self._dialect is self._ours or listing.observation.boot_id is None
        self._accounts = set(listing.accounts)
        return listing.observation

    async def pulse(self) -> str | None:
        """Return the boot id; one of the story has none, but tells that it lives."""
        answer = await self._line.ask("GET", "health", seconds=self._patience.connect)
        if answer.status in _NOBODY_BEHIND:
            raise Unavailable(f"HTTP {answer.status}: the bridge is not behind its proxy")
        said = answer.json()
        return said.get("boot_id") if isinstance(said, dict) else None

    async def initialize(self, slot: Slot, credentials: Credentials, fingerprint: str) -> None:
        """Add the connector, its account before it; credentials go nowhere else."""
        dialect = await self._speaking()
        dialect.accepts(slot)
        with self._noticing_absence():
            await self._make_account(slot.account)
            await self._add(slot, credentials, dialect.label(fingerprint))

    async def verify(self, slot: Slot) -> Proof:
        """Prove the connector, by the balances where there is no other way."""
        dialect = await self._speaking()
        with self._noticing_absence():
            return await dialect.verify(slot)

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        """Remove the connector if it still has *fingerprint*."""
        dialect = await self._speaking()
        with self._noticing_absence():
            await dialect.remove(slot, fingerprint)

    # -- more than the port ------------------------------------------------------------------

    async def balances(
        self, account: str, expected: Collection[str] = (), wait: float | None = None
    ) -> Mapping[str, Balances | Failure]:
        """Return balances, or why there are none, by connector; each *expected* one is there.

        After *wait* seconds, what is not told is Late: by exchange where the bridge tells those
        that are there. Raises NotThere if the bridge has no such account, or another verdict.
        """
        query, seconds = {"account": account}, self._patience.proof
        if wait is not None:
            query["wait"] = f"{wait:g}"
        with self._noticing_absence():
            with anyio.move_on_after(math.inf if wait is None else wait + _ON_ITS_WAY) as patience:
                answer = await self._line.ask("GET", "portfolio", query=query, seconds=seconds)
            if patience.cancelled_caught:
                raise Late(f"the bridge has not told within {wait:g} s")
            if answer.status == 404:
                raise NotThere(f"the bridge has no account {shown(account)!r}")
            if not answer.ok:
                raise self._ours.failure(answer)
        return portfolio(answer, self._clock.now()).explained(expected)

    async def check(self, slot: Slot, credentials: Credentials) -> Check:
        """Prove credentials that no connector has yet; no account is made for it.

        Raises a verdict if they are refused, or could not be tried. A bridge that knows no such
        request is no failure: then nobody knows.
        """
        secret = _secret_fields(slot, credentials)
        whose = {"account_name": slot.account} if slot.account else {}
        body = {"connector_name": slot.connector, **whose, **secret}
        seconds = self._patience.proof
        with self._noticing_absence():
            answer = await self._line.ask("POST", "credentials/check", body=body, seconds=seconds)
            if cannot(answer):
                return CANNOT
            secrets = (*secret.values(), *self._line.secrets)
            self._ours.done(answer, secrets)
        return check(answer, secrets)

    async def exchanges(self) -> Mapping[str, Offer]:
        """Return what it tells of the exchanges that it serves; nothing if it tells nothing.

        Raises a verdict.
        """
        seconds = self._patience.listing
        answer = await self._line.ask("GET", "connectors/supported", seconds=seconds)
        return offers(answer.json()) if answer.ok else {}

    # -- which dialect -----------------------------------------------------------------------

    async def _listing(self, dialect: Dialect | None) -> Listing:
        if dialect is not self._story:
            try:
                return self._settled_on(self._ours, await self._ours.listing())
            except Foreign:
                pass
        return self._settled_on(self._story, await self._story.listing())

    def _settled_on(self, dialect: Dialect, listing: Listing) -> Listing:
        if dialect is not self._dialect:
            log.info("bridge_dialect", bridge=self.name, dialect=dialect.name)
        self._dialect = dialect
        return listing

    async def _speaking(self) -> Dialect:
        if self._dialect is None:
            async with self._finding_out:
                if self._dialect is None:
                    await self.observe()
        return self._dialect or self._story

    @contextmanager
    def _noticing_absence(self) -> Iterator[None]:
        """What was away may come back as another bridge, or without its accounts."""
        try:
            yield
        except Unavailable:
            self._sure = False
            self._accounts.clear()
            raise

    # -- adding ------------------------------------------------------------------------------

    async def _make_account(self, account: str) -> None:
        if account not in self._accounts:
            async with self._making.setdefault(account, anyio.Lock()):
                await self._make_account_once(account)

    async def _make_account_once(self, account: str) -> None:
        if account in self._accounts:
            return
        body, seconds = {"account_name": account}, self._patience.change
        answer = await self._line.ask("POST", "accounts/create", body=body, seconds=seconds)
        if answer.status != 409:
            self._ours.done(answer)
        self._accounts.add(account)

    async def _add(self, slot: Slot, credentials: Credentials, label: dict[str, str]) -> None:
        secret = _secret_fields(slot, credentials)
        body = {"account_name": slot.account, "connector_name": slot.connector, **secret, **label}
        seconds = self._patience.change
        answer = await self._line.ask("POST", "connectors/add", body=body, seconds=seconds)
        if answer.status == 404:  # it may have forgotten the account since
            self._accounts.discard(slot.account)
        self._ours.done(answer, tuple(secret.values()))


def _secret_fields(slot: Slot, credentials: Credentials) -> dict[str, str]:
    fields = {
        "api_key": credentials.api_key.reveal(),
        "api_secret": credentials.api_secret.reveal(),
    }
    if credentials.passphrase is not None:
        fields["password"] = credentials.passphrase.reveal()
        if slot.connector == "bitmart":
            fields["memo"] = fields["password"]
    return fields


@asynccontextmanager
async def open_bridge(
    name: BridgeName,
    url: str,
    clock: Clock,
    *,
    access: Access | None = None,
    plain_http: bool = False,
    patience: Patience | None = None,
) -> AsyncIterator[TradingBridge]:
    """Hold one bridge for the life of the process. See `address` for *url*.

    Raises BadBridgeUrl.
    """
    patience = patience or Patience()
    opened = open_line(url, access=access, plain_http=plain_http, connect=patience.connect)
    async with opened as line:
        yield TradingBridge(name, line, clock, patience)
