"""The OpenAPI page tells what is true: how failures look, and examples of what to send."""

import json

import pytest

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


async def test_what_a_key_is_made_of_is_shown_by_example(office: Office) -> None:
    async with office.web() as web:
        page = (await web.get("/api/openapi.json")).json()
    fields = page["components"]["schemas"]["NewKey"]["properties"]
    for name in ("exchange", "api_key", "api_secret", "label"):
        assert fields[name]["examples"], name
