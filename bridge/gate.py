"""Lets requests in until the process shall stop; then those inside may end, and nobody follows."""

import time
from collections.abc import Callable

import anyio
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.problems import problem

_READY = "/readyz"
# What is answered until the end, and keeps nobody waiting for it.
_ALWAYS = frozenset({"/livez", "/health", "/metrics"})


class Gate:
    """ASGI middleware around everything; `close` may be called by a signal's handler."""

    def __init__(
        self, app: ASGIApp, grace_s: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._app, self._grace_s, self._now = app, grace_s, now
        self._until: float | None = None
        self._inside: set[anyio.CancelScope] = set()

    @property
    def closed(self) -> bool:
        return self._until is not None

    def close(self) -> None:
        """Let nobody in from now on; a second call ends the grace of those inside."""
        self._until = self._now() + self._grace_s if self._until is None else self._now()

    def sweep(self) -> bool:
        """Send out who stays beyond the grace time; True when closed and nobody is inside."""
        if self._until is None:
            return False
        if self._now() >= self._until:
            for inside in self._inside:
                inside.cancel()
        return not self._inside

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _ALWAYS:
            await self._app(scope, receive, send)
        elif self.closed:
            await _stopping()(scope, receive, send)
        elif scope["path"] == _READY:
            await self._app(scope, receive, send)
        else:
            await self._admit(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        with anyio.CancelScope() as inside:
            self._inside.add(inside)
            try:
                await self._app(scope, receive, noted)
            finally:
                self._inside.remove(inside)
        if inside.cancelled_caught and not begun:
            await _stopping()(scope, receive, send)


def _stopping() -> Response:
    words = "The bridge is stopping"
    return problem(503, "unavailable", words, headers={"Connection": "close"})
