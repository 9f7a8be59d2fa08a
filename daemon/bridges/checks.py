"""Reads what a bridge found out about credentials, stored already or not yet."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from daemon.bridges.translate import Answer
from daemon.rights import Warned
from daemon.scrub import scrubbed, shown
from reconciler.model import Proof, Rights, Verified

_NO_SUCH_REQUEST = frozenset({404, 405, 501})


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


class _Proven(msgspec.Struct):
    verified_at: datetime | None = None
    rights: Rights | None = None


class _Checked(_Proven):
    rights_note: str | None = None
    warnings: tuple[Warned, ...] = ()


def cannot(answer: Answer) -> bool:
    """Tell whether this bridge knows no such request."""
    return answer.status in _NO_SUCH_REQUEST


def check(answer: Answer, secrets: Collection[str]) -> Check:
    """Read a success; whatever it says is scrubbed of what was sent."""

    def said(text: str) -> str:
        return shown(scrubbed(text, secrets))

    told = _told(answer, _Checked)
    if told is None:
        return Check(proven=False, why="the bridge's answer makes no sense, so nothing is proven")
    warnings = tuple(Warned(said(each.code), said(each.text)) for each in told.warnings)
    why = said(told.rights_note or "")
    return Check(told.verified_at is not None, why, _dated(told.rights), warnings)


def proof(answer: Answer) -> Proof:
    """Read what a success says of a connector.

    Where an exchange answers anybody, the bridge has asked it and proven nothing.
    """
    said, told = answer.json(), _told(answer, _Proven)
    unproven = isinstance(said, dict) and said.get("verified_at", "") is None
    rights = told.rights if told else None
    return Proof(Verified.UNKNOWN if unproven else Verified.OK, _dated(rights))


_Kind = TypeVar("_Kind", bound=_Proven)


def _told(answer: Answer, kind: type[_Kind]) -> _Kind | None:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _dated(rights: Rights | None) -> Rights | None:
    """A time without a zone is UTC."""
    if rights is None or rights.expires_at is None or rights.expires_at.tzinfo:
        return rights
    return replace(rights, expires_at=rights.expires_at.replace(tzinfo=UTC))
