"""Errors named by what to do about them. Everything a bridge can do to us is one of these."""

from datetime import timedelta
from typing import ClassVar


class Verdict(Exception):
    """Base of what a bridge or the vault may raise. Its text holds no secret and is shown."""

    name: ClassVar[str]


class Unavailable(Verdict):
    """The bridge did not do it. Later is safe; it counts against the bridge, not the key."""

    name = "unavailable"


class ExchangeAway(Verdict):
    """The bridge is well and the exchange is not. Later is safe; only this exchange waits."""

    name = "exchange_away"


class Throttled(Verdict):
    """Too fast. Wait at least *retry_after*, if it was named."""

    name = "throttled"

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(Verdict):
    """The exchange knows these credentials to be wrong. The same request fails again."""

    name = "refused"


class MassRefusal(Verdict):
    """The exchange refuses nearly everything, so the fault is hardly the keys'. It pauses."""

    name = "mass_refusal"


class Unsupported(Verdict):
    """This bridge cannot do that, for any credentials. Park until key or bridge change."""

    name = "unsupported"


class Undecryptable(Unsupported):
    """No key of our keyring reads this row."""

    name = "undecryptable"


class Unclear(Verdict):
    """It may or may not have happened. Observe before acting again."""

    name = "unclear"


class CredentialsTaken(Verdict):
    """Another client's slot was given the same credentials before: nothing was sent."""

    name = "conflict"


class NotThere(Verdict):
    """The bridge has no such connector."""

    name = "not_there"


class StoreError(Exception):
    """The database did not do it: nothing was written. Try again later."""


class LeaseLost(Exception):
    """Another replica holds the bridge, or may by now. Nothing was written."""
