"""What a token is: made once, shown once, known again by its digest only."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from reconciler.model import ClientId, Instant, Secret

Role = Literal["admin", "viewer", "client"]
"""May do everything; may see everything; may see what is its own client's."""
_PREFIX = "bt_"
"""Lets secret scanners know a token where one was committed or pasted."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of one: who has it, never itself. *client_id* is a client's only."""

    id: UUID
    name: str
    role: Role
    client_id: ClientId | None
    by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    logouts: int = 0
    """How often its sessions were ended; one that began before is over."""

    def good(self, now: Instant) -> bool:
        """Tell whether it opens anything at *now*."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def new_token() -> Secret:
    """Return a token that nobody guesses: 256 bits."""
    return Secret(_PREFIX + secrets.token_urlsafe(32))


def digest_of(token: Secret) -> str:
    """Return what is stored of *token*. It is random, so a plain hash cannot be searched back."""
    return hashlib.sha256(token.reveal().encode()).hexdigest()
