"""What the owner of a key should think about: said of its rights whenever they are shown. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from reconciler.model import Instant, Rights

_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Warned:
    """*code* is for programs."""

    code: str
    text: str


def warnings_of(rights: Rights | None, now: Instant) -> list[Warned]:
    """Return what is worth a warning for as long as the key is in use."""
    return list(_warnings(rights, now)) if rights else []


def _warnings(rights: Rights, now: Instant) -> Iterator[Warned]:
    if rights.withdraw:
        yield Warned("may_withdraw", "it may withdraw funds: one without that right would do")
    if rights.expires_at and rights.expires_at - now < _SOON:
        yield Warned("expires_soon", f"its rights {_end(rights.expires_at, now)}: rotate it")


def _end(then: Instant, now: Instant) -> str:
    if then <= now:
        return f"ended on {then:%Y-%m-%d}"
    days = (then - now).days
    return f"end on {then:%Y-%m-%d}, in {days} day{'' if days == 1 else 's'}"


def rights_words(rights: Rights) -> str:
    """Say what a key may do, and what is not told.

    >>> rights_words(Rights(read=True, trade=True, withdraw=False))
    'may read and trade, may not withdraw'
    """
    told = {name: getattr(rights, name) for name in ("read", "trade", "withdraw")}
    groups = {
        "may {}": [name for name, may in told.items() if may],
        "may not {}": [name for name, may in told.items() if may is False],
        "{}: not told": [name for name, may in told.items() if may is None],
    }
    words = [text.format(_listed(names)) for text, names in groups.items() if names]
    if rights.ip_restricted is not None:
        words.append("from its addresses only" if rights.ip_restricted else "from any address")
    if rights.expires_at is not None:
        words.append(f"until {rights.expires_at:%Y-%m-%d}")
    return ", ".join(words)


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
