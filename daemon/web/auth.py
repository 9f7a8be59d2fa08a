"""Who asks, and whether they may: tokens, roles, and patience with wrong ones."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from time import monotonic
from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from daemon.store.answers import Claim
from daemon.store.audit import Actor
from daemon.store.tokens import Tokens
from daemon.tokens import Role, Token, digest_of
from daemon.web.attempts import Denied, Failures
from daemon.web.problems import Problem
from reconciler.model import ClientId, Secret
from reconciler.ports import Clock

_USED = timedelta(minutes=1)
_LONGEST = 200
_PLACES = 10_000
_RECENT = 20.0
"""Seconds for which it is known who holds a token, to whoever only looks; less if we hear that one
was revoked."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is. *client_id* is the only client that it may see.

    *claim* is what the request has if it named itself.
    """

    token_id: UUID
    name: str
    role: Role
    client_id: ClientId | None
    logouts: int = 0
    claim: Claim | None = None

    @property
    def actor(self) -> Actor:
        return Actor(self.name, self.role, self.claim)


@dataclass(slots=True)
class Gate:
    """Knows tokens by their digests. After many wrong ones an address is asked to wait.

    A good token opens all the same: one script with an old token locks out nobody behind the same
    proxy, and tokens are too long to be guessed at any pace. What is spared is the database.
    """

    tokens: Tokens
    clock: Clock
    failures: Failures = field(default_factory=Failures)
    denied: Denied = field(default_factory=Denied)
    _held: dict[UUID, tuple[Caller | None, float]] = field(default_factory=dict)

    async def caller(self, token: Secret | None, address: str) -> Caller:
        """Return whose *token* it is. Raises Problem, StoreError."""
        known = await self._known(token, address) if token else None
        if known is not None:
            return _caller(known)
        if token is not None:
            self._failed(address)
        words = "Send a valid token: Authorization: Bearer TOKEN"
        raise Problem("unauthorized", words, headers={"WWW-Authenticate": "Bearer"})

    def _failed(self, address: str) -> None:
        """Raises Problem if a wrong token is one too many from *address*."""
        if wait := self.failures.wait(address, monotonic()):
            words = (
                "This token opens nothing, and too many such came from your address. A valid one"
                " opens at once; wait before you try another."
            )
            raise Problem("throttled", words, headers={"Retry-After": str(ceil(wait))})
        self.failures.failed(address, monotonic())

    async def holder(self, token_id: UUID, *, recent: bool = False) -> Caller | None:
        """Return who holds the token while it is good; *recent*: or was so a moment ago."""
        known, until = self._held.get(token_id, (None, 0.0))
        if recent and monotonic() < until:
            return known
        token = await self.tokens.by_id(token_id)
        good = token is not None and token.good(self.clock.now())
        found = _caller(token) if token is not None and good else None
        if len(self._held) > _PLACES:
            self.forget()
        self._held[token_id] = (found, monotonic() + _RECENT)
        return found

    def forget(self) -> None:
        """Know nobody from a moment ago."""
        self._held.clear()

    async def _known(self, token: Secret, address: str) -> Token | None:
        """Return the token if it is good. It is found by a digest, which tells no time apart."""
        if len(token.reveal()) > _LONGEST:
            return None
        digest = digest_of(token)
        if self.failures.wait(address, monotonic()) and self.denied.has(digest, monotonic()):
            return None
        found, now = await self.tokens.find(digest), self.clock.now()
        if found is None or not found.good(now):
            self.denied.add(digest, monotonic())
            return None
        if found.last_used_at is None or now - found.last_used_at > _USED:
            await self.tokens.used(found.id, now)
        return found


def _caller(token: Token) -> Caller:
    return Caller(token.id, token.name, token.role, token.client_id, token.logouts)


def token_of(request: Request) -> Secret | None:
    """Return what was sent to come in by."""
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and word.strip():
        return Secret(word.strip())
    return None


def address_of(request: Request) -> str:
    return request.client.host if request.client else ""


_bearer = HTTPBearer(auto_error=False, description="A token; see 'bridgetender token create'.")


def allowed(*roles: Role) -> Callable[..., Any]:
    """Return the dependency that yields a `Caller` of one of *roles*, and lets no other in."""

    async def caller(request: Request, _: object = Depends(_bearer)) -> Caller:
        gate: Gate = request.app.state.gate
        found = await gate.caller(token_of(request), address_of(request))
        if found.role not in roles:
            needed = " or ".join(roles)
            raise Problem("forbidden", f"This needs a token with the role {needed}.")
        return replace(found, claim=getattr(request.state, "claim", None))

    caller.roles = roles  # type: ignore[attr-defined]  # for the test that tries each with each
    return caller
