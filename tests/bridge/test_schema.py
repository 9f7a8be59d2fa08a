"""The OpenAPI description, held against what a real bridge answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from bridge.answers import Supported
from bridge.app import create_app
from bridge.catalogue import supported
from bridge.openapi import SAID, SENT, describe
from tests.conftest import do_without

HERE = Path(__file__).parent
TOKEN = "hunter2-token"
# An account may be called "create", so GET /accounts/create is allowed, which is not what the tool
# takes the description for. test_problems.py looks at Allow.
CHECKS = ("--checks", "all", "--exclude-checks", "allow_header_conformance")
DOCUMENT = describe(create_app())
OPERATIONS: dict[str, Any] = {
    operation["operationId"]: operation | {"path": path}
    for path, methods in DOCUMENT["paths"].items()
    for operation in methods.values()
}


def test_schemathesis_finds_nothing(start: Any, tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("st")
    if not tool.exists():
        do_without("schemathesis, of requirements-dev.lock")
    token, document = tmp_path / "token", tmp_path / "openapi.json"
    token.write_text(TOKEN)
    token.chmod(0o600)
    document.write_text(json.dumps(DOCUMENT))
    _, origin = start("bridge.paper", "--port", 0)
    for exchange in ("binance", "okx"):
        enrol(origin, exchange)
    options = ("--port", 0, "--token-file", token, "--exchange-origin", origin)
    _, address = start("bridge", *options)
    config = HERE / "schemathesis.toml"
    command: list[Any] = [tool, "--config-file", config, "run", document, "--no-color"]
    command += ["--url", address, *CHECKS, "-H", f"Authorization: Bearer {TOKEN}"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def enrol(origin: str, exchange: str) -> None:
    """Open the account that the description's examples speak of."""
    keys = SENT["Check"]
    body = {"exchange": exchange, "balances": {"BTC": "0.6"}, "password": keys["password"]}
    body |= {name: keys[name] for name in ("api_key", "api_secret")}
    httpx.post(f"{origin}/_paper/credentials", json=body).raise_for_status()


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_every_answer_and_every_error_has_an_example(operation: Any) -> None:
    assert operation["summary"]
    assert operation["description"]
    for status, answer in operation["responses"].items():
        if status == "304":
            continue
        (content,) = answer["content"].values()
        assert "example" in content or content["examples"], status
        if not status.startswith("2"):
            assert list(answer["content"]) == ["application/problem+json"]
            assert all(e["value"]["status"] == int(status) for e in content["examples"].values())


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
def test_what_is_sent_has_an_example_that_is_valid(operation: Any) -> None:
    if "requestBody" in operation:
        (content,) = operation["requestBody"]["content"].values()
        name = content["schema"]["$ref"].rpartition("/")[2]
        assert DOCUMENT["components"]["schemas"][name]["examples"] == [SENT[name]]


def test_supported_is_described_as_it_is() -> None:
    told = json.loads(json.dumps(supported()))
    Supported.model_validate(told, extra="forbid")
    example = SAID["get_connectors_supported"].example
    assert example["exchanges"] == {name: told["exchanges"][name] for name in example["exchanges"]}


def test_operation_ids_are_names_of_one_operation_each() -> None:
    assert len(OPERATIONS) == sum(map(len, DOCUMENT["paths"].values()))
    assert all(name.isidentifier() for name in OPERATIONS)


def test_only_probes_go_without_a_token() -> None:
    free = {each["path"] for each in OPERATIONS.values() if not each["security"]}
    assert free == {"/health", "/livez", "/readyz"}


def test_nothing_describes_a_422_that_repeats_the_input() -> None:
    assert "HTTPValidationError" not in json.dumps(DOCUMENT)
