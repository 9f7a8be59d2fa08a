"""What proving credentials finds, and what their owner should be warned of."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bridge.ask import asking
from bridge.errors import Trouble
from bridge.rights import READERS, Rights

_SOON = timedelta(days=30)


class Warned(NamedTuple):
    code: str
    text: str


class Reading(NamedTuple):
    """`why` says in words why there are no rights; it holds no secret."""

    rights: Rights | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Proof:
    """`at` is None where the exchange answers anybody, so that nothing was proven.

    `rights_note` says why there are no rights.
    """

    at: datetime | None
    rights: Rights | None
    rights_note: str | None
    warnings: list[Warned]


async def rights_of(exchange: str, remote: Any, secrets: list[str], limit_s: float) -> Reading:
    """Ask *exchange* what the key of *remote* may do. Never raises: a proof stands without it."""
    reader = READERS.get(exchange)
    if reader is None:
        return Reading(None, f"{exchange} does not tell what a key may do, or not to this bridge")
    try:
        with asking(exchange, remote, secrets, limit_s):
            return Reading(reader.read(await reader.ask(remote)), None)
    except Trouble as trouble:
        return Reading(None, f"what this key may do could not be read: {trouble.detail}")


def proven(at: datetime, reading: Reading) -> Proof:
    return Proof(at, reading.rights, reading.why, warnings(reading.rights, at))


def unproven(exchange: str) -> Proof:
    words = f"{exchange} shows balances to anybody, so these credentials are not proven"
    return Proof(None, None, words, [Warned("unproven", words)])


def warnings(rights: Rights | None, now: datetime) -> list[Warned]:
    if rights is None:
        return []
    found = []
    if rights.withdraw:
        text = "this key may withdraw funds: one without that right would do"
        found.append(Warned("may_withdraw", text))
    if rights.expires_at is not None and rights.expires_at - now < _SOON:
        found.append(Warned("expires_soon", _expiry(rights.expires_at, now)))
    if rights.ip_restricted is False:
        text = "this key is bound to no address: whoever finds it can use it from anywhere"
        found.append(Warned("any_address", text))
    return found


def _expiry(then: datetime, now: datetime) -> str:
    days = (then - now).days
    when = "which is past" if then <= now else f"in {days} day{'' if days == 1 else 's'}"
    return f"the rights of this key end on {then:%Y-%m-%d}, {when}"
