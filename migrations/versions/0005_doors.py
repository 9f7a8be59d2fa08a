"""Who may come in by the API, what they did, and what was answered to a request that may repeat."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Uuid, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("name", "role", "digest", "by")),
        sa.Column("client_id", sa.Uuid),
        sa.Column("created_at", _MOMENT, nullable=False, server_default=sa.func.now()),
        *(sa.Column(name, _MOMENT) for name in ("expires_at", "last_used_at", "revoked_at")),
        sa.CheckConstraint("role IN ('admin', 'viewer', 'client')", name="tokens_role"),
        sa.CheckConstraint("(role = 'client') = (client_id IS NOT NULL)", name="tokens_client"),
        sa.Index("ix_tokens_digest", "digest", unique=True),
        schema=SCHEMA,
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", _MOMENT, nullable=False, server_default=sa.func.clock_timestamp()),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("actor", "role", "action")),
        *(sa.Column(name, sa.Uuid) for name in ("client_id", "key_id")),
        sa.Column("detail", JSONB, nullable=False),
        sa.Index("ix_audit_at", "at"),
        sa.Index("ix_audit_client_id", "client_id", "at"),
        schema=SCHEMA,
    )
    op.create_table(
        "answers",
        sa.Column("token_id", sa.Uuid, primary_key=True),
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("request", sa.Text, nullable=False),
        sa.Column("at", _MOMENT, nullable=False, server_default=sa.func.now()),
        sa.Column("status", sa.SmallInteger),
        sa.Column("body", sa.Text),
        sa.Index("ix_answers_at", "at"),
        schema=SCHEMA,
    )
    op.execute(f"""
CREATE FUNCTION {SCHEMA}.audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD.at < now() - interval '1 day' THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'the audit is only added to';
END $$
""")
    op.execute(f"""
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON {SCHEMA}.audit
FOR EACH ROW EXECUTE FUNCTION {SCHEMA}.audit_stays()
""")


def downgrade() -> None:
    for name in ("answers", "audit", "tokens"):
        op.drop_table(name, schema=SCHEMA)
    op.execute(f"DROP FUNCTION {SCHEMA}.audit_stays()")
