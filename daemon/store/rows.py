"""Records and keys as rows, and back."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from daemon.store.tables import connectors
from reconciler.model import (
    BridgeName,
    ClientId,
    KeyId,
    Phase,
    Reason,
    Record,
    Rights,
    Slot,
    StoredKey,
    Urgency,
    Verified,
)

COLUMNS = tuple(connectors.columns.keys())
"""Of a record; the first three are its slot."""

_FIELDS = tuple(f.name for f in fields(Record) if f.name != "slot")
_KINDS = {
    "phase": Phase,
    "reason": Reason,
    "cause": Reason,
    "urgency": Urgency,
    "verified": Verified,
}

_RIGHTS = msgspec.json.Decoder(Rights)

KEY_COLUMNS = (
    "key_id",
    "client_id",
    "account",
    "connector",
    "exchange",
    "digest",
    "held",
    "wished",
    "changed_at",
)


def columns(alias: str, names: Sequence[str] = COLUMNS) -> str:
    return ", ".join(f"{alias}.{name}" for name in names)


def to_record(row: Sequence[Any]) -> Record:
    """Return the record of a row that has COLUMNS in their order."""
    values = dict(zip(COLUMNS, row, strict=True))
    for name, kind in _KINDS.items():
        values[name] = kind(values[name])
    values["rights"] = to_rights(values["rights"])
    slot = Slot(BridgeName(values["bridge"]), values["account"], values["connector"])
    return Record(slot=slot, **{name: values[name] for name in _FIELDS})


def to_rights(said: str | None) -> Rights | None:
    """Return what a column says, None if it says nothing, or what we cannot read."""
    try:
        return None if said is None else _RIGHTS.decode(said)
    except msgspec.MsgspecError:  # of a later version
        return None


def to_json(records: Sequence[Record]) -> str:
    """Return *records* as PostgreSQL's json_populate_recordset wants them."""
    return msgspec.json.encode([_to_row(record) for record in records]).decode()


def _to_row(record: Record) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _FIELDS}
    row["message"] = record.message.replace("\x00", "")  # text holds no NUL
    return row | slot_row(record.slot)


def slot_row(slot: Slot) -> dict[str, str]:
    return {"bridge": slot.bridge, "account": slot.account, "connector": slot.connector}


def to_key(bridge: BridgeName, row: Sequence[Any]) -> StoredKey:
    """Return the key of a row that has KEY_COLUMNS in their order."""
    key_id, client_id, account, connector, *told = row
    slot = Slot(bridge, account, connector)
    return StoredKey(KeyId(key_id), ClientId(client_id), slot, *told)
