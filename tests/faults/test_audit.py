"""The audit sees what is amiss. Else a table full of zeros would say nothing."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from daemon.embedded.stage import scratch
from tests.acceptance.firm import Issued
from tests.conftest import fast_place
from tests.faults.audit import Audit, Findings, Row
from tests.faults.runner import converged
from tests.faults.scene import Scene, stand

pytestmark = [pytest.mark.anyio, pytest.mark.acceptance]


@pytest.fixture
async def audit() -> AsyncIterator[Audit]:
    """An audit of a small firm all of whose keys are live; the daemon has just been stopped."""
    with scratch(fast_place(), "bridgetender-faults-") as directory:
        async with stand(directory) as shared, shared.scene(random.Random(1)) as scene:
            audit = Audit(scene)
            await scene.site.start_replica("daemon")
            await audit.crowd.settle_in(2)
            assert await converged(audit) is not None
            await scene.site.stop("daemon")
            yield audit


async def test_the_audit_sees_what_is_lost_wrong_or_leaked(audit: Audit) -> None:
    scene = audit.scene
    assert counted(await audit.findings()) == (0, 0, 0)
    live = [row for row in await audit.rows() if audit.can_live(row)]
    victim = live[0]
    stranger = next(
        row for row in live if row.client_id != victim.client_id and row.place[1] != victim.place[1]
    )
    await remove(scene, victim)
    assert counted(await audit.findings()) == (1, 0, 0)

    outdated = victim.issued
    assert outdated is not None
    await scene.firm.rotate(victim.id, await audit.crowd.issued(victim.place[1]))
    await put(scene, victim, outdated)
    found = await audit.findings()
    assert counted(found) == (1, 1, 0)
    assert "outdated credentials" in found.wrong[0]

    swapped = await audit.crowd.issued(victim.place[1])
    await scene.firm.add_key(stranger.client_id, victim.place[1], swapped)
    await put(scene, victim, swapped)
    found = await audit.findings()
    assert counted(found) == (2, 1, 0)  # the new key's own connector is not there either
    assert "another client's credentials" in found.wrong[0]

    await scene.firm.people.set_active(victim.id, active=False)
    found = await audit.findings()
    assert counted(found) == (1, 1, 0)
    assert "nobody wants it" in found.wrong[0]

    with (Path(scene.site.logs) / "daemon.log").open("a") as log:
        log.write(f"Authorization: {swapped.api_secret}\n")
    assert counted(await audit.findings()) == (1, 1, 1)

    await scene.sql(f"DELETE FROM public.exchange_api_keys WHERE id = '{stranger.id}'")
    found = await audit.findings()
    assert counted(found) == (2, 2, 1)
    assert f"key {stranger.id} is gone" in found.lost


def counted(found: Findings) -> tuple[int, int, int]:
    return len(found.lost), len(found.wrong), len(found.leaked)


async def remove(scene: Scene, row: Row) -> None:
    async with scene.firm.bridge() as bridge:
        (await bridge.delete("/connectors/" + "/".join(row.place))).raise_for_status()


async def put(scene: Scene, row: Row, issued: Issued) -> None:
    """Give a connector these credentials, without the daemon."""
    body = {"account_name": row.place[0], "connector_name": row.place[1]}
    body |= {"api_key": issued.api_key, "api_secret": issued.api_secret}
    body |= {"password": issued.passphrase} if issued.passphrase else {}
    async with scene.firm.bridge() as bridge:
        (await bridge.post("/connectors/add", json=body)).raise_for_status()
