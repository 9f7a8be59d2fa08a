"""Alembic's scripts. `bridgetender migrate` runs them."""
