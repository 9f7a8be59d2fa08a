"""What a key may do, as its exchange told; how often the sessions of a token were ended."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"


def upgrade() -> None:
    op.add_column("connectors", sa.Column("rights", sa.Text), schema=SCHEMA)
    logouts = sa.Column("logouts", sa.Integer, nullable=False, server_default="0")
    op.add_column("tokens", logouts, schema=SCHEMA)


def downgrade() -> None:
    op.drop_column("tokens", "logouts", schema=SCHEMA)
    op.drop_column("connectors", "rights", schema=SCHEMA)
