"""A POST with an Idempotency-Key is carried out once; its repetition hears the same answer."""

import hashlib
import hmac
from collections.abc import Callable, Coroutine
from typing import Any, cast

from fastapi import Request, Response
from fastapi.routing import APIRoute

from daemon.store.answers import Answer, Answers
from daemon.web.auth import Gate, address_of, token_of
from daemon.web.problems import Problem

HEADER = "idempotency-key"
_LONGEST = 255
_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Once(APIRoute):
    """The route class of everything that may be asked for by POST."""

    def get_route_handler(self) -> _Handler:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if key is None or request.method != "POST":
                return await handle(request)
            return await _once(handle, request, key)

        return once


async def _once(handle: _Handler, request: Request, key: str) -> Response:
    if not 0 < len(key) <= _LONGEST or not key.isprintable():
        words = f"Idempotency-Key: use 1 to {_LONGEST} printable characters, a UUID for instance"
        raise Problem("invalid", words)
    gate = cast("Gate", request.app.state.gate)
    answers = cast("Answers", request.app.state.answers)
    caller = await gate.caller(token_of(request), address_of(request))
    known = await answers.begin(caller.token_id, key, await _digest(request))
    if known is not None:
        return _again(known, await _digest(request))
    try:
        response = await handle(request)
    except BaseException:
        await answers.drop(caller.token_id, key)
        raise
    body = bytes(response.body).decode()
    await answers.end(caller.token_id, key, response.status_code, body)
    return response


async def _digest(request: Request) -> str:
    """Return a digest that only who has the token can compare: the body may hold secrets."""
    token = token_of(request)
    secret = token.reveal().encode() if token else b""
    body = await request.body()
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return hmac.new(secret, asked + body, hashlib.sha256).hexdigest()


def _again(known: Answer, request: str) -> Response:
    if not hmac.compare_digest(known.request, request):
        words = "This Idempotency-Key was used for another request: make a new one"
        raise Problem("conflict", words)
    if known.status is None or known.body is None:
        words = "The first request with this Idempotency-Key is under way still; ask again"
        raise Problem("conflict", words, headers={"Retry-After": "1"})
    headers = {"Idempotent-Replayed": "true"}
    return Response(known.body, known.status, headers, media_type="application/json")
