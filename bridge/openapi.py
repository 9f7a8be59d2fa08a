"""The OpenAPI description: each request, each answer, each error, with examples.

FastAPI finds the routes and what they are sent; what they answer is told by the table here.
"""

import re
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bridge import answers, problems
from bridge.catalogue import OWN_COPIES
from bridge.door import OPEN
from bridge.errors import CODES, KINDS, Code

_ABOUT = """Holds exchange connectors of many accounts in memory, and proves them with real calls.

Errors are problem+json; `code` says what to do. Listings know ETag and 304, and come in pages with
`limit` and `cursor`. A restart forgets everything and has another `boot_id`."""
_ASKING: tuple[Code, ...] = ("unsupported", "refused", "throttled", "unclear", "unavailable")
_BOOT = "0f4a1c22d9b3e587"
_AT = "2026-11-23T15:42:44.985309Z"
_ACCOUNT = {"name": "client_acme", "connectors": ["binance"], "created_at": _AT.rstrip("Z")}
_PROOF: dict[str, Any] = {
    "verified_at": _AT,
    "rights": {
        "read": True,
        "trade": True,
        "withdraw": False,
        "ip_restricted": True,
        "expires_at": None,
    },
    "rights_note": None,
    "warnings": [],
}


class Said(NamedTuple):
    """What an operation answers: a model and an example, and how it may fail."""

    model: type[BaseModel]
    example: Any
    failures: tuple[Code, ...] = ()


SAID: Mapping[str, Said] = {
    "get_accounts": Said(answers.Accounts, {"accounts": [_ACCOUNT], "boot_id": _BOOT}),
    "get_accounts_name": Said(answers.Account, _ACCOUNT, ("not_found",)),
    "post_accounts_create": Said(
        answers.Created,
        {
            "success": True,
            "account_name": "client_acme",
            "message": "Account 'client_acme' created",
        },
    ),
    "get_connectors_supported": Said(
        answers.Supported,
        {
            "supported_exchanges": ["lighter", "okx"],
            "exchanges": {
                "lighter": {
                    "fields": ["api_secret"],
                    "requires": ["privateKey"],
                    "sandbox": True,
                    "testnet": "lighter_testnet",
                    "proves": False,
                    "unproven": ["api_secret"],
                    "own_copy": {"of": ["options"], "why": OWN_COPIES["lighter"].why},
                },
                "okx": {
                    "fields": ["api_key", "api_secret", "password"],
                    "requires": ["apiKey", "password", "secret"],
                    "sandbox": True,
                    "testnet": "okx_testnet",
                    "proves": True,
                    "unproven": [],
                    "own_copy": None,
                },
            },
            "left_out": {},
        },
    ),
    "get_connectors": Said(
        answers.Connectors,
        {
            "boot_id": _BOOT,
            "connectors": [
                {
                    "account": "client_acme",
                    "connector": "binance",
                    "fingerprint": "f1",
                    "added_at": _AT,
                    "verified_at": None,
                    "state": "refused",
                    "last_error": {
                        "code": "refused",
                        "at": _AT,
                        "detail": "binance refused these credentials",
                    },
                }
            ],
        },
    ),
    "post_connectors_add": Said(
        answers.Added,
        {
            "success": True,
            "connector": "binance",
            "message": "Connector 'binance' added for 'client_acme'",
            "markets_loaded": 3400,
        },
        (*_ASKING, "conflict"),
    ),
    "post_connectors_verify": Said(
        answers.Proven, {"success": True, **_PROOF}, (*_ASKING, "not_found", "conflict")
    ),
    "post_credentials_check": Said(
        answers.Checked, {"success": True, "connector": "binance", **_PROOF}, _ASKING
    ),
    "delete_connectors_account_connector": Said(
        answers.Removed, {"success": True, "removed": True}, ("not_found", "conflict")
    ),
    "get_portfolio": Said(
        answers.Portfolio,
        {
            "account": "client_acme",
            "balances": {
                "binance": {"BTC": {"total": 0.6, "free": 0.5, "used": 0.1}},
                "okx": {"error": "okx refused these credentials", "code": "refused"},
            },
        },
        ("not_found",),
    ),
}
_ALIVE = Said(answers.Alive, {"status": "ok", "boot_id": _BOOT})
_KEYS = {"api_key": "the-key", "api_secret": "the-secret"}
_SLOT = {"account_name": "client_acme", "connector_name": "binance"}
SENT: Mapping[str, Any] = {
    "NewAccount": {"account_name": "client_acme"},
    "NewConnector": {**_SLOT, **_KEYS, "fingerprint": "f1"},
    "Slot": _SLOT,
    "Check": {"connector_name": "okx", **_KEYS, "password": "the-passphrase"},
}
_LISTINGS = frozenset({"get_accounts", "get_connectors"})
_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description of *app*, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _document(app)
    return app.openapi_schema


def operation_id(method: str, path: str) -> str:
    return "_".join((method.lower(), *re.findall(r"\w+", path)))


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title="Trading Bridge",
        version=version("bridgetender"),
        description=_ABOUT,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = operation_id(method, path)
            operation["responses"] = _responses(path, operation)
            operation["security"] = [] if path in OPEN else [{"bearer": []}]
    _complete(document["components"])
    return document


def _complete(components: dict[str, Any]) -> None:
    schemas = components["schemas"]
    for fastapis_own in ("HTTPValidationError", "ValidationError"):
        schemas.pop(fastapis_own, None)
    for name, example in SENT.items():
        schemas[name]["examples"] = [example]
    models = {said.model for said in (*SAID.values(), _ALIVE)} | {answers.Problem}
    _, made = models_json_schema(
        [(model, "serialization") for model in sorted(models, key=lambda m: m.__name__)],
        ref_template=_REF,
    )
    components["schemas"] = {**schemas, **made["$defs"]}
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}


def _responses(path: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    name = operation["operationId"]
    if name == "get_metrics":
        text = {"schema": {"type": "string"}, "example": 'bridge_connectors{exchange="okx"} 3.0'}
        return {"200": {"description": "Prometheus' text", "content": {"text/plain": text}}} | (
            _problem_responses({401: ["unauthorized"]})
        )
    said = SAID.get(name, _ALIVE)
    found: dict[str, Any] = {"200": _success(said, etag=name in _LISTINGS)}
    if name in _LISTINGS:
        found["304"] = {"description": "Unchanged since the ETag that If-None-Match names"}
    return found | _problem_responses(_failures(path, operation, said.failures))


def _success(said: Said, *, etag: bool) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model=said.model.__name__)}
    answer: dict[str, Any] = {
        "description": "Done" if not etag else "All of them, or a page",
        "content": {"application/json": {"schema": schema, "example": said.example}},
    }
    if etag:
        answer["headers"] = {"ETag": {"schema": {"type": "string"}, "required": True}}
    return answer


def _failures(
    path: str, operation: Mapping[str, Any], failures: tuple[Code, ...]
) -> dict[int, list[str]]:
    """Return the codes by status, those that no route decides on included."""
    found: dict[int, list[str]] = {406: ["malformed"]}
    if path not in OPEN:
        found[401] = ["unauthorized"]
    if "requestBody" in operation:
        found |= {400: ["malformed"], 413: ["malformed"], 415: ["malformed"]}
    if "requestBody" in operation or operation.get("parameters"):
        found[422] = ["malformed"]
    for code in sorted(failures, key=CODES.index):
        found.setdefault(KINDS[code].status, []).append(code)
    return dict(sorted(found.items()))


def _problem_responses(failures: Mapping[int, list[str]]) -> dict[str, Any]:
    return {str(status): _problem(status, codes) for status, codes in failures.items()}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": _REF.format(model="Problem")},
        "examples": {code: {"value": problems.example(status, code)} for code in codes},
    }
    answer: dict[str, Any] = {
        "description": "; ".join(problems.title(status, code) for code in codes),
        "content": {problems.MEDIA_TYPE: content},
    }
    if "throttled" in codes or "unavailable" in codes:
        answer["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return answer
