"""The tables of the story, our own beside them, and triggers that hint where to look.

`clients` and `exchange_api_keys` belong to people: an upgrade makes them where they are missing,
and no downgrade ever drops or empties them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"
THEIRS = "public"
MOMENT = sa.DateTime(timezone=True)

# One statement each: asyncpg prepares them.
HINTS = (
    """
CREATE OR REPLACE FUNCTION bridgetender.hint(clients uuid[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- Only a hint: it never raises and never writes. 100 ids fit well below NOTIFY's 8,000 bytes.
  IF cardinality(clients) > 100 THEN
    PERFORM pg_notify('bridgetender', '*');
  ELSIF cardinality(clients) > 0 THEN
    PERFORM pg_notify('bridgetender', array_to_string(clients, ','));
  END IF;
EXCEPTION WHEN OTHERS THEN
  NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION bridgetender.hint_keys() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM bridgetender.hint(ARRAY(SELECT DISTINCT client_id FROM changed LIMIT 101));
  RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION bridgetender.hint_clients() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM bridgetender.hint(ARRAY(SELECT DISTINCT id FROM changed LIMIT 101));
  RETURN NULL;
END $$
""",
    """
CREATE OR REPLACE FUNCTION bridgetender.hint_all() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM pg_notify('bridgetender', '*');
  RETURN NULL;
END $$
""",
)

# PostgreSQL wants one trigger per event where transition tables are used.
TRIGGERS = [
    ("exchange_api_keys", "INSERT", "NEW", "hint_keys"),
    ("exchange_api_keys", "UPDATE", "NEW", "hint_keys"),
    ("exchange_api_keys", "DELETE", "OLD", "hint_keys"),
    ("exchange_api_keys", "TRUNCATE", None, "hint_all"),
    ("clients", "UPDATE", "NEW", "hint_clients"),
    ("clients", "DELETE", "OLD", "hint_clients"),
    ("clients", "TRUNCATE", None, "hint_all"),
]


def upgrade() -> None:
    _create_theirs()
    _create_coordination()
    _create_connectors()
    _create_attempts()
    for function in HINTS:
        op.execute(function)
    for trigger in TRIGGERS:
        _create_trigger(*trigger)


def downgrade() -> None:
    for table, event, _, _ in TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {_trigger(event)} ON {THEIRS}.{table}")
    for function in ("hint_all()", "hint_clients()", "hint_keys()", "hint(uuid[])"):
        op.execute(f"DROP FUNCTION IF EXISTS bridgetender.{function}")
    for name in (
        "attempts",
        "connectors",
        "keyring",
        "wishes",
        "accounts",
        "bridges",
        "waiting",
        "leases",
    ):
        op.drop_table(name, schema=SCHEMA)


def _trigger(event: str) -> str:
    return f"bridgetender_hint_{event.lower()}"


def _create_trigger(table: str, event: str, rows: str | None, function: str) -> None:
    changed = f"REFERENCING {rows} TABLE AS changed" if rows else ""
    op.execute(
        f"CREATE TRIGGER {_trigger(event)} AFTER {event} ON {THEIRS}.{table} {changed} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION bridgetender.{function}()"
    )


def _their_times() -> list[sa.Column[object]]:
    now = sa.text("CURRENT_TIMESTAMP")
    return [
        sa.Column("created_at", sa.DateTime, nullable=False, server_default=now),
        sa.Column("updated_at", sa.DateTime, nullable=False, server_default=now),
    ]


def _create_theirs() -> None:
    op.create_table(
        "clients",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("wallet_address", sa.String(255)),
        sa.Column("email", sa.String(255)),
        sa.Column("status", sa.String(20), nullable=False, server_default="ACTIVE"),
        sa.Column("tier", sa.String(50)),
        sa.Column("role", sa.String(50)),
        sa.Column("settings", sa.JSON),
        *_their_times(),
        sa.CheckConstraint(
            "status IN ('ACTIVE', 'PAUSED', 'SUSPENDED')", name="clients_status_check"
        ),
        schema=THEIRS,
        if_not_exists=True,
    )
    op.create_table(
        "exchange_api_keys",
        sa.Column("id", sa.Uuid, primary_key=True, server_default=sa.func.gen_random_uuid()),
        sa.Column(
            "client_id",
            sa.Uuid,
            sa.ForeignKey(f"{THEIRS}.clients.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("exchange", sa.String(100), nullable=False),
        sa.Column("api_key", sa.Text, nullable=False),
        sa.Column("api_secret", sa.Text, nullable=False),
        sa.Column("passphrase", sa.Text),
        sa.Column("label", sa.String(255)),
        sa.Column("is_testnet", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("is_active", sa.Boolean, nullable=False, server_default=sa.text("true")),
        *_their_times(),
        schema=THEIRS,
        if_not_exists=True,
    )
    for column in ("client_id", "exchange"):
        op.create_index(
            f"ix_exchange_api_keys_{column}",
            "exchange_api_keys",
            [column],
            schema=THEIRS,
            if_not_exists=True,
        )


def _create_coordination() -> None:
    op.create_table(
        "leases",
        sa.Column("bridge", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "waiting",
        sa.Column("bridge", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("seen_at", MOMENT, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "bridges",
        sa.Column("bridge", sa.Text, primary_key=True),
        sa.Column("up", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        schema=SCHEMA,
    )
    op.create_table(
        "accounts",
        sa.Column("bridge", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("client_id", sa.Uuid, nullable=False),
        sa.Index("ix_accounts_client_id", "client_id"),
        schema=SCHEMA,
    )
    op.create_table(
        "wishes",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("asked_at", MOMENT, nullable=False, server_default=sa.func.now()),
        schema=SCHEMA,
    )
    op.create_table(
        "keyring",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("fingerprint_key", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name="keyring_one_row"),
        schema=SCHEMA,
    )


def _create_connectors() -> None:
    op.create_table(
        "connectors",
        sa.Column("bridge", sa.Text, primary_key=True),
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("connector", sa.Text, primary_key=True),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("client_id", sa.Uuid, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("exchange", "digest", "phase", "reason", "cause", "message")
        ),
        sa.Column("urgency", sa.SmallInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("due_set_at", MOMENT),
        sa.Column("fingerprint", sa.Text),
        sa.Column("sent", sa.Text),
        sa.Column("adopted", sa.Boolean, nullable=False),
        sa.Column("intent_epoch", sa.BigInteger),
        sa.Column("intent_at", MOMENT),
        sa.Column("first_unready_at", MOMENT),
        sa.Column("last_attempt_at", MOMENT),
        sa.Column("live_since", MOMENT),
        sa.Column("verified", sa.Text, nullable=False),
        sa.Column("verified_at", MOMENT),
        sa.Index("ix_connectors_due", "bridge", "urgency", "due_at"),
        sa.Index("ix_connectors_client_id", "client_id"),
        sa.Index("ix_connectors_sent", "sent"),
        schema=SCHEMA,
        postgresql_with={"fillfactor": "80"},
    )


def _create_attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("bridge", "account", "connector")),
        sa.Column("key_id", sa.Uuid, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("exchange", "action", "cause", "verdict", "message")
        ),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Index("ix_attempts_key_id_at", "key_id", "at"),
        sa.Index("ix_attempts_at", "at"),
        schema=SCHEMA,
    )
