"""The console's sessions: sealed in a cookie, so that every replica reads them and none keeps them.

A cookie names a token and holds none: who revokes the token ends its sessions. Who logs out ends
all that were begun with the token, copies of the cookie among them.
"""

import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Request

from daemon.tokens import Role
from daemon.vault import Keyring
from daemon.web.auth import Caller, Gate
from daemon.web.problems import Problem
from reconciler.model import Secret
from reconciler.ports import Clock
from reconciler.verdicts import Undecryptable

COOKIE = "bridgetender_session"
LENGTH = timedelta(hours=12)
_KIND = "bridgetender console session"
"""Tells it from whatever else the keyring has sealed."""


@dataclass(frozen=True, slots=True)
class Session:
    """Whose it is, begun after how many logouts and when; *csrf* comes along with its forms.

    *name* and *role* were so when it was begun: enough to show the way on, and for nothing else.
    """

    token_id: UUID
    logouts: int
    at: datetime
    csrf: str
    name: str
    role: Role


@dataclass(slots=True)
class Sessions:
    """*keyring* is asked for each time: it may be replaced."""

    keyring: Callable[[], Keyring]
    gate: Gate
    clock: Clock

    def begin(self, caller: Caller) -> str:
        """Return the cookie's value for a new session."""
        whose = [str(caller.token_id), caller.logouts]
        said = [_KIND, *whose, self.clock.now().isoformat(), secrets.token_urlsafe(24)]
        said += [caller.name, caller.role]
        return self.keyring().seal(Secret(json.dumps(said)))

    def read(self, request: Request) -> Session | None:
        """Return the session that came along, if it is one and is not over."""
        cookie = request.cookies.get(COOKIE, "")
        try:
            said = json.loads(self.keyring().unseal(cookie).reveal())
            kind, token_id, logouts, at, *more = said
            session = Session(UUID(token_id), logouts, datetime.fromisoformat(at), *more)
        except (Undecryptable, ValueError, TypeError, AttributeError):
            return None
        over = self.clock.now() - session.at > LENGTH
        return None if kind != _KIND or over else session

    async def caller(self, request: Request, *, recent: bool = False) -> Caller | None:
        """Return who is in this session; *recent*: it is enough to have known it a moment ago."""
        session = self.read(request)
        found = await self.gate.holder(session.token_id, recent=recent) if session else None
        return found if found and session and found.logouts == session.logouts else None

    async def end(self, caller: Caller) -> None:
        """End all sessions of this caller's token, in every replica."""
        await self.gate.tokens.log_out(caller.token_id)
        self.gate.forget()


def check_origin(request: Request, session: Session, word: str) -> None:
    """Raise Problem unless a form of our own page was sent: it has its *word*, and comes from here.

    Browsers that say where a request comes from must say: from this very site.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    origin = request.headers.get("origin")
    here = request.headers.get("host", "")
    elsewhere = origin is not None and urlsplit(origin).netloc != here
    right = hmac.compare_digest(word.encode(), session.csrf.encode())
    if site not in ("same-origin", "none") or elsewhere or not right:
        words = "This form did not come from a page of this session: load the page again."
        raise Problem("forbidden", words)
