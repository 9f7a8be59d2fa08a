"""What holds for every request: how large it may be, and what every answer says of itself."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.web.problems import Problem, told

LARGEST_BODY = 1024 * 1024
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    b" connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing but what we send ourselves, and nothing inside a page: markup that slips in is inert."""
_HEADERS = (
    (b"content-security-policy", _POLICY),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),  # without any, browsers say "Origin: null" of our forms
    (b"x-frame-options", b"DENY"),
)


class Shell:
    """ASGI middleware: 413 for a body over LARGEST_BODY bytes; nothing is kept by caches."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = await _read(receive)
        if body is None:
            words = f"The body is over {LARGEST_BODY} bytes: send less at once."
            await told(Problem("too_large", words))(scope, receive, send)
            return
        await self._app(scope, _replayed(body, receive), _with_headers(send))


async def _read(receive: Receive) -> bytes | None:
    """Return the whole body, or None if it is too large or will never be whole."""
    parts, size = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > LARGEST_BODY or message["type"] == "http.disconnect":
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            said = {name.lower() for name, _ in message["headers"]}
            message["headers"] += [each for each in _HEADERS if each[0] not in said]
        await send(message)

    return sending
