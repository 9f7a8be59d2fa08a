"""What the daemon last saw of itself, its database and its bridges; health is read from it."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(slots=True)
class BridgeVitals:
    """*since* is when up last changed, *seen_at* when it was last looked at."""

    up: bool | None = None
    reason: str = "not asked yet"
    since: datetime | None = None
    seen_at: datetime | None = None
    held: bool = False
    pauses: int = 0
    """In force, of whatever reach; *paused* if one reaches all of this bridge."""
    paused: bool = False
    turned: float | None = None
    """On the process's clock: when an iteration of its loop last ended."""
    resync: float = 30.0
    """Seconds between two such iterations, if nothing calls for one."""


@dataclass(slots=True)
class Vitals:
    """Written by those who see, read by the health endpoints, which wait for nothing."""

    bridges: dict[str, BridgeVitals] = field(default_factory=dict)
    started: bool = False
    draining: bool = False
    database: str | None = "not asked yet"
    """Why it cannot be used; None if it can."""
    database_seen_at: float | None = None
    """On the process's clock: when it last answered or failed to."""
    schema: str | None = "not asked yet"
    """Why the schema will not do; None if it will."""
    keyring: str | None = "not asked yet"
    routes: str | None = None
    """Why our rules for which key goes where cannot be in force."""
    routes_differ: bool = False

    def of(self, bridge: str) -> BridgeVitals:
        return self.bridges.setdefault(bridge, BridgeVitals())
