"""compose.yaml and the Containerfile fit the programs and the files that they name."""

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.settings import Settings, read, unknown
from daemon.vault import new_key
from tests.conftest import installed
from tests.deploy.programs import WEBHOOK, is_told, parsed, said_by

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if service["image"].startswith("bridgetender:")]
RUN = json.loads(re.findall(r"^CMD (.+)$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)[0])
SAID = {
    "database_url": "postgresql://bridgetender:long@postgres:5432/bridgetender",
    "encryption_key": new_key().reveal(),
    "first_token": "a-first-token-that-is-long-enough-for-us",
    "bridge_token": "a-token-of-the-bridge-long-enough",
}


def test_all_that_is_needed_is_there() -> None:
    assert OURS == ["migrate", "bridge", "daemon"]
    assert SERVICES.keys() - set(OURS) == {"postgres", "prometheus", "alertmanager", "grafana"}


def test_it_is_what_the_specification_of_compose_allows() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    said_by(*checker, DEPLOY / "compose.yaml")


def test_images_are_pinned_and_ours_is_of_this_version() -> None:
    version = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]["version"]
    for name, service in SERVICES.items():
        tag = service["image"].rpartition(":")[2]
        assert tag == version if name in OURS else re.match(r"v?\d", tag), name


@pytest.mark.parametrize("name", OURS)
def test_what_is_ours_can_change_nothing_of_itself(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_every_secret_that_is_read_is_handed_over_and_made_by_the_page() -> None:
    page = (DEPLOY.parent / "docs/deploy-compose.md").read_text()
    for name, service in SERVICES.items():
        words = yaml.safe_dump([service.get("environment"), service.get("command")])
        assert set(re.findall(r"/run/secrets/(\w+)", words)) <= set(service.get("secrets", ())), (
            name
        )
    for secret in COMPOSE["secrets"]:
        assert f"> {secret}" in page


def test_every_file_that_is_mounted_is_here() -> None:
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", ())]
    files = [mount.split(":")[0] for mount in mounts if mount.startswith("./")]
    assert files
    assert [name for name in files if not (DEPLOY / name).exists()] == []


def test_the_daemon_knows_every_setting_and_the_bridge_every_option(tmp_path: Path) -> None:
    for name, text in SAID.items():
        (tmp_path / name).write_text(text)
    environment = {
        name: value.replace("/run/secrets", str(tmp_path))
        for name, value in SERVICES["daemon"]["environment"].items()
    } | {"BRIDGETENDER_CONFIG": ""}
    assert unknown(environment) == []
    settings = read(environment, Settings)
    assert settings.bridges[0].access.token is not None
    started = {
        name: parsed(
            [w.replace("/run/secrets", str(tmp_path)) for w in SERVICES[name].get("command", RUN)]
        )
        for name in OURS
    }
    options = started["bridge"]
    assert settings.bridges[0].url.endswith(f"bridge:{options.port}")
    for name, port in {"bridge": options.port, "daemon": settings.health_port}.items():
        assert f"http://127.0.0.1:{port}/livez" in SERVICES[name]["healthcheck"]["test"][-1]


def test_what_the_page_adds_for_the_webhook_is_handed_over_and_heard(tmp_path: Path) -> None:
    page = (DEPLOY.parent / "docs/operations.md").read_text()
    found = re.search(r"^```yaml\n(services:.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert found
    added = yaml.safe_load(found[1])
    daemon = added["services"]["daemon"]
    assert set(daemon["secrets"]) == added["secrets"].keys() == WEBHOOK.keys()
    environment = {"BRIDGETENDER_CONFIG": ""} | daemon["environment"]
    for name, text in WEBHOOK.items():
        assert added["secrets"][name] == {"file": f"./secrets/{name}"}
        assert f"/run/secrets/{name}" in environment.values()
        (tmp_path / name).write_text(text)
    for name in daemon["environment"]:
        environment[name] = environment[name].replace("/run/secrets", str(tmp_path))
    assert is_told(read(environment, Settings))


def test_prometheus_takes_its_settings(tmp_path: Path) -> None:
    config = (DEPLOY / "prometheus/compose.yml").read_text()
    (tmp_path / "bridge_token").write_text("token")
    (tmp_path / "prometheus.yml").write_text(config.replace("/run/secrets", str(tmp_path)))
    (tmp_path / "rules.yml").write_text((DEPLOY / "prometheus/rules.yml").read_text())
    promtool = installed("promtool", package="prometheus")
    said_by(promtool, "check", "config", tmp_path / "prometheus.yml")


def test_a_daemon_that_is_stopped_has_the_time_to_end_what_is_under_way() -> None:
    patience = int(SERVICES["daemon"]["stop_grace_period"].removesuffix("s"))
    assert patience > Settings().rules.grace.total_seconds()


def test_prometheus_asks_and_tells_who_is_among_the_containers() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/compose.yml").read_text())
    groups = (*config["scrape_configs"], *config["alerting"]["alertmanagers"])
    named = [t for each in groups for s in each["static_configs"] for t in s["targets"]]
    assert [each.split(":")[0] for each in named] == ["daemon", "bridge", "alertmanager"]
    assert {each.split(":")[0] for each in named} <= SERVICES.keys()


def test_the_image_is_made_of_what_is_here_for_a_user_without_rights() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    sources = [source for line in copied for source in line.split()]
    assert "requirements.lock" in sources
    assert [source for source in sources if not (DEPLOY.parent / source).exists()] == []
    shipped = (DEPLOY.parent / ".dockerignore").read_text()
    assert all(f"!{source.rpartition('/install.sh')[0] or source}" in shipped for source in sources)
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "latest" not in text
