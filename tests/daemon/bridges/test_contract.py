"""What every bridge behind the port does, the fakes of our other tests included."""

import pytest

from reconciler.model import Connector, Slot, Verified
from reconciler.verdicts import NotThere, Refused, Unclear, Unsupported
from tests.daemon.bridges.conftest import BRIDGE, SLOT, Rig, credentials

pytestmark = pytest.mark.anyio


async def seen(rig: Rig) -> dict[Slot, Connector]:
    return {c.slot: c for c in (await rig.bridge.observe()).connectors}


async def test_a_fresh_bridge_lists_nothing(rig: Rig) -> None:
    assert await seen(rig) == {}


async def test_an_added_connector_is_listed_with_its_label(rig: Rig) -> None:
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    assert (await seen(rig))[SLOT].fingerprint == ("f1" if rig.labels else None)


async def test_adding_again_replaces(rig: Rig) -> None:
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    await rig.bridge.initialize(SLOT, credentials("other-key"), "f2")
    found = await seen(rig)
    assert list(found) == [SLOT]
    assert found[SLOT].fingerprint == ("f2" if rig.labels else None)


async def test_the_pulse_is_the_boot_id_of_the_listing(rig: Rig) -> None:
    assert await rig.bridge.pulse() == (await rig.bridge.observe()).boot_id


async def test_a_connector_with_a_good_key_is_proven(rig: Rig) -> None:
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    proof = await rig.bridge.verify(SLOT)
    assert proof.verified is (Verified.OK if rig.proves else Verified.UNKNOWN)


async def test_a_wrong_key_is_refused_when_added_or_when_verified(rig: Rig) -> None:
    await rig.refuse("wrong-key")

    async def add_and_prove() -> None:
        await rig.bridge.initialize(SLOT, credentials("wrong-key"), "f1")
        await rig.bridge.verify(SLOT)

    with pytest.raises(Refused):
        await add_and_prove()


async def test_a_key_revoked_later_is_refused(rig: Rig) -> None:
    if not rig.proves:
        pytest.skip("this bridge has no authenticated call")
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    await rig.bridge.verify(SLOT)
    await rig.refuse("good-key")
    with pytest.raises(Refused):
        await rig.bridge.verify(SLOT)


async def test_a_connector_that_is_not_there_cannot_be_verified(rig: Rig) -> None:
    if not rig.proves:
        pytest.skip("this bridge has no authenticated call")
    with pytest.raises(NotThere):
        await rig.bridge.verify(SLOT)


async def test_a_restart_forgets_everything_and_adding_again_works(rig: Rig) -> None:
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    before = await rig.bridge.observe()
    await rig.restart()
    after = await rig.bridge.observe()
    assert not after.connectors
    assert (before.boot_id != after.boot_id) is rig.labels
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    assert list(await seen(rig)) == [SLOT]


async def test_a_removed_connector_is_gone_and_cannot_be_removed_again(rig: Rig) -> None:
    if not rig.removes:
        pytest.skip("this bridge cannot remove")
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    await rig.bridge.remove(SLOT, "f1")
    assert await seen(rig) == {}
    with pytest.raises(NotThere):
        await rig.bridge.remove(SLOT, "f1")


async def test_a_connector_with_another_label_stays(rig: Rig) -> None:
    if not rig.removes:
        pytest.skip("this bridge cannot remove")
    await rig.bridge.initialize(SLOT, credentials(), "f2")
    with pytest.raises(Unclear):
        await rig.bridge.remove(SLOT, "f1")
    assert list(await seen(rig)) == [SLOT]


async def test_a_bridge_that_cannot_remove_says_so(rig: Rig) -> None:
    if rig.removes:
        pytest.skip("this bridge can remove")
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    with pytest.raises(Unsupported):
        await rig.bridge.remove(SLOT, "f1")
    assert list(await seen(rig)) == [SLOT]


async def test_accounts_are_kept_apart(rig: Rig) -> None:
    other = Slot(BRIDGE, "client_other", "binance")
    await rig.bridge.initialize(SLOT, credentials(), "f1")
    await rig.bridge.initialize(other, credentials("other-key"), "f2")
    assert set(await seen(rig)) == {SLOT, other}
