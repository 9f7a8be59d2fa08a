"""Until when an exchange is left alone: the next holder of the bridge leaves it alone, too."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"


def upgrade() -> None:
    op.create_table(
        "quiets",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("bridge", "exchange")),
        *(
            sa.Column(name, sa.DateTime(timezone=True), nullable=False)
            for name in ("until", "set_at")
        ),
        schema=SCHEMA,
    )


def downgrade() -> None:
    op.drop_table("quiets", schema=SCHEMA)
