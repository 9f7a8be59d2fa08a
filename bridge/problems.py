"""Failures as answers: the one place where they become problem+json (RFC 9457)."""

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, cast

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from bridge.errors import KINDS, STATUSES, Code, Trouble

MEDIA_TYPE = "application/problem+json"
_NAMED = 10  # problems of one request that are told
# What goes wrong before any exchange is thought of: code, words.
REFUSALS: Mapping[int, tuple[str, str]] = {
    400: ("malformed", "The body cannot be read"),
    401: ("unauthorized", "A valid bearer token is needed"),
    404: ("not_found", "Not found"),
    405: ("malformed", "Method not allowed"),
    406: ("malformed", "Answers are application/json; Accept leaves no room for that"),
    413: ("malformed", "The body is too large"),
    415: ("malformed", "The body must be JSON, uncompressed: Content-Type: application/json"),
    500: ("unclear", "Something went wrong inside the bridge"),
}


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    retry_after: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer; *detail* holds no secret, *retry_after* is in seconds."""
    after = None if retry_after is None else math.ceil(retry_after)
    told = dict(headers or {}) | ({} if after is None else {"Retry-After": str(after)})
    return Response(
        msgspec.json.encode(_body(status, code, detail, after)), status, told, MEDIA_TYPE
    )


def example(status: int, code: str) -> dict[str, Any]:
    """Return what such a problem may look like."""
    refusal, words = REFUSALS.get(status, ("", ""))
    kind = KINDS.get(cast("Code", code))
    detail = words if refusal == code or kind is None else kind.title
    return _body(status, code, detail, 30 if code == "throttled" else None)


def title(status: int, code: str) -> str:
    kind = KINDS.get(cast("Code", code))
    return kind.title if kind and kind.status == status else HTTPStatus(status).phrase


def _body(status: int, code: str, detail: str, retry_after: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": f"urn:bridgetender:{code}",
        "title": title(status, code),
        "status": status,
        "detail": detail,
        "code": code,
    }
    return body if retry_after is None else {**body, "retry_after": retry_after}


def refusal(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer to a request that did not get as far as a route."""
    code, words = REFUSALS.get(status, ("malformed", "Bad request"))
    return problem(status, code, words, headers=headers)


def tell(app: FastAPI) -> None:
    """Let *app* put every failure into this form."""
    app.add_exception_handler(Trouble, _tell_trouble)
    app.add_exception_handler(RequestValidationError, _tell_malformed)
    app.add_exception_handler(HTTPException, _tell_status)
    app.add_exception_handler(Exception, _tell_nothing)


async def _tell_trouble(_request: Request, error: Exception) -> Response:
    told = cast("Trouble", error)
    return problem(STATUSES[told.code], told.code, told.detail, retry_after=told.retry_after)


async def _tell_malformed(_request: Request, error: Exception) -> Response:
    """Name the fields and nothing that was in them; FastAPI's own answer repeats the body."""
    found = cast("RequestValidationError", error).errors()
    words = [f"{_place(e['loc'])}: {e['type']}" for e in found]
    return problem(422, "malformed", "; ".join(words[:_NAMED]))


def _place(loc: tuple[str | int, ...]) -> str:
    return ".".join(part for part in loc[1:] if isinstance(part, str)) or "body"


async def _tell_status(_request: Request, error: Exception) -> Response:
    raised = cast("HTTPException", error)
    return refusal(raised.status_code, raised.headers)


async def _tell_nothing(_request: Request, _error: Exception) -> Response:
    return refusal(500)
