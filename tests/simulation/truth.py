"""What should be, held against what is, once nothing goes wrong any more."""

from collections.abc import Iterator

from reconciler.model import SETTLED, BridgeName, Phase, Reason, Record, Slot, StoredKey
from tests.fakes import FakeBridge, KeyRow, fingerprint_of
from tests.simulation.stage import WRONG, Stage


class Truth:
    def __init__(self, stage: Stage) -> None:
        self._world = stage.world
        self._firm = stage.firm
        self._overtaken = stage.wires.overtaken

    def amiss(self) -> list[str]:
        """Return what is not as it should be, in words."""
        return [wrong for bridge in self._firm.bridges.values() for wrong in self._on(bridge)]

    def strangers(self) -> list[str]:
        """Return the connectors whose credentials never were their account's owner's.

        What an earlier request left behind may outlast its owner; see `_may_stay`.
        """
        accounts = self._firm.tables.accounts
        return [
            f"{slot} has {there.api_key}"
            for bridge in self._firm.bridges.values()
            for slot, there in bridge.connectors.items()
            if accounts.get((slot.bridge, slot.account)) not in self._world.issued[there.api_key]
            and slot not in self._overtaken
        ]

    def hopeless(self, slot: Slot) -> bool:
        """Tell whether what is wanted in *slot* can never be live, so is asked about rarely."""
        key = self._wanted(slot.bridge).get(slot)
        return key is not None and self._world.keys[key.id].api_key.startswith(WRONG)

    def held(self) -> set[Slot]:
        """Return the slots whose key or client is paused."""
        wanted = (self._wanted(bridge) for bridge in self._firm.bridges)
        return {slot for keys in wanted for slot, key in keys.items() if key.held}

    def _wanted(self, bridge: BridgeName) -> dict[Slot, StoredKey]:
        return {key.slot: key for key in self._firm.keys.desired(bridge)}

    def _on(self, bridge: FakeBridge) -> Iterator[str]:
        records = {s: r for s, r in self._firm.tables.records.items() if s.bridge == bridge.name}
        wanted = self._wanted(bridge.name)
        for slot, record in records.items():
            if record.phase not in SETTLED:
                yield f"not settled: {_line(record)}"
            if slot not in wanted and record.phase is not Phase.UNREMOVABLE:
                yield f"a record of nothing: {_line(record)}"
        for slot, key in wanted.items():
            if not self._well(bridge, key, records.get(slot)):
                yield f"not well: {slot} {_line(records.get(slot))}, {bridge.connectors.get(slot)}"
        for slot in bridge.connectors:
            if slot not in wanted and not self._may_stay(slot, records.get(slot)):
                yield f"left over: {slot} {_line(records.get(slot))}"

    def _well(self, bridge: FakeBridge, key: StoredKey, record: Record | None) -> bool:
        row = self._world.keys[key.id]
        if record is None or key.held:
            return record is not None and record.phase in SETTLED
        if self._taken(record, row.api_key) and not row.broken:
            return record.phase in (Phase.LIVE, Phase.CONFLICT)
        if expected := _lasting(row):
            return record.reason in expected
        proved_another = self._proves_another(bridge, record, row.api_key)
        return proved_another or self._live(bridge, record, row.api_key)

    def _live(self, bridge: FakeBridge, record: Record, api_key: str) -> bool:
        there = bridge.connectors.get(record.slot)
        if record.phase is not Phase.LIVE or there is None or record.key_id in self._world.wishes:
            return False
        return there.api_key == api_key or self._unknowable(bridge, record)

    def _proves_another(self, bridge: FakeBridge, record: Record, api_key: str) -> bool:
        """A recheck of what was refused proves what is there, though it is not what was sent.

        Nothing finds that out, so such a key stays parked until it changes.
        """
        there = bridge.connectors.get(record.slot)
        another = there is not None and there.api_key != api_key
        refused = record.phase is Phase.PARKED and record.reason is Reason.REFUSED
        only_proved = refused and record.sent == record.fingerprint  # else it is added anew
        return bridge.proves and another and only_proved and record.slot in self._overtaken

    def _unknowable(self, bridge: FakeBridge, record: Record) -> bool:
        """Without labels nobody can tell what was there before, or came late."""
        return record.adopted or (not bridge.labels and record.slot in self._overtaken)

    def _taken(self, record: Record, api_key: str) -> bool:
        """Tell whether another client's slot was given the same."""
        return any(
            other.client_id != record.client_id and other.sent == fingerprint_of(api_key)
            for other in self._firm.tables.records.values()
        )

    def _may_stay(self, slot: Slot, record: Record | None) -> bool:
        """A slot's record knows what was sent last, not what an earlier request left there."""
        unremovable = record is not None and record.phase is Phase.UNREMOVABLE
        return unremovable or slot in self._overtaken


def _line(record: Record | None) -> str:
    if record is None:
        return "no record"
    due = record.due_at.strftime("%d %H:%M:%S") if record.due_at else "never"
    return f"{record.slot} {record.phase}/{record.reason} due {due} {record.message}"


def _lasting(row: KeyRow) -> tuple[Reason, ...]:
    """Return the reasons that a key which can never be live may show; none if it can."""
    if row.broken:
        return Reason.UNDECRYPTABLE, Reason.ADOPTED
    if row.exchange == "gone":
        return (Reason.UNSUPPORTED,)
    return (Reason.REFUSED, Reason.ADOPTED) if row.api_key.startswith(WRONG) else ()
