"""Writes the revisions down as SQL; `daemon.store.schema` runs or prints it."""

from alembic import context

context.configure(
    dialect_name="postgresql",
    output_buffer=context.config.attributes["sheet"],
    transactional_ddl=False,  # the caller has a transaction around it
    version_table_schema="bridgetender",
)
context.run_migrations()
