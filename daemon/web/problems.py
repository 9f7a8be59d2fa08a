"""What went wrong, as RFC 9457 says it: stable codes, what to do, and never the input."""

from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from daemon.entry import BadEntry
from daemon.store.engine import Unsure
from daemon.store.people import NoSuchThing
from reconciler.verdicts import StoreError

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
TITLES: Mapping[str, tuple[int, str]] = {
    "invalid": (422, "What was sent cannot be used"),
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "A valid token is needed"),
    "forbidden": (403, "This token may not do that"),
    "not_found": (404, "There is no such thing"),
    "not_allowed": (405, "This cannot be done here"),
    "conflict": (409, "Something stands in the way"),
    "too_large": (413, "That is too much at once"),
    "throttled": (429, "Too many requests"),
    "refused": (422, "The exchange refuses these credentials"),
    "unsupported": (422, "The Trading Bridge does not support that"),
    "internal": (500, "Something went wrong in here"),
    "bridge_unavailable": (503, "The Trading Bridge is out of reach"),
    "database_unavailable": (503, "The database is out of reach"),
}
"""Every code, with its status and what it means."""


_EMPTY = "is empty; paste it as the exchange shows it"
_EXAMPLES: Mapping[int, dict[str, Any]] = {
    4: {"detail": f"api_key: {_EMPTY}", "errors": [{"field": "api_key", "problem": _EMPTY}]},
    5: {"detail": "See the daemon's log."},
}
"""What is told beside the first code of a kind."""


def _described(kind: int) -> dict[str, Any]:
    """Return how the OpenAPI page tells of the failures whose status begins with *kind*."""
    codes = {code: told for code, told in TITLES.items() if told[0] // 100 == kind}
    lines = (f"- `{code}` ({status}): {title}" for code, (status, title) in codes.items())
    properties = {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what to do."},
        "code": {"type": "string", "enum": list(codes)},
        "errors": {
            "type": "array",
            "description": "The fields that are wrong, where fields are.",
            "items": {
                "type": "object",
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
    }
    needed = [name for name in properties if name != "errors"]
    schema = {"type": "object", "required": needed, "properties": properties}
    code, (status, title) = next(iter(codes.items()))
    known = {"type": "about:blank", "title": title, "status": status, "code": code}
    content = {MEDIA_TYPE: {"schema": schema, "example": known | _EXAMPLES[kind]}}
    return {"description": "\n".join(lines), "content": content}


RESPONSES: dict[int | str, dict[str, Any]] = {"4XX": _described(4), "5XX": _described(5)}
"""Of every route of the API."""
_OF_STATUS = {400: "malformed", 404: "not_found", 405: "not_allowed", 413: "too_large"}


class Problem(Exception):
    """Ends a request. *detail* says what is wrong and what to do, and holds no secret."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail
        self.headers, self.more = headers, more


EXPECTED = (
    Problem,
    RequestValidationError,
    HTTPException,
    BadEntry,
    NoSuchThing,
    StoreError,
)


def install(app: FastAPI) -> None:
    """Let *app* answer every failure as a problem."""
    for kind in EXPECTED:
        app.add_exception_handler(kind, _expected)
    app.add_exception_handler(Exception, _crash)


def problem_of(error: Exception) -> Problem:
    """Return what *error* is to who asked: one of those that are expected to happen."""
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            code = _OF_STATUS.get(error.status_code, "malformed")
            return Problem(code, TITLES[code][1], headers=error.headers)
        case BadEntry():
            field, words = str(error).split(": ", maxsplit=1)
            return Problem("invalid", str(error), errors=[{"field": field, "problem": words}])
        case NoSuchThing():
            return Problem("not_found", str(error).split(": see 'bridgetender", maxsplit=1)[0])
        case _:
            log.warning("store_away", reason=str(error))
            words = _UNSURE if isinstance(error, Unsure) else _UNCHANGED
            return Problem("database_unavailable", words, headers={"Retry-After": "5"})


_UNCHANGED = "The database is out of reach. Nothing was changed; try again."
_UNSURE = (
    "The database went out of reach in the middle: it may have been carried out. Look before you"
    " repeat it; under the Idempotency-Key that it had, if any, it can be repeated safely."
)


def told(problem: Problem) -> JSONResponse:
    status, title = TITLES[problem.code]
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": problem.detail,
        "code": problem.code,
        **problem.more,
    }
    return JSONResponse(body, status, headers=problem.headers, media_type=MEDIA_TYPE)


async def _expected(_: Request, error: Exception) -> JSONResponse:
    return told(problem_of(error))


def _invalid(error: RequestValidationError) -> Problem:
    """Name the fields and what is expected, and repeat nothing of what was in them."""
    found = error.errors()
    wrong = [{"field": _field(each["loc"]), "problem": _words(each)} for each in found[:20]]
    if any(each["type"] == "json_invalid" for each in found):
        return Problem("malformed", "The body is not JSON")
    said = "; ".join(f"{each['field']}: {each['problem']}" for each in wrong)
    return Problem("invalid", said, errors=wrong)


def _field(loc: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in loc[1:]) or str(loc[0])


_SAID: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field here",
    "string_type": "is not text",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "uuid_parsing": "is not an id, which looks like 6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
    "uuid_type": "is not an id, which looks like 6f1c2a34-5b6d-4e7f-8a9b-0c1d2e3f4a5b",
    "model_attributes_type": "is not a JSON object; send one, as Content-Type: application/json",
}
"""Of pydantic's kinds of mistakes, those that it words for programmers."""


def _words(error: Mapping[str, Any]) -> str:
    if error["type"] in _SAID:
        return _SAID[error["type"]]
    if error["type"] in ("too_long", "string_too_long"):
        return f"is longer than {error['ctx']['max_length']:,} characters"
    # pydantic's words name the rule; what was sent is in `input` only
    return str(error["msg"]).removeprefix("Value error, ")


async def _crash(request: Request, error: Exception) -> JSONResponse:
    log.error("request_crashed", path=request.url.path, exc_info=error)
    return told(Problem("internal", "See the daemon's log."))
