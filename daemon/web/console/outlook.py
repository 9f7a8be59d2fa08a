"""Is everything well, and if not, what is not and why: what the console says first. Pure."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlencode

from daemon.store.status import BridgeStatus
from daemon.web.roster import Snapshot
from daemon.words import BUTTONS, cure, sentence
from reconciler.model import Phase, Verified

Level = Literal["well", "working", "wrong"]
_COMING = frozenset({Phase.PENDING, Phase.INITIALIZING, Phase.RETRYING})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is not as it should be; *link* leads to the keys that are meant."""

    level: Level
    words: str
    todo: str
    link: str | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    level: Level
    words: str
    troubles: Sequence[Trouble]
    unseen: int = 0
    """Keys that were live when their bridge was last seen."""


def outlook(snapshot: Snapshot) -> Outlook:
    troubles = [*_of_bridges(snapshot), *_of_pauses(snapshot), *_of_keys(snapshot)]
    troubles.sort(key=lambda each: each.level != "wrong")
    live = snapshot.phases.get(Phase.LIVE, 0)
    away = {bridge.bridge for bridge in snapshot.down}
    unseen = sum(key.phase == Phase.LIVE and key.bridge in away for key in snapshot.keys)
    wanted = sum(key.phase != "inactive" for key in snapshot.keys)
    level, words = _verdict(troubles, live - unseen, wanted)
    if unseen:
        words += f" {unseen:,} more {'was' if unseen == 1 else 'were'}, when last seen."
    return Outlook(level, words, troubles, unseen)


def _verdict(troubles: Sequence[Trouble], live: int, wanted: int) -> tuple[Level, str]:
    if not wanted:
        words = "There is no active key yet." if not troubles else "Something needs you."
        return ("wrong" if troubles else "well"), words
    if any(each.level == "wrong" for each in troubles):
        return "wrong", f"Something needs you: {live:,} of {wanted:,} active keys are live."
    if troubles:
        return "working", f"{live:,} of {wanted:,} active keys are live; the rest is in hand."
    return "well", f"All is well: all {wanted:,} active keys are live."


def _of_bridges(snapshot: Snapshot) -> Iterator[Trouble]:
    for bridge in snapshot.bridges:
        if bridge.since is None or bridge.holder is None:
            words = f"Nobody looks after the bridge {bridge.bridge}"
            yield Trouble("working", words, "see that a daemon runs; another takes over by itself")
        elif not bridge.up:
            words = f"The bridge {bridge.bridge} does not answer: {bridge.reason}"
            todo = "see that it runs; every key is put back when it does"
            yield Trouble("wrong", words, todo, since=bridge.since)


def _of_pauses(snapshot: Snapshot) -> Iterator[Trouble]:
    if snapshot.pauses:
        count = len(snapshot.pauses)
        words = "1 pause is" if count == 1 else f"{count} pauses are"
        words += " in force: what is held stays as it is"
        yield Trouble("working", words, "resume below when it is time")


def _of_keys(snapshot: Snapshot) -> Iterator[Trouble]:
    away = {bridge.bridge for bridge in snapshot.down}
    standing = Counter(
        (key.phase, key.reason)
        for key in snapshot.keys
        if key.phase not in (Phase.LIVE, "inactive") and key.bridge not in away
    )
    for (phase, reason), count in standing.most_common():
        coming = not troubling(phase)
        words = f"{_keys(count)} {'on the way' if coming else phase}: {sentence(reason)}"
        link = "/console/keys?" + urlencode({"phase": phase, "reason": reason})
        yield Trouble("working" if coming else "wrong", words, cure(reason, BUTTONS), link)
    failed = sum(k.phase == Phase.LIVE and k.verified == Verified.FAILED for k in snapshot.keys)
    if failed:
        words = f"{_keys(failed)} live, but the last proof of it failed"
        yield Trouble("working", words, "wait: it is proven again by itself", "/console/keys")


def troubling(phase: str) -> bool:
    """Tell whether such a key wants somebody to do something."""
    return phase not in (Phase.LIVE, "inactive", *_COMING)


def _keys(count: int) -> str:
    return "1 key is" if count == 1 else f"{count:,} keys are"


def bridge_words(bridge: BridgeStatus) -> str:
    if bridge.since is None or bridge.holder is None:
        return "nobody looks after it"
    return "answers" if bridge.up else f"does not answer: {bridge.reason}"
