"""What is due is asked for by exchange and class, so that none hides behind another."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"


def upgrade() -> None:
    columns = ["bridge", "exchange", "urgency", "due_at"]
    op.create_index("ix_connectors_lane", "connectors", columns, schema=SCHEMA)
    op.drop_index("ix_connectors_due", "connectors", schema=SCHEMA)


def downgrade() -> None:
    columns = ["bridge", "urgency", "due_at"]
    op.create_index("ix_connectors_due", "connectors", columns, schema=SCHEMA)
    op.drop_index("ix_connectors_lane", "connectors", schema=SCHEMA)
