"""The examples of the OpenAPI page, one for each model; a test finds a model without one."""

from collections.abc import Mapping
from typing import Any

_CLIENT_ID = "0b6f3d0e-6f6b-4c39-9a55-3f1f5d0c7a11"
_KEY_ID = "7c0d5a52-2b1e-4f0a-8a37-90e4b8f6c2d4"
_BORN, _LIVE = "2026-11-28T09:00:00Z", "2026-11-28T09:00:02Z"
_SENT = {"api_key": "KEY-AS-THE-EXCHANGE-SHOWS-IT", "api_secret": "SECRET-AS-THE-EXCHANGE-SHOWS-IT"}
_NEW = {"exchange": "okx", **_SENT, "passphrase": "the passphrase", "label": "desk 2"}
_WARNING = {
    "code": "may_withdraw",
    "text": "it may withdraw funds: one without that right would do",
}
_RIGHTS = {"read": True, "trade": True, "withdraw": True, "ip_restricted": None, "expires_at": None}
_STANDING = {
    "id": _KEY_ID,
    "client_id": _CLIENT_ID,
    "client": "Acme Capital",
    "exchange": "okx",
    "label": "desk 2",
    "is_testnet": False,
    "is_active": True,
    "bridge": "main",
    "bridge_up": True,
    "account": "client_acme_capital",
    "connector": "okx",
    "phase": "live",
    "reason": "applied",
    "why": "the bridge has these credentials",
    "todo": "nothing",
    "failures": 0,
    "due_at": "2026-11-28T09:15:02Z",
    "last_attempt_at": _LIVE,
    "live_since": _LIVE,
    "verified": "ok",
    "verified_at": _LIVE,
    "rights": _RIGHTS,
    "warnings": [_WARNING],
}
_KEY = {**_STANDING, "api_key": "KEY-…S-IT"}
_CHECKED = {
    "verified": "ok",
    "words": "okx accepted these credentials",
    "bridge": "main",
    "connector": "okx",
    "rights": _RIGHTS,
    "warnings": [_WARNING],
}
_CLIENT = {
    "id": _CLIENT_ID,
    "name": "Acme Capital",
    "status": "ACTIVE",
    "account": "client_acme_capital",
    "keys": 1,
}
_BRIDGE = {
    "bridge": "main",
    "up": False,
    "reason": "Trading Bridge unreachable: connection refused",
    "since": _BORN,
    "holder": "host:4711:9f2c81d0",
}
_PAUSE = {
    "scope": "client",
    "id": _CLIENT_ID,
    "name": "Acme Capital",
    "by": "alice",
    "reason": "maintenance until noon",
    "since": _BORN,
}
_MONEY = {"free": "0.60000000", "locked": "0.15000000", "total": "0.75000000"}
_BALANCE = {"exchange": "okx", "asset": "BTC", **_MONEY}
_TOTAL = {"asset": "BTC", **_MONEY, "exchanges": ["okx"]}
_OF_KEY = ("id", "exchange", "label", "is_testnet", "phase", "reason", "why", "todo", "bridge_up")
_KEY_BALANCE = {
    **{name: _STANDING[name] for name in (*_OF_KEY, "due_at", "verified_at", "connector")},
    "balances": "ok",
    "words": "okx tells of 1 asset",
    "age_seconds": None,
}
_FIELDS = [
    {"name": "api_key", "label": "API key"},
    {"name": "api_secret", "label": "API secret"},
    {"name": "passphrase", "label": "Passphrase"},
]
_EXCHANGE = {
    "exchange": "okx",
    "bridge": "main",
    "fields": _FIELDS,
    "testnet": True,
    "proves": True,
    "unfit": "",
    "required": True,
}
_ROW = {
    "row": 1,
    "state": "added",
    "words": "stored",
    "client": "Acme Capital",
    "exchange": "okx",
    "label": "desk 2",
    "id": _KEY_ID,
}
_WRONG_ROW = {
    **_ROW,
    "row": 2,
    "state": "invalid",
    "words": "passphrase: is missing, and okx needs one",
    "id": None,
}
_DEED = {
    "id": 42,
    "at": _BORN,
    "actor": "alice",
    "role": "admin",
    "action": "key_relabelled",
    "client_id": _CLIENT_ID,
    "key_id": _KEY_ID,
    "detail": {"label": "desk 2"},
}
_PLACE = {
    "bridge": "main",
    "account": "client_acme_capital",
    "connector": "okx",
    "key_id": _KEY_ID,
}
_ATTEMPT = {
    "kind": "attempt",
    "at": _BORN,
    **_PLACE,
    "action": "initialize",
    "cause": "new",
    "verdict": "done",
    "message": "",
    "seconds": 1.25,
    "attempt": "1-15",
}
_TRANSITION = {
    "kind": "transition",
    "at": _LIVE,
    **_PLACE,
    "from_phase": None,
    "from_reason": None,
    "to_phase": "live",
    "to_reason": "applied",
    "cause": "new",
    "message": "",
    "why": "the bridge has these credentials",
}
_TOTALS = {
    "done": 1,
    "failed": {},
    "moves": 1,
    "went_live": 1,
    "left_live": {},
    "last_left_live": None,
    "slots": 1,
    "live": 1,
    "live_since": _LIVE,
    "last_proof": _LIVE,
}

EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    # what is sent
    "NewKey": _NEW,
    "NewKeyOf": {"client_id": _CLIENT_ID, **_NEW},
    "NewCheck": {"client_id": _CLIENT_ID, **_NEW},
    "KeyChange": {**_SENT, "passphrase": "the passphrase"},
    "NewClient": {"name": "Acme Capital", "account": "client_acme"},
    "ClientChange": {"status": "PAUSED"},
    "NewPause": {"scope": "all", "reason": "maintenance until noon"},
    # what is answered
    "AddedKey": {
        "message": "API key added successfully",
        "id": _KEY_ID,
        "trading_bridge_configured": True,
        "trading_bridge_warning": None,
        "verified": "ok",
        "verified_words": "okx accepted these credentials",
        "rights": _RIGHTS,
        "warnings": [_WARNING],
        "key": _KEY,
    },
    "ChangedKey": {
        **_KEY,
        "message": "Changed: credentials",
        "changed": ["credentials"],
        "check": _CHECKED,
    },
    "Checked": _CHECKED,
    "KeyState": _KEY,
    "Keys": {"keys": [_KEY]},
    "Standing": _STANDING,
    "Connectors": {
        "connectors": [_STANDING],
        "total": 1,
        "counts": {"live": 1},
        "next": None,
        "version": "9f2c81d0-7",
        "at": _LIVE,
    },
    "Reinitialized": {
        "message": "1 active key(s) are initialized again",
        "keys": 1,
        "states": [_KEY],
    },
    "Rights": _RIGHTS,
    "Warned": _WARNING,
    "Imported": {
        "dry_run": False,
        "counts": {"added": 1, "invalid": 1},
        "rows": [_ROW, _WRONG_ROW],
    },
    "RowReport": _ROW,
    "ClientState": _CLIENT,
    "ChangedClient": {**_CLIENT, "warning": None},
    "Clients": {"clients": [_CLIENT]},
    "ClientStatus": {
        "client": _CLIENT,
        "well": True,
        "summary": "1 of 1 active key(s) of Acme Capital are live; paused by alice.",
        "keys": [_KEY],
        "bridges": [{**_BRIDGE, "up": True, "reason": ""}],
        "pauses": [_PAUSE],
    },
    "Balance": _BALANCE,
    "Total": _TOTAL,
    "KeyBalance": _KEY_BALANCE,
    "Statement": {
        "client_id": _CLIENT_ID,
        "client": "Acme Capital",
        "complete": True,
        "summary": "The one active key is in these balances.",
        "age_seconds": 2.5,
        "cached_for": 10.0,
        "balances": [_BALANCE],
        "totals": [_TOTAL],
        "keys": [_KEY_BALANCE],
    },
    "BridgeState": _BRIDGE,
    "Bridges": {"bridges": [_BRIDGE]},
    "PauseState": _PAUSE,
    "PauseList": {"pauses": [_PAUSE]},
    "FieldState": _FIELDS[2],
    "ExchangeState": _EXCHANGE,
    "Exchanges": {"exchanges": [_EXCHANGE]},
    "Events": {"events": [_ATTEMPT, _TRANSITION], "totals": _TOTALS},
    "DeedState": _DEED,
    "Deeds": {"audit": [_DEED], "next": None},
    "Done": {"message": "Paused"},
}


def with_examples(page: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI *page* with the example of each model in its schema."""
    for name, schema in page["components"]["schemas"].items():
        if name in EXAMPLES:
            schema["examples"] = [EXAMPLES[name]]
    return page
