"""What a client has where, and why nothing is shown where that is so. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Context, Decimal
from typing import Literal, NamedTuple
from uuid import UUID

from pydantic import BaseModel

from daemon.bridges.balances import Amount, Balances, Failure, Late
from daemon.web.models import KeyState
from daemon.words import cure, cure_for_client, requests, span
from reconciler.model import Phase, Reason, Verified
from reconciler.records import REASONS
from reconciler.verdicts import NotThere, Unsupported, Verdict


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was told *age* seconds before, of one that is late now."""

    balances: Balances
    age: float
    failure: Failure


class Held(NotThere):
    """The bridge has lost it, and a pause keeps it from being put back."""


Answer = Balances | Failure | Remembered
Found = Mapping[tuple[str, str], Answer]
"""What was told of each connector of a client, by bridge and connector."""
State = Literal["ok", "empty", "error", "timeout", "not_connected"]
_EXACT = Context(prec=200)
"""Amounts have up to 60 digits on each side of the point, and none is rounded away."""
Money = str | None


class Balance(BaseModel):
    """One asset on one exchange; null is what was not told."""

    exchange: str
    asset: str
    free: Money
    locked: Money
    total: Money


class Total(BaseModel):
    """One asset on all exchanges that told of it, testnets not counted."""

    asset: str
    free: Money
    locked: Money
    total: Money
    exchanges: list[str]


class KeyBalance(BaseModel):
    """One key, and whether its money is in this answer: if not, `words` say why not.

    "timeout": its exchange is late. If it told before, that is shown, `age_seconds` old.
    """

    id: UUID
    exchange: str
    label: str | None
    is_testnet: bool
    phase: str
    reason: str
    why: str
    todo: str
    due_at: datetime | None
    verified_at: datetime | None
    bridge_up: bool
    connector: str
    balances: State
    words: str
    age_seconds: float | None = None


class Statement(BaseModel):
    """All of a client's balances. `complete`: every active key's money is in it.

    Its oldest part is `age_seconds` old. It is asked for anew `cached_for` seconds after it was, or
    when a key has moved.
    """

    client_id: UUID
    client: str
    complete: bool
    summary: str
    age_seconds: float
    cached_for: float
    balances: list[Balance]
    totals: list[Total]
    keys: list[KeyBalance]

    def for_client(self) -> "Statement":
        """Return the same as it is told to the client itself, who manages no keys here."""
        keys = [k.model_copy(update={"todo": cure_for_client(k.todo)}) for k in self.keys]
        return self.model_copy(update={"keys": keys})


class Age(NamedTuple):
    seconds: float
    at_most: float


def asked_for(key: KeyState) -> bool:
    """Tell whether a bridge has this key's connector: only then may its account be asked."""
    return key.phase == Phase.LIVE


def statement(
    client_id: UUID, client: str, keys: Sequence[KeyState], found: Found, age: Age
) -> Statement:
    told = [(key, found.get((key.bridge, key.connector))) for key in keys]
    lines = [_of_key(key, answer if asked_for(key) else None) for key, answer in told]
    owned = [(key, _amounts(answer)) for key, answer in told if asked_for(key)]
    expected = [line for key, line in zip(keys, lines, strict=True) if key.phase != "inactive"]
    missing = [line for line in expected if line.balances not in ("ok", "empty")]
    return Statement(
        client_id=client_id,
        client=client,
        complete=not missing,
        summary=_summary(expected, missing),
        age_seconds=max(round(age.seconds, 1), *(line.age_seconds or 0.0 for line in lines), 0.0),
        cached_for=age.at_most,
        balances=[_balance(key.connector, each) for key, amounts in owned for each in amounts],
        totals=_totals((k.connector, each) for k, a in owned if not k.is_testnet for each in a),
        keys=lines,
    )


def _of_key(key: KeyState, answer: Answer | None) -> KeyBalance:
    state, words = _state(key, answer)
    names = KeyBalance.model_fields.keys() & KeyState.model_fields.keys()
    values = {name: getattr(key, name) for name in names}
    age = round(answer.age, 1) if isinstance(answer, Remembered) else None
    values["todo"] = _todo(key, answer)
    return KeyBalance(**values, balances=state, words=words, age_seconds=age)


def _todo(key: KeyState, answer: Answer | None) -> str:
    """Return what helps: the key may be well, and its balances not be told."""
    failure = answer.failure if isinstance(answer, Remembered) else answer
    if not isinstance(failure, Failure) or isinstance(failure.verdict, Unsupported):
        return key.todo
    return cure(_reason(failure.verdict), requests(str(key.id), str(key.client_id)))


def _reason(verdict: Verdict) -> Reason:
    if isinstance(verdict, Held):
        return Reason.PAUSED
    kinds = (kind for kind in type(verdict).__mro__ if kind in REASONS)
    return next((REASONS[kind] for kind in kinds), Reason.UNCLEAR)


def is_lost(told: Answer | None) -> bool:
    return isinstance(told, Failure) and isinstance(told.verdict, NotThere)


def is_late(told: Answer) -> bool:
    return isinstance(told, Failure) and isinstance(told.verdict, Late)


def _state(key: KeyState, answer: Answer | None) -> tuple[State, str]:
    if not asked_for(key):
        return "not_connected", f"not connected: {key.why}"
    match answer:
        case None:
            return "error", "the bridge did not tell of it"
        case Remembered(age=age, failure=failure):
            ago = span(timedelta(seconds=age))
            return "timeout", f"{failure.message}; what is shown is {ago} old"
        case Failure():
            return "timeout" if is_late(answer) else "error", answer.message
        case Balances():
            return _told(key, len(_amounts(answer)))


def _told(key: KeyState, assets: int) -> tuple[State, str]:
    if assets:
        return "ok", f"{key.exchange} tells of {assets} {'asset' if assets == 1 else 'assets'}"
    if key.verified == Verified.OK:
        return "empty", f"{key.exchange} tells of no assets: the account is empty"
    return "empty", (
        f"{key.exchange} tells of no assets, but this key was not proven to work: look there, too"
    )


def _amounts(answer: Answer | None) -> list[Amount]:
    """Return what there is something of: exchanges list every asset that they know."""
    if isinstance(answer, Remembered):
        answer = answer.balances
    if not isinstance(answer, Balances):
        return []
    return [each for each in answer.amounts if each.free or each.locked or each.total]


def _balance(exchange: str, amount: Amount) -> Balance:
    return Balance(
        exchange=exchange,
        asset=amount.asset,
        free=plain(amount.free),
        locked=plain(amount.locked),
        total=plain(amount.total),
    )


def _totals(amounts: Iterable[tuple[str, Amount]]) -> list[Total]:
    by_asset: dict[str, list[tuple[str, Amount]]] = {}
    for exchange, amount in amounts:
        by_asset.setdefault(amount.asset, []).append((exchange, amount))
    return [
        Total(
            asset=asset,
            free=plain(_sum(each.free for _, each in found)),
            locked=plain(_sum(each.locked for _, each in found)),
            total=plain(_sum(each.total for _, each in found)),
            exchanges=sorted({exchange for exchange, _ in found}),
        )
        for asset, found in sorted(by_asset.items())
    ]


def _sum(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Add them up exactly; None if one is not known."""
    total = Decimal(0)
    for amount in amounts:
        if amount is None:
            return None
        total = _EXACT.add(total, amount)
    return total


def plain(amount: Decimal | None) -> str | None:
    """Return *amount* in digits, without an exponent.

    >>> plain(Decimal("1E-8")), plain(Decimal("1E+3"))
    ('0.00000001', '1000')
    """
    return None if amount is None else format(amount, "f")


def _summary(expected: Sequence[KeyBalance], missing: Sequence[KeyBalance]) -> str:
    """Say in one line what the numbers are worth, so that nothing is never silent."""
    if not expected:
        return "There is no active key, so there are no balances to show."
    if missing:
        where = defaultdict[str, list[str]](list)
        for line in missing:
            where[line.words].append(line.exchange)
        told = [f"{', '.join(names)}: {words}" for words, names in where.items()]
        why = "; ".join(told[:10])
        more = f"; and {len(told) - 10} other reasons" if len(told) > 10 else ""
        answered = len(expected) - len(missing)
        old = sum(line.age_seconds is not None for line in missing)
        before = f", {old} more as they were" if old else ""
        counted = f"{answered} of {len(expected)} active keys are in these balances{before}"
        return f"{counted}. {why}{more}."
    one, many = "The one active key", f"All {len(expected)} active keys"
    if all(line.balances == "empty" for line in expected):
        words = f"{one} answered, and tells" if len(expected) == 1 else f"{many} answered, and tell"
        return f"{words} of no assets."
    words = f"{one} is" if len(expected) == 1 else f"{many} are"
    return f"{words} in these balances."
