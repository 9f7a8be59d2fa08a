"""What HTTP asks of every route alike: HEAD, OPTIONS, Allow, Accept, Content-Type, slashes."""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bridge.problems import refusal

Methods = Callable[[str], set[str]]
_READABLE = frozenset({"application/json", "application/problem+json", "application/*", "*/*"})
_TEXT = frozenset({"/metrics"})
# What a redirect takes along; anything else in a query may be a secret in the wrong place.
_TRAVELS = frozenset({"account", "cursor", "fingerprint", "limit", "verify"})


class Manners:
    """ASGI middleware; *routes* have `path_regex` and `methods`."""

    def __init__(self, app: ASGIApp, routes: Iterable[Any]) -> None:
        self._app = app
        self._routes = tuple(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (instead := answered(scope, self._methods)) is not None:
            await instead(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._app({**scope, "method": "GET"}, receive, _without_body(send))
        else:
            await self._app(scope, receive, send)

    def _methods(self, path: str) -> set[str]:
        found = {m for r in self._routes if r.path_regex.match(path) for m in r.methods}
        return found | ({"HEAD"} if "GET" in found else set())


def answered(scope: Scope, methods: Methods) -> Response | None:
    """Return the answer to a request that needs no route, None if a route shall answer."""
    path, method, headers = scope["path"], scope["method"], Headers(scope=scope)
    known = methods(path)
    if not known:
        return _elsewhere(scope, methods)
    allow = {"Allow": ", ".join(sorted({*known, "OPTIONS"}))}
    if method == "OPTIONS":
        return Response(status_code=204, headers=allow)
    if method not in known:
        return refusal(405, allow)
    if path not in _TEXT and not _readable(headers.get("accept", "*/*")):
        return refusal(406)
    if method not in ("GET", "HEAD", "DELETE") and not _is_json(headers):
        return refusal(415)
    return None


def _elsewhere(scope: Scope, methods: Methods) -> Response | None:
    """Bridges in the field redirect `/accounts/`; relatively, so that no Host can lead away."""
    path = scope["path"].rstrip("/")
    if path == scope["path"] or not methods(path):
        return None
    asked = parse_qsl(scope["query_string"].decode("latin-1"))
    query = urlencode([(name, value) for name, value in asked if name in _TRAVELS])
    return Response(
        status_code=307, headers={"Location": quote(path) + ("?" + query) * bool(query)}
    )


def _readable(accept: str) -> bool:
    ranges = (each.partition(";") for each in accept.lower().split(","))
    return any(
        kind.strip() in _READABLE and more.replace(" ", "").rstrip("0.") != "q="
        for kind, _, more in ranges
    )


def _is_json(headers: Headers) -> bool:
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return True  # nothing came, and the route says what is missing
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    packed = headers.get("content-encoding", "identity").lower() != "identity"
    return not packed and (kind == "application/json" or kind.endswith("+json"))


def _without_body(send: Send) -> Send:
    async def headers_only(message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await send(message)

    return headers_only
