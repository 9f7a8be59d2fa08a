"""Whether a refusal speaks of the key or of us: an exchange that refuses nearly all pauses."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from reconciler.desk import Desk
from reconciler.model import Record, Verified
from reconciler.paces import Pace
from reconciler.records import Action, Outcome
from reconciler.refusals import Heard, worked
from reconciler.verdicts import MassRefusal, Refused, StoreError

log = structlog.get_logger()


class Judge:
    """Hears what exchanges say of credentials; nothing parks while one of them refuses all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ports = desk.ports

    async def judged(self, record: Record, outcome: Outcome) -> Outcome:
        """Return *outcome*, or one that blames no key."""
        refused = isinstance(outcome.verdict, Refused)
        if not refused and not _accepted(outcome):
            return outcome
        pace, now = self._desk.paces.of(record.exchange), self._ports.clock.elapsed()
        pace.refusals.hear(record.slot, Heard(now, refused, worked(record)))
        if not refused:
            if pace.refuses_all:
                await self._over(record.exchange, pace)
            return outcome
        if pace.refuses_all or pace.refusals.en_masse(now):
            return self._blameless(record.exchange, pace, outcome)
        return outcome

    async def end_what_is_silent(self, *, asked: bool) -> None:
        """End a mass refusal that would have been heard of again if it still had keys.

        While exchanges are left alone, or the bridge is away and nobody is *asked*, silence says
        nothing.
        """
        rules, now = self._ports.rules, self._ports.clock.elapsed()
        patience = 2 * max(rules.verify_every, rules.quiet.cap).total_seconds()
        for exchange, pace in self._desk.paces.refusing_all():
            if not asked:
                pace.refused_at = now
            elif now - max(pace.refused_at, pace.quiet_until) > patience:
                await self._over(exchange, pace)

    def _blameless(self, exchange: str, pace: Pace, outcome: Outcome) -> Outcome:
        bridge, now = self._desk.lease.bridge, self._ports.clock.elapsed()
        quiet = self._ports.rules.refuses_all.total_seconds()
        wait, pace.refused_at = pace.hush(quiet, now, self._ports.draw), now
        if not pace.refuses_all:
            pace.refuses_all, pace.refuses_since = True, now - pace.refusals.window
            log.error("mass_refusal", bridge=bridge, exchange=exchange, quiet_s=round(wait, 3))
            self._ports.meter.mass_refusal(bridge, exchange, on=True)
        why = f"{exchange} refuses most keys at once, so the fault is hardly this key's"
        return replace(outcome, verdict=MassRefusal(f"{why}: {outcome.verdict}"))

    async def _over(self, exchange: str, pace: Pace) -> None:
        """Ask again about those that were parked before it was noticed."""
        bridge, now = self._desk.lease.bridge, self._ports.clock.now()
        since = now - timedelta(seconds=self._ports.clock.elapsed() - pace.refuses_since)
        pace.refuses_all = False
        pace.refusals.forget()
        log.info("mass_refusal_over", bridge=bridge, exchange=exchange)
        self._ports.meter.mass_refusal(bridge, exchange, on=False)
        with suppress(StoreError):  # they are asked about in some hours, too
            await self._ports.ledger.recheck(self._desk.lease, exchange, since, now)


def _accepted(outcome: Outcome) -> bool:
    """A bridge that cannot prove a connector may have asked the exchange while it added it."""
    proven = outcome.verified is Verified.OK or outcome.action is Action.INITIALIZE
    return proven and outcome.verdict is None and outcome.unproven is None
