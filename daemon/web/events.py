"""Server-sent events: what changed, for who has a page open. Says that, not what is in it."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from daemon.web.problems import Problem
from daemon.web.roster import Roster, Snapshot
from reconciler.verdicts import StoreError

BEAT = 15.0
"""Seconds after which something is sent, however little there is to say."""
_SLOW = 10.0
"""Seconds that somebody may take to take what was sent."""


class EventStream(Response):
    """Sends what *events* yields for as long as it is taken in time."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[str]) -> None:
        super().__init__()
        self._events = events
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._until_gone, receive, tasks.cancel_scope)
            await self._send(send)
            tasks.cancel_scope.cancel()

    @staticmethod
    async def _until_gone(receive: Receive, scope: anyio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _send(self, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": self.raw_headers},
        )
        with anyio.CancelScope() as slow:
            async for event in self._events:
                slow.deadline = anyio.current_time() + _SLOW
                await send(
                    {"type": "http.response.body", "body": event.encode(), "more_body": True}
                )
                slow.deadline = float("inf")
            slow.deadline = anyio.current_time() + _SLOW
            await send({"type": "http.response.body", "body": b""})


async def changes(
    roster: Roster, still_welcome: Callable[[], Awaitable[object]], beat: float = BEAT
) -> AsyncIterator[str]:
    """Yield how things stand, then each change of it. *still_welcome* raises Problem if not.

    It is asked before anything is sent, so it had better know without a query.
    """
    version = ""
    while True:
        try:
            snapshot = await roster.after(version, beat)
            await still_welcome()
        except Problem:
            return
        except StoreError:
            yield "event: away\ndata: {}\n\n"
            version = ""  # so that it is said, too, that all is as it was
            await anyio.sleep(beat)
            continue
        yield _told(snapshot) if snapshot.version != version else ": still here\n\n"
        version = snapshot.version
        if roster.closed:
            return


def _told(snapshot: Snapshot) -> str:
    said = {
        "version": snapshot.version,
        "keys": len(snapshot.keys),
        "phases": snapshot.phases,
        "bridges_down": [bridge.bridge for bridge in snapshot.down],
        "pauses": len(snapshot.pauses),
    }
    return f"id: {snapshot.version}\nevent: change\ndata: {json.dumps(said)}\n\n"
