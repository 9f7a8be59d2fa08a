"""The OpenAPI page tells what is true: how failures look, and examples of what to send."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema_rs import Draft202012Validator

from daemon.web.examples import EXAMPLES
from daemon.web.problems import MEDIA_TYPE, TITLES
from tests.daemon.web.conftest import Office

pytestmark = pytest.mark.anyio


async def test_every_route_tells_of_its_failures_as_they_are(office: Office) -> None:
    async with office.web() as web:
        page = (await web.get("/api/openapi.json")).json()
    assert "HTTPValidationError" not in json.dumps(page["paths"])
    for path, methods in page["paths"].items():
        for method, told in methods.items():
            codes = {
                code
                for kind in ("4XX", "5XX")
                for code in told["responses"][kind]["content"][MEDIA_TYPE]["schema"]["properties"][
                    "code"
                ]["enum"]
            }
            assert codes == set(TITLES), f"{method} {path}"


@pytest.fixture
async def page(office: Office) -> dict[str, Any]:
    async with office.web() as web:
        found: dict[str, Any] = (await web.get("/api/openapi.json")).json()
    return found


def mistakes(page: dict[str, Any], schema: dict[str, Any], example: object) -> list[str]:
    whole = {**schema, "components": page["components"]}
    validator = Draft202012Validator(whole, validate_formats=True)
    return [str(error) for error in validator.iter_errors(example)]


def bodies(page: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each body that is sent or answered: where, and what is told of it."""
    for path, methods in page["paths"].items():
        for method, told in methods.items():
            for part in (told.get("requestBody", {}), *told["responses"].values()):
                for kind, body in part.get("content", {}).items():
                    yield f"{method} {path} {kind}", body


async def test_every_model_is_shown_by_an_example_with_all_of_its_fields(
    page: dict[str, Any],
) -> None:
    models = page["components"]["schemas"]
    assert {"NewKey", "KeyChange", "ClientChange", "AddedKey", "Statement"} <= models.keys()
    assert EXAMPLES.keys() == models.keys()
    for name, schema in models.items():
        (example,) = schema["examples"]
        assert not mistakes(page, schema, example), name
        if schema.get("additionalProperties") is False:  # it is sent, and may leave fields out
            assert example.keys() <= schema["properties"].keys(), name
        else:
            assert example.keys() == schema["properties"].keys(), name


async def test_every_body_that_is_sent_or_answered_is_shown_by_an_example(
    page: dict[str, Any],
) -> None:
    found = dict(bodies(page))
    assert len(found) > 50
    for where, body in found.items():
        schema = body["schema"]
        if "$ref" not in schema:  # a model has its own
            assert not mistakes(page, schema, body["example"]), where


async def test_what_is_shown_to_be_sent_is_taken(
    page: dict[str, Any], admin: httpx.AsyncClient
) -> None:
    def example(name: str) -> Any:
        return page["components"]["schemas"][name]["examples"][0]

    client = await admin.post("/api/admin/clients", json=example("NewClient"))
    here = f"/api/admin/clients/{client.json()['id']}"
    key = await admin.post(f"{here}/api-keys?wait=0", json=example("NewKey"))
    of = example("NewKeyOf") | {"client_id": client.json()["id"]}
    answers = [
        client,
        key,
        await admin.post("/api/admin/api-keys?wait=0", json=of),
        await admin.patch(
            f"/api/admin/api-keys/{key.json()['id']}?wait=0", json=example("KeyChange")
        ),
        await admin.patch(here, json=example("ClientChange")),
        await admin.post("/api/admin/pauses", json=example("NewPause")),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200]
