"""Puts into words why the database did not do it: what was tried, and what to check."""

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from daemon.scrub import masked
from daemon.store.engine import NOT_MIGRATED, sqlstate
from reconciler.verdicts import StoreError


def away(engine: AsyncEngine, error: StoreError) -> str:
    """Say what was tried, what came of it, and what to check."""
    tried, why = whereabouts(engine.url), masked(str(error))
    state = sqlstate(error)
    if state in NOT_MIGRATED:
        return f"the tables in {tried} are not those of this version: run 'bridgetender migrate'"
    if state == "55P03":
        return f"others use the tables in {tried}, without a pause: run it again when they are idle"
    if state is None or state[:2] in ("08", "28", "3D", "53", "57"):
        return (
            f"the database does not let us in: {why}\nTried {tried}; check that it runs there, and"
            " host, port, database, user and password in DATABASE_URL."
        )
    return f"the database says no: {why}\nTried {tried}."


def in_a_line(engine: AsyncEngine, error: StoreError) -> str:
    return " ".join(away(engine, error).splitlines())


def whereabouts(url: URL) -> str:
    """Say where a database is, without the password."""
    host = url.query.get("host", "")
    place = f"socket {host}" if host else f"{url.host or 'localhost'}:{url.port or 5432}"
    return f"PostgreSQL at {place}, database {url.database!r}, user {url.username!r}"
