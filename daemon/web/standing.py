"""How a key is shown: where it stands, why, and what helps. Pure."""

from collections.abc import Iterable, Mapping

from daemon.exchanges import doubts_of
from daemon.rights import Warned, warnings_of
from daemon.store.status import BridgeStatus, KeyStatus
from daemon.web.models import AddedKey, KeyState, Standing
from daemon.words import cure, requests, sentence
from reconciler.model import Instant, KeyId, Phase, Reason
from reconciler.slots import connector_name

Down = Mapping[str, str]
"""The bridges that are out of reach, and why."""


def standing(state: KeyStatus, now: Instant, down: Down) -> Standing:
    """Return where a key stands, in words too."""
    reason, message = why(state, down)
    names = Standing.model_fields.keys() & set(KeyStatus._fields) - {"rights"}
    values = {name: getattr(state, name) for name in names}
    return Standing(
        **values,
        id=state.key_id,
        bridge_up=state.bridge not in down,
        why=sentence(reason, message),
        todo=cure(reason, requests(str(state.key_id), str(state.client_id))),
        rights=state.rights,
        warnings=warnings_of(state.rights, now),
    )


def why(state: KeyStatus, down: Down) -> tuple[str, str]:
    """Return the reason and its message, as they are to be said while its bridge may be away.

    What is on its way then waits for that, and what was live is so no longer for all we know.
    """
    if state.bridge in down and hidden(state.phase, state.reason):
        return Reason.BRIDGE_UNAVAILABLE, down[state.bridge]
    return state.reason, state.message


def hidden(phase: str, reason: str) -> bool:
    """Tell whether what was noted of a key says nothing while its bridge is away."""
    return phase in (Phase.PENDING, Phase.LIVE) and reason != Reason.PAUSED


def added(key: KeyState, all_of_client: Iterable[KeyStatus]) -> AddedKey:
    """Tell of a new key, and of what it displaces."""
    live = key.phase == Phase.LIVE and key.reason != "changed"
    why = f"Trading Bridge connector initialization failed: {_why_not(key)}."
    return AddedKey(
        message="API key added successfully",
        id=key.id,
        trading_bridge_configured=live,
        trading_bridge_warning=None if live else f"{why} Use 'Reinitialize' button to retry.",
        warnings=[
            *(Warned("unknown_exchange", words) for words in doubts_of(key.exchange)),
            *displaced(key, all_of_client),
            *([Warned("unproven", _unproven(key))] if live and _doubtful(key) else []),
        ],
        key=key,
    )


def displaced(key: KeyState, all_of_client: Iterable[KeyStatus]) -> list[Warned]:
    """Tell whose place a key takes: a slot is the newest's of those that want it."""
    slot = (key.bridge, key.connector)
    rivals = [
        each
        for each in all_of_client
        if each.is_active and each.key_id != key.id and (each.bridge, each.connector) == slot
    ]
    takes_it = key.phase != Phase.CONFLICT
    return [Warned("displaced", _displaced(each)) for each in rivals[-1:] if takes_it]


def in_place(keys: Iterable[KeyState], exchange: str, *, testnet: bool) -> KeyState | None:
    """Return which of a client's keys has the slot that a new one would get, if any has."""
    connector = connector_name(exchange, testnet=testnet)
    holders = (
        key
        for key in keys
        if key.is_active and key.connector == connector and key.reason != Reason.SLOT_TAKEN
    )
    return next(holders, None)


UNSEEN = "the database is out of reach just now, so where it stands cannot be told: look later"


def added_unseen(key_id: KeyId, exchange: str) -> AddedKey:
    """Tell of a new key that is stored, and of which nothing can be read now."""
    return AddedKey(
        message="API key added successfully",
        id=key_id,
        trading_bridge_configured=False,
        trading_bridge_warning=f"The key is saved, and applied by itself; {UNSEEN}.",
        warnings=[Warned("unknown_exchange", words) for words in doubts_of(exchange)],
        key=None,
    )


def unseen(before: KeyState, values: Mapping[str, object]) -> KeyState:
    """Return a key as it is known to be after a change of which nothing more can be read now."""
    shown = {name: values[name] for name in ("label", "is_active") if name in values}
    if "api_key" in values:
        shown["api_key"] = None
    words = {"why": f"it is changed; {UNSEEN}", "todo": "nothing"}
    return before.model_copy(update=shown | words)


def _why_not(key: KeyState) -> str:
    waits = key.reason in (Reason.NEW, Reason.CHANGED) and key.why == sentence(key.reason)
    return "it has not ended yet, and goes on by itself" if waits else key.why


def _doubtful(key: KeyState) -> bool:
    return key.why != sentence(key.reason)


def _unproven(key: KeyState) -> str:
    return (
        f"Whether its credentials are right is not known yet: {key.why}. They are proven again by"
        " themselves; look here then."
    )


def _displaced(key: KeyStatus) -> str:
    return (
        f"It takes the place of the client's {key.exchange} key {str(key.key_id)[:8]}, which is not"
        " used any more: delete this one, and that one is."
    )


def down_of(bridges: Iterable[BridgeStatus]) -> Down:
    return {each.bridge: each.reason for each in bridges if each.since and not each.up}
