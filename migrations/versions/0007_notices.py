"""What the owner of a key was told, and is to be told, by webhook: a row for each key."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("key_id", sa.Uuid, primary_key=True),
        sa.Column("client_id", sa.Uuid, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("bridge", "exchange", "state", "reason")
        ),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("attempted_at", MOMENT),
        sa.Column("told_state", sa.Text),
        sa.Column("told_reason", sa.Text),
        sa.CheckConstraint("state IN ('parked', 'recovered')", name="notices_state_check"),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("notices", schema=SCHEMA)
