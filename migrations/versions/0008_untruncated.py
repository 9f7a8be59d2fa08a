"""The audit is not emptied either: what forbids UPDATE and DELETE row by row never saw TRUNCATE."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SCHEMA = "bridgetender"


def upgrade() -> None:
    op.execute(f"""
CREATE FUNCTION {SCHEMA}.audit_is_not_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit is only added to';
END $$
""")
    op.execute(f"""
CREATE TRIGGER audit_is_not_emptied BEFORE TRUNCATE ON {SCHEMA}.audit
FOR EACH STATEMENT EXECUTE FUNCTION {SCHEMA}.audit_is_not_emptied()
""")


def downgrade() -> None:
    op.execute(f"DROP TRIGGER audit_is_not_emptied ON {SCHEMA}.audit")
    op.execute(f"DROP FUNCTION {SCHEMA}.audit_is_not_emptied()")
