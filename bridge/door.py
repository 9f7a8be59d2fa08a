"""Who may come in, and how much they may carry."""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.problems import refusal

OPEN = frozenset({"/livez", "/readyz", "/health"})
LARGEST_BODY = 256 * 1024


class Door:
    """ASGI middleware: 401 without the token, 413 for a body over 256 KiB."""

    def __init__(self, app: ASGIApp, token: str | None = None) -> None:
        self._app = app
        self._digest = None if token is None else _digest(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if scope["path"] not in OPEN and not self._knows(headers.get("authorization", "")):
            await refusal(401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
            return
        body = await _read(headers, receive)
        if body is None:
            await refusal(413)(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), send)

    def _knows(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if self._digest is None:
            return True
        return scheme.lower() == "bearer" and hmac.compare_digest(_digest(token), self._digest)


def _digest(token: str) -> bytes:
    # Of equal length whatever was sent, so that the comparison tells nothing.
    return hashlib.sha256(token.strip().encode()).digest()


async def _read(headers: Headers, receive: Receive) -> bytes | None:
    """Return the whole body, or None once it is too large or will never be whole."""
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > LARGEST_BODY:
        return None
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > LARGEST_BODY or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
