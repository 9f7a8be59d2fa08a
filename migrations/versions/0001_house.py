"""Our own tables; people's have no versions: `daemon.store.adopting` takes them as they are."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    _create_coordination()
    _create_connectors()
    _create_attempts()
    _create_pauses()


def downgrade() -> None:
    names = ("attempts", "connectors", "keyring", "wishes", "routes", "accounts", "bridges")
    for name in (*names, "waiting", "leases"):
        op.drop_table(name, schema=SCHEMA)
    op.drop_table("pauses", schema=SCHEMA)


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
        "routes",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("bridge", sa.Text, nullable=False),
        sa.CheckConstraint("kind IN ('default', 'client', 'exchange')", name="routes_kind_check"),
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
        sa.Column("attempt", sa.Text, nullable=False),
        sa.Index("ix_attempts_key_id_at", "key_id", "at"),
        sa.Index("ix_attempts_at", "at"),
        schema=SCHEMA,
    )


def _create_pauses() -> None:
    op.create_table(
        "pauses",
        sa.Column("scope", sa.Text, primary_key=True),
        sa.Column("subject", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "by", "reason")),
        sa.Column("since", MOMENT, nullable=False, server_default=sa.func.now()),
        sa.CheckConstraint("scope IN ('all', 'bridge', 'client', 'key')", name="pauses_scope"),
        schema=SCHEMA,
    )
