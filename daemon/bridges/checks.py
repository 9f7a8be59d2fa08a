"""Reads what a bridge found out about credentials that are not stored yet."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import msgspec

from daemon.bridges.translate import Answer
from daemon.scrub import scrubbed, shown

_NO_SUCH_REQUEST = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do; None is what its exchange does not tell."""

    read: bool | None = None
    trade: bool | None = None
    withdraw: bool | None = None
    ip_restricted: bool | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Warned:
    """What the owner of a key should think about."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Check:
    """*proven*: an authenticated call succeeded. Where it is False nobody knows, *why* says."""

    proven: bool
    why: str = ""
    rights: Rights | None = None
    warnings: tuple[Warned, ...] = ()


CANNOT = Check(
    proven=False, why="this Trading Bridge cannot prove credentials before they are stored"
)


class _Proof(msgspec.Struct):
    verified_at: datetime | None = None
    rights: Rights | None = None
    rights_note: str | None = None
    warnings: tuple[Warned, ...] = ()


_PROOF = msgspec.json.Decoder(_Proof)


def cannot(answer: Answer) -> bool:
    """Tell whether this bridge knows no such request."""
    return answer.status in _NO_SUCH_REQUEST


def check(answer: Answer, secrets: Collection[str]) -> Check:
    """Read a success; whatever it says is scrubbed of what was sent."""

    def said(text: str) -> str:
        return shown(scrubbed(text, secrets))

    try:
        proof = _PROOF.decode(answer.body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return Check(proven=False, why="the bridge's answer makes no sense, so nothing is proven")
    warnings = tuple(Warned(said(each.code), said(each.text)) for each in proof.warnings)
    why = said(proof.rights_note or "")
    return Check(proof.verified_at is not None, why, proof.rights, warnings)
