"""Small, honest stand-ins for the reconciler's ports. No mock library.

`FakeStore` is a database: people's rows (`world`), our own tables, and the ports on top of both.
`FakeBridge` is a Trading Bridge whose failures are scripted, and which remembers every call.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Literal
from uuid import UUID

import anyio
from anyio.lowlevel import checkpoint

from reconciler.history import transition
from reconciler.model import (
    Attempt,
    BridgeName,
    Case,
    ClientId,
    Connector,
    Credentials,
    Instant,
    KeyId,
    Lane,
    Lease,
    Observation,
    Phase,
    Proof,
    Reason,
    Record,
    Rights,
    SealedKey,
    Secret,
    Slot,
    StoredKey,
    Survey,
    Transition,
    Urgency,
    Verified,
)
from reconciler.ports import Clients
from reconciler.rules import CLOCK_SKEW
from reconciler.sharing import Sharing, Tenure
from reconciler.slots import (
    Candidate,
    Election,
    account_name,
    canonical,
    claim,
    connector_name,
    elect,
)
from reconciler.stepping import redated
from reconciler.verdicts import (
    LeaseLost,
    NotThere,
    Refused,
    StoreError,
    Unavailable,
    Unclear,
    Undecryptable,
    Unsupported,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
BRIDGE = BridgeName("main")


class FakeClock:
    """A wall clock that follows anyio's, so that trio's MockClock drives both."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> Instant:
        return START + timedelta(seconds=anyio.current_time()) + self.ahead

    def elapsed(self) -> float:
        return anyio.current_time()


class HandClock:
    """A wall clock for tests without an event loop: it is moved by hand."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> Instant:
        return self.at

    def elapsed(self) -> float:
        return self.at.timestamp()


# -- people's rows -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClientRow:
    id: ClientId
    name: str
    status: str
    account: str | None
    created_at: Instant


@dataclass(frozen=True, slots=True)
class KeyRow:
    """*seal* counts encryptions: another one makes another ciphertext of the same text."""

    id: KeyId
    client_id: ClientId
    exchange: str
    api_key: str
    api_secret: str
    testnet: bool
    active: bool
    created_at: Instant
    seal: int = 0
    broken: bool = False

    @property
    def digest(self) -> str:
        parts = (self.client_id, self.exchange, *self.ciphertexts, self.testnet, self.active)
        return sha256(repr(parts).encode()).hexdigest()

    @property
    def ciphertexts(self) -> tuple[str, str]:
        kind = "broken" if self.broken else "sealed"
        return f"{kind}:{self.seal}:{self.api_key}", f"{kind}:{self.seal}:{self.api_secret}"


class FakeWorld:
    """What people and backends write: clients, keys, and wishes to have one initialized again."""

    def __init__(self) -> None:
        self.clients: dict[ClientId, ClientRow] = {}
        self.keys: dict[KeyId, KeyRow] = {}
        self.wishes: set[KeyId] = set()
        self.pauses: set[tuple[str, object]] = set()
        self.homes: dict[ClientId, BridgeName] = {}
        """The bridge that each client belongs to; without one, to any that asks."""
        self.issued: dict[str, set[ClientId]] = defaultdict(set)
        """Whose each api_key ever was."""
        self._count = 0

    async def add_client(
        self, name: str, status: str = "ACTIVE", account: str | None = None
    ) -> ClientId:
        client = ClientId(self._next_id())
        self.clients[client] = ClientRow(client, name, status, account, self._next_moment())
        return client

    async def add_key(
        self,
        client: ClientId,
        exchange: str,
        *,
        api_key: str | None = None,
        active: bool = True,
        testnet: bool = False,
        created_at: Instant | None = None,
    ) -> KeyId:
        """Store a key; without *api_key* its credentials are nobody else's."""
        key = KeyId(self._next_id())
        text = api_key or f"key-{self._count}"
        born = created_at or self._next_moment()
        self.issued[text].add(client)
        self.keys[key] = KeyRow(
            key, client, exchange, text, f"secret of {text}", testnet, active, born
        )
        return key

    async def rotate_key(self, key: KeyId, api_key: str | None = None) -> None:
        self._count += 1
        text = api_key or f"key-{self._count}"
        self.issued[text].add(self.keys[key].client_id)
        self._alter(key, api_key=text, api_secret=f"secret of {text}", broken=False)

    async def reencrypt_key(self, key: KeyId) -> None:
        self._alter(key, seal=self.keys[key].seal + 1)

    async def touch_key(self, key: KeyId) -> None:
        """Change what is not a matter of connectors, as a label is."""

    async def break_key(self, key: KeyId) -> None:
        self._alter(key, broken=True)

    async def set_key_active(self, key: KeyId, *, active: bool) -> None:
        self._alter(key, active=active)

    async def delete_key(self, key: KeyId) -> None:
        del self.keys[key]

    async def delete_client(self, client: ClientId) -> None:
        del self.clients[client]
        self.keys = {k: row for k, row in self.keys.items() if row.client_id != client}

    async def set_client_status(self, client: ClientId, status: str) -> None:
        self.clients[client] = replace(self.clients[client], status=status)

    async def rename_client(self, client: ClientId, name: str) -> None:
        self.clients[client] = replace(self.clients[client], name=name)

    async def wish(self, key: KeyId) -> None:
        self.wishes.add(key)

    async def pause(self, scope: str, subject: object = "") -> None:
        self.pauses.add((scope, subject))

    async def resume(self, scope: str, subject: object = "") -> None:
        self.pauses.discard((scope, subject))

    def paused(self, bridge: BridgeName, client: ClientId, key: KeyId) -> bool:
        reaching = {("all", ""), ("bridge", bridge), ("client", client), ("key", key)}
        return not self.pauses.isdisjoint(reaching)

    def account_of(self, client: ClientId) -> str:
        row = self.clients[client]
        return account_name(row.name, row.account)

    def candidates(self, bridge: BridgeName | None = None) -> list[Candidate]:
        """Return every key, or those of the clients that belong to *bridge*."""
        rows = (k for k in self.keys.values() if self.homes.get(k.client_id, bridge) == bridge)
        return [self._candidate(key) for key in (rows if bridge else self.keys.values())]

    def _candidate(self, key: KeyRow) -> Candidate:
        client = self.clients[key.client_id]
        return Candidate(
            id=key.id,
            client_id=client.id,
            account=self.account_of(client.id),
            connector=connector_name(key.exchange, testnet=key.testnet),
            created_at=key.created_at,
            client_created_at=client.created_at,
            active=key.active,
            suspended=client.status == "SUSPENDED",
        )

    def _alter(self, key: KeyId, **values: object) -> None:
        self.keys[key] = replace(self.keys[key], **values)  # type: ignore[arg-type]

    def _next_id(self) -> UUID:
        self._count += 1
        return UUID(int=self._count)

    def _next_moment(self) -> Instant:
        return START - timedelta(days=1) + timedelta(seconds=self._count)


class FakeVault:
    def open(self, sealed: SealedKey) -> Credentials:
        kind, _, api_key = sealed.api_key.split(":", 2)
        if kind == "broken":
            raise Undecryptable("no key of our keyring reads this row")
        return Credentials(Secret(api_key), Secret(sealed.api_secret.split(":", 2)[2]))

    def fingerprint(self, credentials: Credentials) -> str:
        return fingerprint_of(credentials.api_key.reveal())


def fingerprint_of(api_key: str) -> str:
    return sha256(f"pepper:{api_key}".encode()).hexdigest()[:16]


# -- our own tables, and the ports on both -----------------------------------------------------


@dataclass(slots=True)
class LeaseRow:
    holder: str
    epoch: int
    ends: Instant


@dataclass(slots=True)
class Tables:
    """*away*: no query gets through. *loses_answers*: writes are done and yet end in an error."""

    clock: FakeClock | HandClock
    records: dict[Slot, Record] = field(default_factory=dict)
    attempts: list[Attempt] = field(default_factory=list)
    told: list[Transition] = field(default_factory=list)
    told_last: dict[Slot, Transition] = field(default_factory=dict)
    accounts: dict[tuple[BridgeName, str], ClientId] = field(default_factory=dict)
    leases: dict[BridgeName, LeaseRow] = field(default_factory=dict)
    waiting: dict[tuple[BridgeName, str], Instant] = field(default_factory=dict)
    on_free: Callable[[BridgeName], None] | None = None
    quiets: dict[tuple[BridgeName, str], tuple[Instant, Instant]] = field(default_factory=dict)
    """Until when, and when that was written."""
    reports: list[tuple[bool, str]] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    away: bool = False
    loses_answers: int = 0

    async def read(self) -> None:
        await checkpoint()
        if self.away:
            raise StoreError("the database is away")

    @contextmanager
    def guarded(self, lease: Lease, what: str) -> Iterator[None]:
        row = self.leases.get(lease.bridge)
        if row is None or (row.holder, row.epoch) != (lease.holder, lease.epoch):
            raise LeaseLost("another replica holds it")
        self.writes.append(what)
        yield
        if self.loses_answers:
            self.loses_answers -= 1
            raise StoreError("the connection was lost before the answer")

    def write(self, record: Record) -> None:
        before = self.records.pop(record.slot, None)
        last = self.told_last.get(record.slot)
        if told := transition(before, last, record, self.clock.now()):
            self.told.append(told)
            self.told_last[record.slot] = told
        if record.phase is not Phase.REMOVED:
            self.records[record.slot] = record


class FakeLeases:
    def __init__(self, tables: Tables, holder: str, term: timedelta) -> None:
        self._tables = tables
        self._holder = holder
        self._term = term

    async def wait(self, bridge: BridgeName) -> Sharing:
        await self._tables.read()
        self._tables.waiting[bridge, self._holder] = self._tables.clock.now()
        return self._sharing()

    async def leave(self, bridge: BridgeName) -> None:
        await self._tables.read()
        self._tables.waiting.pop((bridge, self._holder), None)

    async def acquire(self, bridge: BridgeName) -> Lease | None:
        await self._tables.read()
        now = self._tables.clock.now()
        row = self._tables.leases.get(bridge)
        if row is not None and row.ends > now:
            return None
        epoch = 1 if row is None else row.epoch + 1
        self._tables.leases[bridge] = LeaseRow(self._holder, epoch, now + self._term)
        self._tables.waiting.pop((bridge, self._holder), None)
        return Lease(bridge, self._holder, epoch)

    async def renew(self, lease: Lease) -> Sharing:
        await self._tables.read()
        row = self._tables.leases[lease.bridge]
        if (row.holder, row.epoch) != (lease.holder, lease.epoch):
            raise LeaseLost("another replica holds it")
        row.ends = self._tables.clock.now() + self._term
        return self._sharing()

    async def release(self, lease: Lease) -> None:
        await self._tables.read()
        row = self._tables.leases[lease.bridge]
        if (row.holder, row.epoch) == (lease.holder, lease.epoch):
            row.ends = self._tables.clock.now()
            if self._tables.on_free is not None:
                self._tables.on_free(lease.bridge)

    def _sharing(self) -> Sharing:
        now, tables = self._tables.clock.now(), self._tables
        tenures = {b: Tenure(row.holder, row.ends - now) for b, row in tables.leases.items()}
        waiting = (place for place, seen in tables.waiting.items() if seen > now - self._term)
        return Sharing(self._holder, tenures, frozenset(waiting))


class FakeKeys:
    def __init__(self, world: FakeWorld, tables: Tables) -> None:
        self._world = world
        self._tables = tables

    async def read(self, slots: Collection[tuple[Slot, ClientId]]) -> Mapping[Slot, SealedKey]:
        await self._tables.read()
        found: dict[Slot, StoredKey] = {}
        for bridge in {slot.bridge for slot, _ in slots}:
            found |= {key.slot: key for key in self.desired(bridge)}
        asked = [(slot, found[slot]) for slot, client in slots if slot in found]
        return {slot: self.sealed(key) for slot, key in asked}

    def desired(self, bridge: BridgeName) -> list[StoredKey]:
        return [self._stored(bridge, *item) for item in self.elected(bridge).holders.items()]

    def elected(self, bridge: BridgeName) -> Election:
        owned = {name: who for (at, name), who in self._tables.accounts.items() if at == bridge}
        return elect(self._world.candidates(bridge), owned)

    def _stored(self, bridge: BridgeName, place: tuple[str, str], key: KeyId) -> StoredKey:
        row = self._world.keys[key]
        return StoredKey(
            id=key,
            client_id=row.client_id,
            slot=Slot(bridge, *place),
            exchange=canonical(row.exchange),
            digest=row.digest,
            held=self._world.clients[row.client_id].status != "ACTIVE"
            or self._world.paused(bridge, row.client_id, key),
            wished=key in self._world.wishes,
        )

    def sealed(self, key: StoredKey) -> SealedKey:
        return SealedKey(key, *self._world.keys[key.id].ciphertexts)


class FakeLedger:
    def __init__(self, world: FakeWorld, tables: Tables, keys: FakeKeys) -> None:
        self._world = world
        self._tables = tables
        self._keys = keys

    async def survey(
        self, bridge: BridgeName, observation: Observation | None, clients: Clients
    ) -> Survey:
        await self._tables.read()
        self._settle_accounts(bridge, clients)
        listed = {c.slot: c for c in observation.connectors} if observation else {}
        mine = {slot: r for slot, r in self._tables.records.items() if slot.bridge == bridge}
        wanted = {key.slot: key for key in self._keys.desired(bridge)}
        unmanaged = len(listed.keys() - mine.keys() - wanted.keys()) if observation else None
        if clients is not None:
            wanted = {slot: key for slot, key in wanted.items() if key.client_id in clients}
            mine = {slot: r for slot, r in mine.items() if r.client_id in clients}
        few = clients is not None and observation is None
        sealed = {slot: self._keys.sealed(key) for slot, key in wanted.items() if few}
        cases = [
            Case(
                *(slot, wanted.get(slot), mine.get(slot), listed.get(slot)),
                held=slot in mine and self._paused(mine[slot]),
                sealed=sealed.get(slot),
            )
            for slot in sorted(wanted.keys() | mine.keys())
        ]
        return Survey(cases, unmanaged)

    def _settle_accounts(self, bridge: BridgeName, clients: Clients) -> None:
        """Claim what nobody has; an owner that left it keeps it while something of it is there."""
        used = {slot.account for slot in self._tables.records if slot.bridge == bridge}
        named = {(self._world.account_of(client), client) for client in self._world.clients}
        owners = {
            account: client
            for (at, account), client in self._tables.accounts.items()
            if at == bridge and (account in used or (account, client) in named)
        }
        here = self._world.candidates(bridge)
        asking = (k for k in here if clients is None or k.client_id in clients)
        others = {place: c for place, c in self._tables.accounts.items() if place[0] != bridge}
        claimed = {(bridge, name): who for name, who in claim(asking, owners).items()}
        self._tables.accounts = others | claimed

    async def plan(self, lease: Lease, records: Sequence[Record]) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "plan"):
            for record in records:
                self._tables.write(record)
                if record.reason is Reason.REINITIALIZE:
                    self._world.wishes.discard(record.key_id)

    async def due(
        self, bridge: BridgeName, now: Instant, limit: int, most: Mapping[Lane, int]
    ) -> Sequence[Record]:
        await self._tables.read()
        lanes = defaultdict[Lane, list[Record]](list)
        for _, record in sorted(self._timed(bridge, now), key=lambda item: item[0]):
            lane = record.exchange, record.urgency
            if len(lanes[lane]) < most.get(lane, limit):
                lanes[lane].append(record)
        found: list[Record] = []
        for urgency in Urgency:
            ranked = [
                (rank, record.due_at, record.slot, record)
                for (_, u), records in lanes.items()
                for rank, record in enumerate(records)
                if u is urgency
            ]
            found += [record for *_, record in sorted(ranked, key=lambda item: item[:3])[:limit]]
        return found

    async def next_due(self, bridge: BridgeName, after: Instant) -> Instant | None:
        await self._tables.read()
        return min((at for at, _ in self._timed(bridge) if at > after), default=None)

    def _timed(
        self, bridge: BridgeName, until: Instant | None = None
    ) -> list[tuple[Instant, Record]]:
        return [
            (r.due_at, r)
            for r in self._on(bridge)
            if r.due_at is not None and (until is None or r.due_at <= until) and not self._paused(r)
        ]

    def _paused(self, record: Record) -> bool:
        return self._world.paused(record.slot.bridge, record.client_id, record.key_id)

    async def intend(self, lease: Lease, records: Sequence[Record]) -> Mapping[Slot, Reason]:
        await self._tables.read()
        taken: dict[Slot, Reason] = {}
        with self._tables.guarded(lease, "intend"):
            for record in records:
                if not self._owns_account(record):
                    taken[record.slot] = Reason.ACCOUNT_TAKEN
                elif any(_takes(other, record) for other in self._tables.records.values()):
                    taken[record.slot] = Reason.CREDENTIALS_TAKEN
                else:
                    self._tables.write(record)
        return taken

    def _owns_account(self, record: Record) -> bool:
        place = record.slot.bridge, record.slot.account
        return self._tables.accounts.get(place) == record.client_id

    async def settle(self, lease: Lease, ended: Sequence[tuple[Record, Attempt | None]]) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "settle"):
            for record, attempt in ended:
                self._tables.write(record)
                if self._outdated(record):
                    self._tables.write(_recalled(record))
                if attempt is not None:
                    self._tables.attempts.append(attempt)

    def _outdated(self, record: Record) -> bool:
        row = self._world.keys.get(record.key_id)
        return record.phase is Phase.LIVE and row is not None and row.digest != record.digest

    async def reclaim(self, lease: Lease, now: Instant) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "reclaim"):
            for record in self._on(lease.bridge):
                row = self._world.keys.get(record.key_id)
                left_open = record.intent_epoch is not None and record.intent_epoch < lease.epoch
                if left_open and row is not None and row.digest == record.digest:
                    self._tables.write(replace(record, due_at=now, due_set_at=now))

    async def redate(self, lease: Lease, now: Instant) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "redate"):
            for record in self._on(lease.bridge):
                if (dated := redated(record, now)) != record:
                    self._tables.write(dated)

    async def waive(self, lease: Lease, now: Instant) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "waive"):
            for record in self._on(lease.bridge):
                waits = record.due_at is not None and record.due_at > now
                if waits and record.reason is Reason.BRIDGE_UNAVAILABLE:
                    self._tables.write(replace(record, due_at=now, due_set_at=now))

    async def recheck(self, lease: Lease, exchange: str, since: Instant, now: Instant) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "recheck"):
            for record in self._on(lease.bridge):
                tried = record.last_attempt_at is not None and record.last_attempt_at >= since
                refused = record.phase is Phase.PARKED and record.reason is Reason.REFUSED
                if refused and tried and record.exchange == exchange:
                    self._tables.write(replace(record, due_at=now, due_set_at=now))

    async def hush(self, lease: Lease, quiets: Mapping[str, Instant], now: Instant) -> None:
        await self._tables.read()
        with self._tables.guarded(lease, "hush"):
            for exchange, until in quiets.items():
                self._tables.quiets[lease.bridge, exchange] = until, now

    async def quiets(self, bridge: BridgeName, now: Instant) -> Mapping[str, Instant]:
        await self._tables.read()
        return {
            exchange: until
            for (on, exchange), (until, at) in self._tables.quiets.items()
            if on == bridge and until > now and at <= now + CLOCK_SKEW
        }

    async def report(self, lease: Lease, *, up: bool, reason: str, now: Instant) -> None:
        del now
        await self._tables.read()
        with self._tables.guarded(lease, "report"):
            self._tables.reports.append((up, reason))

    def _on(self, bridge: BridgeName) -> list[Record]:
        return [r for slot, r in self._tables.records.items() if slot.bridge == bridge]


def _recalled(record: Record) -> Record:
    return replace(
        record,
        phase=Phase.PENDING,
        reason=Reason.CHANGED,
        cause=Reason.CHANGED,
        urgency=Urgency.NOW,
        due_at=record.due_set_at,
        first_unready_at=record.first_unready_at or record.due_set_at,
    )


def _takes(other: Record, record: Record) -> bool:
    return other.client_id != record.client_id and other.sent == record.sent


class FakeStore:
    """A database and the ports on it, for one replica and a rival."""

    def __init__(
        self,
        clock: FakeClock | HandClock | None = None,
        term: timedelta = timedelta(seconds=15),
    ) -> None:
        self.world = FakeWorld()
        self.tables = Tables(clock or FakeClock())
        self.keys = FakeKeys(self.world, self.tables)
        self.ledger = FakeLedger(self.world, self.tables, self.keys)
        self.leases = FakeLeases(self.tables, "one", term)
        self.rival = FakeLeases(self.tables, "two", term)

    async def record(self, slot: Slot) -> Record | None:
        return self.tables.records.get(slot)

    async def attempts(self) -> Sequence[Attempt]:
        return self.tables.attempts

    async def transitions(self) -> Sequence[Transition]:
        return self.tables.told

    async def expire(self, bridge: BridgeName) -> None:
        """Let the lease's term end now, however long it had to run."""
        self.tables.leases[bridge].ends = self.tables.clock.now() - timedelta(seconds=1)


# -- the bridge --------------------------------------------------------------------------------

Asked = Literal["observe", "initialize", "verify", "remove"]


@dataclass(frozen=True, slots=True)
class Call:
    action: Asked
    slot: Slot | None
    at: float
    api_key: str | None = None


@dataclass(frozen=True, slots=True)
class Raises:
    """It is not done, and *error* says so."""

    error: Exception


@dataclass(frozen=True, slots=True)
class HappensBut:
    """It is done, and yet *error* is raised, as after a read timeout."""

    error: Exception = field(default_factory=lambda: Unclear("read timeout"))


@dataclass(frozen=True, slots=True)
class Hangs:
    """No answer for a while; then, if at all, it is done after everybody has given up."""

    seconds: float = 35.0
    happens: bool = False


@dataclass(frozen=True, slots=True)
class Dawdles:
    """It is done, slowly."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Lies:
    """It says success and did nothing."""


@dataclass(frozen=True, slots=True)
class Waits:
    """It is done once *until* is set; *begun* is set when the request is there."""

    begun: anyio.Event
    until: anyio.Event


@dataclass(frozen=True, slots=True)
class Lacks:
    """A listing that is well-formed and lacks all but every *keeps*-th connector (0: all)."""

    keeps: int = 0


Fault = Raises | HappensBut | Hangs | Dawdles | Lies | Waits | Lacks


@dataclass(frozen=True, slots=True)
class Installed:
    api_key: str
    fingerprint: str | None


class FakeBridge:
    """A Trading Bridge in memory.

    *labels*: it keeps fingerprints and has a boot id. *removes*, *proves*: it can do that. The
    bridge of the story can do none of these: there a wrong key is refused when it is added.
    """

    def __init__(
        self,
        name: BridgeName = BRIDGE,
        *,
        labels: bool = True,
        removes: bool = True,
        proves: bool = True,
    ) -> None:
        self.name = name
        self.labels, self.removes, self.proves = labels, removes, proves
        self.rights: Rights | None = None
        self.connectors: dict[Slot, Installed] = {}
        self.calls: list[Call] = []
        self.down = False
        self.refused: set[str] = set()
        self.unsupported: set[str] = set()
        self.on_call: Callable[[Call], None] | None = None
        self._boots = 1
        self._once: dict[tuple[Asked, Slot | None], deque[Fault | None]] = defaultdict(deque)
        self._always: dict[tuple[Asked, Slot | None], Fault] = {}

    @classmethod
    def of_the_story(cls) -> "FakeBridge":
        return cls(labels=False, removes=False, proves=False)

    # -- for tests

    def restart(self) -> None:
        """Forget everything."""
        self.connectors.clear()
        self._boots += 1

    def script(self, action: Asked, *faults: Fault | None, slot: Slot | None = None) -> None:
        """Let the next calls go wrong, one fault each; None is a call that goes well."""
        self._once[action, slot].extend(faults)

    def always(self, action: Asked, fault: Fault, slot: Slot | None = None) -> None:
        self._always[action, slot] = fault

    def heal(self) -> None:
        self.down = False
        self._once.clear()
        self._always.clear()

    def count(self, *actions: Asked, slot: Slot | None = None) -> int:
        return sum(c.action in actions and slot in (None, c.slot) for c in self.calls)

    def changes(self) -> int:
        return self.count("initialize", "remove")

    def install(self, slot: Slot, api_key: str, *, label: bool = True) -> None:
        """Put a connector there that nobody asked us for, or that we added in another life."""
        fingerprint = fingerprint_of(api_key) if label else ""
        self.connectors[slot] = Installed(api_key, fingerprint if self.labels else None)

    # -- the port

    async def observe(self) -> Observation:
        listed = list(self.connectors.items())
        boots = self._boots
        fault = await self._begin(Call("observe", None, anyio.current_time()))
        if isinstance(fault, Lacks):
            listed = listed[:: fault.keeps] if fault.keeps else []
        connectors = [Connector(slot, each.fingerprint) for slot, each in listed]
        return Observation(connectors, f"boot-{boots}" if self.labels else None)

    async def pulse(self) -> str | None:
        """Felt every other second, so it is no call that tests count."""
        if self.down:
            raise Unavailable("the bridge is down")
        return f"boot-{self._boots}" if self.labels else None

    async def initialize(self, slot: Slot, credentials: Credentials, fingerprint: str) -> None:
        api_key = credentials.api_key.reveal()
        fault = await self._begin(Call("initialize", slot, anyio.current_time(), api_key))
        if slot.connector in self.unsupported:
            raise Unsupported(f"unsupported exchange: {slot.connector}")
        if api_key in self.refused and not self.proves:
            raise Refused("invalid api key")
        if not isinstance(fault, Lies):
            label = fingerprint if self.labels else None
            self.connectors[slot] = Installed(api_key, label)
        self._end(fault)

    async def verify(self, slot: Slot) -> Proof:
        fault = await self._begin(Call("verify", slot, anyio.current_time()))
        if not self.proves:
            return Proof(Verified.UNKNOWN)
        if slot not in self.connectors:
            raise NotThere("no such connector")
        if self.connectors[slot].api_key in self.refused:
            raise Refused("invalid api key")
        self._end(fault)
        return Proof(Verified.OK, self.rights)

    async def remove(self, slot: Slot, fingerprint: str | None) -> None:
        fault = await self._begin(Call("remove", slot, anyio.current_time()))
        if not self.removes:
            raise Unsupported("this bridge cannot remove a connector")
        there = self.connectors.get(slot)
        if there is None:
            raise NotThere("no such connector")
        if self.labels and fingerprint is not None and there.fingerprint != fingerprint:
            raise Unclear("another connector is there")
        if not isinstance(fault, Lies):
            del self.connectors[slot]
        self._end(fault)

    async def _begin(self, call: Call) -> Fault | None:
        self.calls.append(call)
        if self.on_call is not None:
            self.on_call(call)
        fault = self._fault(call)
        await checkpoint()
        match fault:
            case Raises(error):
                raise error
            case Hangs(seconds, happens=False):
                await anyio.sleep(seconds)
                raise Unclear("read timeout")
            case Hangs(seconds) | Dawdles(seconds):
                await anyio.sleep(seconds)
            case Waits(begun, until):
                begun.set()
                await until.wait()
            case _:
                pass
        return fault

    def _fault(self, call: Call) -> Fault | None:
        if self.down:
            return Raises(Unavailable("connection refused"))
        for place in (call.slot, None):
            if once := self._once[call.action, place]:
                return once.popleft()
        return self._always.get((call.action, call.slot)) or self._always.get((call.action, None))

    def _end(self, fault: Fault | None) -> None:
        if isinstance(fault, HappensBut):
            raise fault.error
        if isinstance(fault, Hangs):
            raise Unclear("read timeout")


# -- those who watch ---------------------------------------------------------------------------


class RecordingMeter:
    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.convergences: list[tuple[Record, float]] = []
        self.passes: list[str] = []
        self.passes_over_everything: list[str] = []
        self.up: list[tuple[bool, str]] = []
        self.held: list[bool] = []
        self.unmanaged_counts: list[int] = []
        self.progress = 0
        self.limits: list[int] = []
        self.mass_refusals: list[tuple[str, bool]] = []

    def attempted(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    def converged(self, record: Record, seconds: float) -> None:
        self.convergences.append((record, seconds))

    def passed(self, bridge: BridgeName, result: str, seconds: float, *, everything: bool) -> None:
        del bridge, seconds
        self.passes.append(result)
        if everything:
            self.passes_over_everything.append(result)

    def bridge_up(self, bridge: BridgeName, *, up: bool, reason: str) -> None:
        del bridge
        self.up.append((up, reason))

    def lease_held(self, bridge: BridgeName, *, held: bool) -> None:
        del bridge
        self.held.append(held)

    def unmanaged(self, bridge: BridgeName, count: int) -> None:
        del bridge
        self.unmanaged_counts.append(count)

    def paced(self, bridge: BridgeName, *, limit: int, breaker_open: bool) -> None:
        del bridge, breaker_open
        self.limits.append(limit)

    def mass_refusal(self, bridge: BridgeName, exchange: str, *, on: bool) -> None:
        del bridge
        self.mass_refusals.append((exchange, on))

    def progressed(self, bridge: BridgeName) -> None:
        del bridge
        self.progress += 1
