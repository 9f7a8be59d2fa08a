"""Phases and reasons in plain words: what a person reads instead of a code, and what to do."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from reconciler.model import Instant, Reason

_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        Reason.NEW: "the key is new",
        Reason.CHANGED: "the stored key has changed",
        Reason.LOST: "the bridge has lost the connector",
        Reason.REPLACED: "somebody else replaced the connector on the bridge",
        Reason.REINITIALIZE: "somebody asked for it to be initialized again",
        Reason.RESUMED: "it is no longer paused",
        Reason.APPLIED: "the bridge has these credentials",
        Reason.ADOPTED: "it was on the bridge already",
        Reason.REFUSED: "the exchange refuses these credentials",
        Reason.MASS_REFUSAL: "the exchange refuses most keys at once, so it waits",
        Reason.UNSUPPORTED: "the bridge does not support this",
        Reason.UNDECRYPTABLE: "the encryption key does not read this row",
        Reason.BRIDGE_UNAVAILABLE: "the bridge is out of reach",
        Reason.EXCHANGE_AWAY: "the exchange is out of reach",
        Reason.THROTTLED: "we were told to wait: too many requests",
        Reason.UNCLEAR: "the bridge gave no clear answer",
        Reason.SLOT_TAKEN: "a newer key of the same client has this place",
        Reason.ACCOUNT_TAKEN: "another client has the account of this name",
        Reason.CREDENTIALS_TAKEN: "another client has the same credentials",
        Reason.PAUSED: "it is paused, or its client is",
        Reason.ORPHAN: "its key is gone",
        Reason.REMOVAL_UNSUPPORTED: "the bridge cannot remove connectors",
        "bridge_dropped": "its bridge is no longer in the settings",
        "disabled": "the key is disabled",
        "suspended": "its client is suspended",
    }
)


@dataclass(frozen=True, slots=True)
class Means:
    """How what helps is done by whoever reads of it: by command, request or button."""

    reinitialize: str
    resume: str
    activate: str
    enable: str
    look: str
    forget_bridge: str = "bridgetender config forget-bridge"
    """Whoever runs the daemon decides that, where its settings are."""


def commands(key: str, client: str) -> Means:
    """Return what to type; *key* and *client* are ids."""
    return Means(
        reinitialize=f"bridgetender reinit --key {key}",
        resume="bridgetender resume --all (or the --bridge, --client or --key that was paused)",
        activate=f"bridgetender clients set-status {client} active",
        enable=f"bridgetender keys enable {key}",
        look=f"bridgetender history {key}",
    )


def requests(key: str, client: str) -> Means:
    """Return what to ask of the API; *key* and *client* are ids."""
    return Means(
        reinitialize=f"POST /api/admin/clients/{client}/api-keys/{key}/reinitialize",
        resume="DELETE /api/admin/pauses with the scope and id that GET lists",
        activate=f'PATCH /api/admin/clients/{client} {{"status": "ACTIVE"}}',
        enable=f'PATCH /api/admin/api-keys/{key} {{"is_active": true}}',
        look=f"GET /api/admin/api-keys/{key}/history",
    )


BUTTONS = Means(
    reinitialize="press Reinitialize",
    resume="press Resume",
    activate="activate the client",
    enable="press Enable",
    look="see its history",
)

_WAIT, _NOTHING = "wait: it is tried again by itself", "nothing"
_CURES: Mapping[str, str] = MappingProxyType(
    {
        Reason.NEW: _WAIT,
        Reason.CHANGED: _WAIT,
        Reason.LOST: _WAIT,
        Reason.REPLACED: "find out who else adds connectors to this bridge; ours is put back",
        Reason.REINITIALIZE: _WAIT,
        Reason.RESUMED: _WAIT,
        Reason.APPLIED: _NOTHING,
        Reason.ADOPTED: _NOTHING,
        Reason.REFUSED: (
            "compare key, secret, passphrase, permissions and the exchange's address allowlist;"
            " then store the key anew, or if the exchange was at fault: {do.reinitialize}"
        ),
        Reason.MASS_REFUSAL: (
            "see whether the bridge's address is still on the exchange's allowlists, its clock is"
            " right, and its proxy works; nothing is parked, it is tried again by itself"
        ),
        Reason.UNSUPPORTED: (
            "check the exchange's name, and whether this bridge has that exchange or its testnet;"
            " delete the key and add it under the right name"
        ),
        Reason.UNDECRYPTABLE: (
            "put the ENCRYPTION_KEY it was stored with behind the present one, or store it anew"
        ),
        Reason.BRIDGE_UNAVAILABLE: "see that the bridge runs and that TRADING_BRIDGE_URL is right",
        Reason.EXCHANGE_AWAY: "look at the exchange's status page; it is tried again by itself",
        Reason.THROTTLED: _WAIT,
        Reason.UNCLEAR: "look at the bridge's log; it is tried again by itself",
        Reason.SLOT_TAKEN: "disable or delete one of the two keys",
        Reason.ACCOUNT_TAKEN: "give one of the two clients an account name of its own",
        Reason.CREDENTIALS_TAKEN: "find out whose they are and delete the key of the other client",
        Reason.PAUSED: (
            "end the pause: {do.resume}; or if it is the client's status: {do.activate}"
        ),
        Reason.ORPHAN: _WAIT,
        Reason.REMOVAL_UNSUPPORTED: "revoke the key at the exchange, or restart the bridge",
        "bridge_dropped": (
            "name the bridge in the settings again until its connectors are gone; if the bridge is"
            " gone for good: {do.forget_bridge}"
        ),
        "disabled": "if it should trade: {do.enable}",
        "suspended": "if it should trade: {do.activate}",
    }
)
_STEPS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_UNITS = {"w": 604_800, "m": 60} | {unit: size for size, unit in _STEPS}


def sentence(reason: str, message: str = "") -> str:
    """Return *reason* in words, and what was said about it."""
    words = _SENTENCES.get(reason, reason)
    if message and reason in (Reason.APPLIED, Reason.ADOPTED):
        words += ", but the last proof failed"
    return f"{words}: {message}" if message else words


def cure(reason: str, do: Means) -> str:
    """Return what a person can do about *reason*, and how."""
    return _CURES.get(reason, "{do.look}").format(do=do)


def cure_for_client(todo: str) -> str:
    """Return the same for a client, who may do none of it."""
    return todo if todo in (_WAIT, _NOTHING) else "ask whoever manages your keys"


def relative(when: Instant | None, now: Instant) -> str:
    """Say how far *when* is from *now*, roughly.

    >>> from datetime import UTC, datetime
    >>> relative(datetime(2030, 1, 1, 0, 0, 12, tzinfo=UTC), datetime(2030, 1, 1, tzinfo=UTC))
    'in 12 s'
    """
    if when is None:
        return ""
    if when >= now:
        return f"in {span(when - now)}" if when - now >= timedelta(seconds=1) else "now"
    return f"{span(now - when)} ago"


def span(length: timedelta) -> str:
    """Return *length* in its largest whole unit, rounded up where it is small."""
    seconds = round(length.total_seconds())
    size, unit = next(((s, u) for s, u in _STEPS if seconds >= 2 * s), _STEPS[-1])
    return f"{max(seconds // size, 0)} {unit}"


def length(text: str) -> timedelta:
    """Return how long *text* is, such as 90s, 30min, 2h, 3d or 1w. Raises ValueError.

    >>> length("90min")
    datetime.timedelta(seconds=5400)
    """
    match = re.fullmatch(r"([0-9]{1,5}) ?(s|min|m|h|d|w)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no length of time: 90s, 30min, 2h, 3d or 1w")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
