"""A POST with an Idempotency-Key is carried out once; its repetition hears the same answer."""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

import anyio
import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute

from daemon.store.answers import CHANGED, Answer, Answers
from daemon.web.auth import Gate, address_of, token_of
from daemon.web.problems import Problem
from reconciler.verdicts import StoreError

log = structlog.get_logger()

HEADER = "idempotency-key"
_LONGEST = 255
_PATIENCE = 2.0
"""Seconds that the note of an answer may take."""
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
    claim = await answers.begin(caller.token_id, key, await _digest(request))
    if isinstance(claim, Answer):
        return _again(claim, await _digest(request))
    request.state.claim = claim
    try:
        response = await handle(request)
    except BaseException:
        await _if_it_can(answers.drop(claim))
        raise
    body = bytes(response.body).decode()
    await _if_it_can(answers.end(claim, response.status_code, body))
    return response


async def _if_it_can(written: Awaitable[None]) -> None:
    """Let what was done be told though the note of it cannot be written."""
    with anyio.move_on_after(_PATIENCE):
        try:
            await written
        except StoreError as error:
            log.warning("answer_not_kept", reason=str(error))


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
    if known.status == CHANGED:
        words = (
            "The first request with this Idempotency-Key was carried out, and its answer is not"
            " there yet or was lost: ask again, or look at what became of it"
        )
        raise Problem("conflict", words, headers={"Retry-After": "1"})
    if known.status is None:
        words = "The first request with this Idempotency-Key is under way still; ask again"
        raise Problem("conflict", words, headers={"Retry-After": "1"})
    headers = {"Idempotent-Replayed": "true"}
    return Response(known.body, known.status, headers, media_type="application/json")
