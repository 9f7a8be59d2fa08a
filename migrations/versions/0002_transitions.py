"""When a slot came to stand otherwise, and why. A daemon that does not know of it goes on well."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"


def upgrade() -> None:
    op.create_table(
        "transitions",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("bridge", "account", "connector")),
        *(sa.Column(name, sa.Uuid, nullable=False) for name in ("key_id", "client_id")),
        *(sa.Column(name, sa.Text) for name in ("from_phase", "from_reason")),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("to_phase", "to_reason", "cause", "message")
        ),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Index("ix_transitions_slot", "bridge", "account", "connector", "id"),
        sa.Index("ix_transitions_key_id_at", "key_id", "at"),
        sa.Index("ix_transitions_client_id", "client_id"),
        sa.Index("ix_transitions_at", "at"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("transitions", schema=SCHEMA)
