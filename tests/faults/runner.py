"""Tries faults one after the other, and counts what is amiss after each."""

import random
import traceback
from dataclasses import dataclass, field
from time import monotonic

import anyio
import pytest

from daemon.store.engine import dispose
from reconciler.verdicts import StoreError
from tests.faults.audit import Audit, Findings
from tests.faults.fault import Fault
from tests.faults.scene import Scene, Stand

PATIENCE = 150.0
"""Seconds after which things are said not to converge; a lost request is waited for 80."""
_GLANCE = 0.1


@dataclass
class Result:
    """What came of all trials of one fault; *seconds* is the longest time to converge."""

    name: str
    tried: int = 0
    keys: int = 0
    lost: int = 0
    wrong: int = 0
    leaked: int = 0
    unsettled: int = 0
    """Trials that did not converge, or could not be brought to an end."""
    seconds: float = 0.0
    skipped: str = ""
    remarks: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.wrong or self.leaked or self.unsettled)

    def add(self, found: Findings, seconds: float | None) -> None:
        """Count one trial; *seconds* is None if it did not converge."""
        self.keys += found.keys
        self.lost += len(found.lost)
        self.wrong += len(found.wrong)
        self.leaked += len(found.leaked)
        for kind in ("lost", "wrong", "leaked"):
            self.remarks += [f"{kind}: {words}" for words in getattr(found, kind)]
        if seconds is None:
            self.unsettled += 1
            self.remarks.append(f"it had not converged after {PATIENCE:.0f} s")
        else:
            self.seconds = max(self.seconds, seconds)


async def tried(shared: Stand, fault: Fault, times: int, seed: int) -> Result:
    """Try a fault so many times, each with other chances."""
    result = Result(fault.name)
    for number in range(times):
        result.tried += 1
        try:
            chance = random.Random(f"{seed}/{fault.name}/{number}")
            async with shared.scene(chance) as scene:
                result.add(*await _trial(scene, fault))
        except* pytest.skip.Exception as skipped:
            result.skipped = str(skipped.exceptions[0])
        except* (Exception, pytest.fail.Exception) as group:  # noqa: BLE001  (the others are still to be tried)
            result.unsettled += 1
            result.remarks += traceback.format_exception(group, limit=-3)
        if result.skipped:
            break
    return result


async def _trial(scene: Scene, fault: Fault) -> tuple[Findings, float | None]:
    """Let one fault happen to a firm at work; return what was found, and how long it took."""
    crowd, audit = scene.crowd, Audit(scene)
    await scene.site.start_replica("daemon")
    await crowd.settle_in(fault.clients)
    await converged(audit)
    async with fault.during(scene):
        await crowd.go_about(fault.bustle)
    await crowd.finish()
    seconds = await converged(audit)
    _require_running(scene)
    found = await audit.findings()
    return found, seconds if await audit.settled() else None


def _require_running(scene: Scene) -> None:
    for name in scene.daemons:
        if scene.site.children[name].returncode is not None:
            raise AssertionError(
                f"{name} has ended; its last words: {scene.site.logged(name)[-900:]}"
            )


async def converged(audit: Audit) -> float | None:
    """Wait until all is as it should be; return how long that took, None if it is not."""
    began = monotonic()
    with anyio.move_on_after(PATIENCE):
        while not await _settled(audit):  # noqa: ASYNC110  (other processes have no events)
            await anyio.sleep(_GLANCE)
        return monotonic() - began
    return None


async def _settled(audit: Audit) -> bool:
    try:
        return await audit.settled()
    except StoreError:  # our own connections have had their share of the fault
        await dispose(audit.scene.site.engine)
        return False
