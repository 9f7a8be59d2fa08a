"""The tables as SQLAlchemy sees them. The migrations make them; a test proves both equal."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "bridgetender"

theirs = MetaData()
"""People and backends write these; the loop only reads. The engine puts them in `public`."""

ours = MetaData(schema=SCHEMA)
"""Only the daemon writes these. No foreign key runs between the two."""

_MOMENT = DateTime(timezone=True)


def _their_times() -> tuple[Column[object], Column[object]]:
    return (
        Column("created_at", DateTime, nullable=False, server_default=func.current_timestamp()),
        Column(
            "updated_at",
            DateTime,
            nullable=False,
            server_default=func.current_timestamp(),
            onupdate=func.current_timestamp(),
        ),
    )


clients = Table(
    "clients",
    theirs,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", String(255), nullable=False),
    Column("wallet_address", String(255)),
    Column("email", String(255)),
    Column("status", String(20), nullable=False, server_default="ACTIVE"),
    Column("tier", String(50)),
    Column("role", String(50)),
    Column("settings", JSON),
    *_their_times(),
    CheckConstraint("status IN ('ACTIVE', 'PAUSED', 'SUSPENDED')", name="clients_status_check"),
)

exchange_api_keys = Table(
    "exchange_api_keys",
    theirs,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("client_id", Uuid, ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
    Column("exchange", String(100), nullable=False),
    Column("api_key", Text, nullable=False),
    Column("api_secret", Text, nullable=False),
    Column("passphrase", Text),
    Column("label", String(255)),
    Column("is_testnet", Boolean, nullable=False, server_default=text("false")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    *_their_times(),
    Index("ix_exchange_api_keys_client_id", "client_id"),
    Index("ix_exchange_api_keys_exchange", "exchange"),
)

leases = Table(
    "leases",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", _MOMENT, nullable=False),
)

waiting = Table(
    "waiting",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("seen_at", _MOMENT, nullable=False),
)

bridges = Table(
    "bridges",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("up", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", _MOMENT, nullable=False),
)

quiets = Table(
    "quiets",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("exchange", Text, primary_key=True),
    Column("until", _MOMENT, nullable=False),
    Column("set_at", _MOMENT, nullable=False),
)

accounts = Table(
    "accounts",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Index("ix_accounts_client_id", "client_id"),
)

connectors = Table(
    "connectors",
    ours,
    Column("bridge", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("connector", Text, primary_key=True),
    Column("key_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("urgency", SmallInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("due_at", _MOMENT),
    Column("due_set_at", _MOMENT),
    Column("fingerprint", Text),
    Column("sent", Text),
    Column("adopted", Boolean, nullable=False),
    Column("intent_epoch", BigInteger),
    Column("intent_at", _MOMENT),
    Column("first_unready_at", _MOMENT),
    Column("last_attempt_at", _MOMENT),
    Column("live_since", _MOMENT),
    Column("verified", Text, nullable=False),
    Column("verified_at", _MOMENT),
    Column("rights", Text),
    Index("ix_connectors_lane", "bridge", "exchange", "urgency", "due_at"),
    Index("ix_connectors_client_id", "client_id"),
    Index("ix_connectors_sent", "sent"),
    postgresql_with={"fillfactor": "80"},
)

attempts = Table(
    "attempts",
    ours,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("bridge", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("key_id", Uuid, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", _MOMENT, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("attempt", Text, nullable=False),
    Index("ix_attempts_key_id_at", "key_id", "at"),
    Index("ix_attempts_at", "at"),
)

transitions = Table(
    "transitions",
    ours,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("bridge", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("key_id", Uuid, nullable=False),
    Column("client_id", Uuid, nullable=False),
    Column("from_phase", Text),
    Column("from_reason", Text),
    Column("to_phase", Text, nullable=False),
    Column("to_reason", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("at", _MOMENT, nullable=False),
    Index("ix_transitions_slot", "bridge", "account", "connector", "id"),
    Index("ix_transitions_key_id_at", "key_id", "at"),
    Index("ix_transitions_client_id", "client_id"),
    Index("ix_transitions_at", "at"),
)

notices = Table(
    "notices",
    ours,
    Column("key_id", Uuid, primary_key=True),
    Column("client_id", Uuid, nullable=False),
    Column("bridge", Text, nullable=False),
    Column("exchange", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", _MOMENT, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("due_at", _MOMENT, nullable=False),
    Column("attempted_at", _MOMENT),
    Column("told_state", Text),
    Column("told_reason", Text),
    CheckConstraint("state IN ('parked', 'recovered')", name="notices_state_check"),
)

routes = Table(
    "routes",
    ours,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("bridge", Text, nullable=False),
    CheckConstraint("kind IN ('default', 'client', 'exchange')", name="routes_kind_check"),
)

wishes = Table(
    "wishes",
    ours,
    Column("key_id", Uuid, primary_key=True),
    Column("asked_at", _MOMENT, nullable=False, server_default=func.now()),
)

keyring = Table(
    "keyring",
    ours,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("fingerprint_key", Text, nullable=False),
    CheckConstraint("id = 1", name="keyring_one_row"),
)

tokens = Table(
    "tokens",
    ours,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("client_id", Uuid),
    Column("created_at", _MOMENT, nullable=False, server_default=func.now()),
    Column("expires_at", _MOMENT),
    Column("last_used_at", _MOMENT),
    Column("revoked_at", _MOMENT),
    Column("logouts", Integer, nullable=False, server_default="0"),
    CheckConstraint("role IN ('admin', 'viewer', 'client')", name="tokens_role"),
    CheckConstraint("(role = 'client') = (client_id IS NOT NULL)", name="tokens_client"),
    Index("ix_tokens_digest", "digest", unique=True),
)

audit = Table(
    "audit",
    ours,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("at", _MOMENT, nullable=False, server_default=func.clock_timestamp()),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("client_id", Uuid),
    Column("key_id", Uuid),
    Column("detail", JSONB, nullable=False),
    Index("ix_audit_at", "at"),
    Index("ix_audit_client_id", "client_id", "at"),
)
"""Triggers let rows in, and out again after a day: by then the daemon may drop what is too old.

They stop slips and whoever may write; who owns the table can drop them, and a writer can delete
what is older than a day. Who must not be able to needs a copy elsewhere.
"""

answers = Table(
    "answers",
    ours,
    Column("token_id", Uuid, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("at", _MOMENT, nullable=False, server_default=func.now()),
    Column("status", SmallInteger),
    Column("body", Text),
    Index("ix_answers_at", "at"),
)

pauses = Table(
    "pauses",
    ours,
    Column("scope", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", _MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("scope IN ('all', 'bridge', 'client', 'key')", name="pauses_scope"),
)
