"""Reads balances in both shapes that bridges answer with; what is missing is said, never empty."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import msgspec

from daemon.bridges.listing import known_as
from daemon.bridges.translate import CODES, Answer, in_words, made, spoken
from daemon.scrub import scrubbed, shown
from reconciler.model import Instant
from reconciler.verdicts import ExchangeAway, Unclear, Verdict

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_TOTAL, _FREE, _LOCKED = ("total",), ("free", "available"), ("locked", "used")
_NAMES = frozenset({*_TOTAL, *_FREE, *_LOCKED})
_MAGNITUDE = 60
"""No amount of anything has more digits before or after the point."""
_EXACT = Context(prec=2 * _MAGNITUDE + 1)


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of one asset; None is what the bridge did not say and what cannot be derived."""

    asset: str
    free: Decimal | None
    locked: Decimal | None
    total: Decimal | None


@dataclass(frozen=True, slots=True)
class Balances:
    """What an exchange reported, by asset; none at all is an empty account."""

    amounts: tuple[Amount, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there are no balances."""

    verdict: Verdict

    @property
    def message(self) -> str:
        return str(self.verdict)


class Late(ExchangeAway):
    """It takes longer than anybody wants to wait. It may answer yet."""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The answer for one account. Only a *keyed* one tells an empty account from a silent one."""

    by_connector: Mapping[str, Balances | Failure]
    keyed: bool

    def explained(self, expected: Collection[str]) -> Mapping[str, Balances | Failure]:
        """Add a reason for each *expected* connector that the bridge passed over in silence."""
        why = "the bridge's answer leaves it out" if self.keyed else _SILENT
        missing = {name: Failure(Unclear(why)) for name in sorted(expected)}
        return {**missing, **self.by_connector}


_SILENT = "the bridge lists no balance of it and does not say why: empty, or not asked"


def portfolio(answer: Answer, now: Instant) -> Portfolio:
    """Read a 200 of /portfolio. Raises Unclear."""
    try:
        said = _DECODER.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError, InvalidOperation):
        said = None
    match said:
        case {"balances": dict(entries)}:
            return Portfolio(_merged((n, _entry(e, now)) for n, e in entries.items()), keyed=True)
        case {"balances": list(rows)}:
            return Portfolio(_merged(_listed(rows, now)), keyed=False)
        case _:
            raise Unclear(f"HTTP {answer.status}: the bridge's answer is no portfolio")


def _merged(found: Iterator[tuple[str, Balances | Failure]]) -> Mapping[str, Balances | Failure]:
    """Join what is filed under one exchange; a failure is not covered up by amounts."""
    merged: dict[str, Balances | Failure] = {}
    for name, new in found:
        old = merged.get(known_as(name))
        if isinstance(old, Balances) and isinstance(new, Balances):
            merged[known_as(name)] = Balances(old.amounts + new.amounts)
        elif not isinstance(old, Failure):
            merged[known_as(name)] = new
    return merged


def _entry(said: Any, now: Instant) -> Balances | Failure:
    if not isinstance(said, dict):
        return _nonsense()
    if "error" in said and not isinstance(said["error"], dict):
        return _failure(said, now)
    try:
        return Balances(tuple(_amount(asset, entry) for asset, entry in said.items() if _is(entry)))
    except ValueError:
        return _nonsense()


def _listed(rows: list[Any], now: Instant) -> Iterator[tuple[str, Balances | Failure]]:
    for row in rows:
        name = _first(row, ("connector", "exchange")) if isinstance(row, dict) else None
        if isinstance(name, str):
            yield name, _row(row, now)


def _row(row: dict[str, Any], now: Instant) -> Balances | Failure:
    if row.get("error"):
        return _failure(row, now)
    asset = _first(row, ("asset", "currency", "coin"))
    try:
        return Balances((_amount(asset, row),)) if isinstance(asset, str) else _nonsense()
    except ValueError:
        return _nonsense()


def _failure(said: dict[str, Any], now: Instant) -> Failure:
    text = scrubbed(in_words({"error": said["error"]}))
    message = shown(text) or "the bridge reports an error without words"
    code = said.get("code")
    if code == "timeout":
        return Failure(Late(message))
    if isinstance(code, str) and code in CODES:
        return Failure(made(CODES[code], message))
    return Failure(spoken(text, message, now) or Unclear(message))


def _nonsense() -> Failure:
    return Failure(Unclear("the bridge's answer for it makes no sense"))


def _is(entry: Any) -> bool:
    """Tell an asset from what else ccxt puts beside them."""
    return isinstance(entry, dict) and not _NAMES.isdisjoint(entry)


def _amount(asset: str, said: dict[str, Any]) -> Amount:
    free, locked, total = (_decimal(_first(said, names)) for names in (_FREE, _LOCKED, _TOTAL))
    if total is None and free is not None and locked is not None:
        total = _EXACT.add(free, locked)
    if free is None and total is not None and locked is not None:
        free = _EXACT.subtract(total, locked)
    if locked is None and total is not None and free is not None:
        locked = _EXACT.subtract(total, free)
    return Amount(asset, free, locked, total)


def _decimal(said: Any) -> Decimal | None:
    """Return the number exactly as the bridge wrote it. Raises ValueError."""
    if said is None:
        return None
    try:
        number = Decimal(said)
    except (InvalidOperation, TypeError):
        raise ValueError("not a number") from None
    if not number.is_finite() or (number and abs(number.adjusted()) > _MAGNITUDE):
        raise ValueError("not an amount")
    return number


def _first(said: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)
