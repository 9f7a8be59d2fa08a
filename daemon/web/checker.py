"""Proves credentials before they are stored, where the bridge can; says so where it cannot."""

from dataclasses import dataclass
from math import ceil
from typing import NoReturn, Protocol

from daemon.bridges.checks import Check
from daemon.entry import BadEntry, KeyEntry
from daemon.store.people import Client
from daemon.web.forms import ExchangeForms
from daemon.web.models import Checked
from daemon.web.problems import Problem
from reconciler.model import Credentials, Slot
from reconciler.slots import connector_name
from reconciler.verdicts import Refused, Throttled, Unsupported, Verdict


class Bridges(Protocol):
    """The bridges of the settings."""

    async def check(self, slot: Slot, credentials: Credentials) -> Check:
        """Prove credentials by a call, and keep nothing. Raises a verdict."""
        ...


@dataclass(slots=True)
class Checker:
    bridges: Bridges
    forms: ExchangeForms

    async def require_whole(self, entry: KeyEntry, client: Client | None) -> None:
        """Raise BadEntry for a field that is missing and known to be needed."""
        if words := await self.forms.lacking(client, entry):
            raise BadEntry(words)

    async def check(self, entry: KeyEntry, client: Client | None) -> Checked:
        """Ask the bridge that would get this key. Raises Problem unless nothing speaks against it.

        Without a *client*, the way out is anybody's. Raises BadEntry for a field that is missing.
        """
        await self.require_whole(entry, client)
        slot = self._slot(entry, client)
        credentials = Credentials(entry.api_key, entry.api_secret, entry.passphrase)
        try:
            found = await self.bridges.check(slot, credentials)
        except Verdict as verdict:
            _give_up(verdict)
        return _checked(slot, found)

    def _slot(self, entry: KeyEntry, client: Client | None) -> Slot:
        bridge = self.forms.bridge_of(client, entry.exchange)
        connector = connector_name(entry.exchange, testnet=entry.is_testnet)
        return Slot(bridge, client.account if client else "", connector)


def _give_up(verdict: Verdict) -> NoReturn:
    match verdict:
        case Refused():
            words = f"The exchange refuses these credentials: {verdict}. Nothing was saved."
            raise Problem("refused", words) from None
        case Unsupported():
            words = f"The Trading Bridge cannot use this: {verdict}. Nothing was saved."
            raise Problem("unsupported", words) from None
        case Throttled(retry_after=wait) if wait:
            headers = {"Retry-After": str(ceil(wait.total_seconds()))}
            raise Problem("bridge_unavailable", _unproven(verdict), headers=headers) from None
        case _:
            raise Problem("bridge_unavailable", _unproven(verdict)) from None


def _unproven(verdict: Verdict) -> str:
    return (
        f"The credentials could not be verified: {verdict}. Nothing was saved; to save them"
        " unverified, send them again without verify."
    )


def _checked(slot: Slot, found: Check) -> Checked:
    words = f"{slot.connector} accepted these credentials" if found.proven else "not proven"
    return Checked(
        verified="ok" if found.proven else "unknown",
        words=f"{words}: {found.why}" if found.why else words,
        bridge=slot.bridge,
        connector=slot.connector,
        rights=found.rights,
        warnings=list(found.warnings),
    )
