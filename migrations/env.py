"""Runs migrations on a connection that the caller opened, inside the caller's transaction."""

from alembic import context
from sqlalchemy import text

SCHEMA = "bridgetender"

connection = context.config.attributes["connection"]
connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{SCHEMA}"'))
context.configure(connection=connection, version_table_schema=SCHEMA)
with context.begin_transaction():
    context.run_migrations()
