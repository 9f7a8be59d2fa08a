"""Where one client stands: in a sentence, key by key, and what stands in the way."""

from collections.abc import Sequence
from dataclasses import asdict

from pydantic import BaseModel

from daemon.store.pauses import Pauses
from daemon.store.status import Status
from daemon.web.api.bridges import BridgeState
from daemon.web.api.clients import client_state
from daemon.web.api.parts import Id, Keeping, Viewer, router
from daemon.web.api.pauses import PauseState
from daemon.web.keeper import Keeper
from daemon.web.models import ClientState, KeyState
from reconciler.model import ClientId, Phase

routes = router("/api/admin", "clients")


class ClientStatus(BaseModel):
    """`well`: every active key is live, and the bridges of all of them answer."""

    client: ClientState
    well: bool
    summary: str
    keys: list[KeyState]
    bridges: list[BridgeState]
    pauses: list[PauseState]


@routes.get("/clients/{client_id}/status")
async def client_status(client_id: Id, keeper: Keeping, _: Viewer) -> ClientStatus:
    """Say where a client stands, and what stands in the way."""
    client = await keeper.client(ClientId(client_id))
    keys = await keeper.keys(client.id)
    bridges, pauses = await _bridges(keeper, keys), await _pauses(keeper, client.id, keys)
    active = [key for key in keys if key.phase != "inactive"]
    return ClientStatus(
        client=client_state(client),
        well=all(key.phase == Phase.LIVE for key in active) and all(each.up for each in bridges),
        summary=summary(client.name, active, bridges, pauses),
        keys=keys,
        bridges=bridges,
        pauses=pauses,
    )


async def _bridges(keeper: Keeper, keys: Sequence[KeyState]) -> list[BridgeState]:
    """Return the bridges that these keys go to."""
    known = {str(each.bridge): each for each in await Status(keeper.engine).bridges()}
    return [
        BridgeState(**asdict(known[name])) if name in known else _never_seen(name)
        for name in sorted({key.bridge for key in keys})
    ]


async def _pauses(
    keeper: Keeper, client_id: ClientId, keys: Sequence[KeyState]
) -> list[PauseState]:
    """Return the pauses that reach the client or one of its keys."""
    places = [("", None), *((key.bridge, key.id) for key in keys)]
    return [
        PauseState(**asdict(pause))
        for pause in await Pauses(keeper.engine).all()
        if any(pause.reaches(bridge=b, client_id=client_id, key_id=k) for b, k in places)
    ]


def _never_seen(name: str) -> BridgeState:
    return BridgeState(bridge=name, up=False, reason="not asked yet", since=None, holder=None)


def summary(
    name: str, active: list[KeyState], bridges: list[BridgeState], pauses: list[PauseState]
) -> str:
    """Say in a line how things stand; first what is not well."""
    if not active:
        return f"{name} has no active key."
    left = [key for key in active if key.phase != Phase.LIVE]
    live = len(active) - len(left)
    words = [f"{live} of {len(active)} active key(s) of {name} are live"]
    words += [f"{key.exchange}: {key.why}" for key in left[:10]]
    words += [f"and {len(left) - 10} more"] if len(left) > 10 else []
    words += [f"{key.exchange}: {each.text}" for key in active[:10] for each in key.warnings]
    words += [f"bridge {each.bridge!r} is down: {each.reason}" for each in bridges if not each.up]
    words += [f"paused by {each.by}" for each in pauses[:1]]
    return "; ".join(words) + "."
