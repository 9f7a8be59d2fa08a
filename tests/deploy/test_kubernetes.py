"""What kubectl renders is valid, lets an intruder do little, and fits the programs it starts."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from bridge.__main__ import options as bridge_options
from daemon.settings import Settings, read, unknown
from daemon.vault import new_key
from deploy.prometheus.make_rules import resource
from tests.conftest import installed

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = ("development", "production")
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, of which Kubernetes knows no schema."""
KUBERNETES = "1.33"

Thing = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Thing, ...]:
    pinned = Path(sys.executable).with_name("kubectl")
    kubectl = pinned if pinned.exists() else installed("kubectl", package="kubectl")
    place = ROOT / "deploy/kubernetes/overlays" / overlay
    run = subprocess.run(
        [str(kubectl), "kustomize", str(place)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return tuple(yaml.safe_load_all(run.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Thing]:
    return [thing for thing in rendered(overlay) if thing["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, Thing]]:
    for thing in of_kind(overlay, "Deployment", "Job"):
        yield thing["metadata"]["name"], thing["spec"]["template"]


def containers(overlay: str) -> Iterator[tuple[str, Thing]]:
    for name, pod in pods(overlay):
        for container in pod["spec"]["containers"]:
            yield name, container


def test_production_has_all_that_it_is_to_have() -> None:
    found = sorted(
        f"{thing['kind']} {thing['metadata']['name']}" for thing in rendered("production")
    )
    assert found == [
        "ConfigMap bridgetender-dashboard",
        "Deployment bridgetender",
        "Deployment bridgetender-bridge",
        "Job bridgetender-migrate",
        "Namespace bridgetender",
        "NetworkPolicy bridgetender-bridge",
        "NetworkPolicy bridgetender-daemon",
        "NetworkPolicy bridgetender-names",
        "NetworkPolicy bridgetender-nobody",
        "PodDisruptionBudget bridgetender",
        "PrometheusRule bridgetender",
        "Service bridgetender",
        "Service bridgetender-bridge",
        "ServiceAccount bridgetender",
        "ServiceMonitor bridgetender",
        "ServiceMonitor bridgetender-bridge",
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kubernetes_would_take_every_part(overlay: str) -> None:
    for thing in rendered(overlay):
        if thing["kind"] not in OPERATORS:
            kubernetes_validate.validate(thing, KUBERNETES, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_part_is_in_the_namespace_whose_pods_are_restricted(overlay: str) -> None:
    (namespace,) = of_kind(overlay, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    others = [thing for thing in rendered(overlay) if thing is not namespace]
    assert {thing["metadata"]["namespace"] for thing in others} == {namespace["metadata"]["name"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_is_nobody_and_has_no_token_of_the_cluster(overlay: str) -> None:
    for name, pod in pods(overlay):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["enableServiceLinks"] is False, name
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] == context["fsGroup"] == 10001, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_container_can_change_nothing_of_itself_and_is_bounded(overlay: str) -> None:
    for name, container in containers(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_serves_is_probed_at_ports_that_it_has(overlay: str) -> None:
    serving = [(n, c) for n, c in containers(overlay) if n != "bridgetender-migrate"]
    assert serving
    for name, container in serving:
        ports = {port["name"] for port in container["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] in ports, (name, probe)
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez", name
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz", name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_image_is_of_this_version(overlay: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, container in containers(overlay):
        assert container["image"].rpartition(":")[2] == version, name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_mount_has_its_volume_and_a_secret_is_for_its_group_only(overlay: str) -> None:
    for name, pod in pods(overlay):
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} == volumes.keys(), name
        for volume in volumes.values():
            assert volume.get("secret", {}).get("defaultMode", 0o440) == 0o440, name


def test_no_secret_is_in_what_is_rendered_and_each_that_is_needed_is_explained() -> None:
    page = (ROOT / "docs/deploy-kubernetes.md").read_text()
    for overlay in OVERLAYS:
        assert not of_kind(overlay, "Secret")
        for _, pod in pods(overlay):
            for volume in pod["spec"]["volumes"]:
                if name := volume.get("secret", {}).get("secretName"):
                    assert re.search(rf"create secret \w+ {name}\b", page), name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_daemon_knows_every_setting_and_finds_it_in_a_file_of_its_secret(
    overlay: str, tmp_path: Path
) -> None:
    secrets = {
        "database_url": "postgresql://bridgetender@database/firm",
        "encryption_key": new_key().reveal(),
        "first_token": "a-first-token-that-is-long-enough-for-us",
        "bridge_token": "a-token-of-the-bridge-long-enough",
        "ca.crt": "",
    }
    for name, text in secrets.items():
        (tmp_path / name).write_text(text)
    environment = {"BRIDGETENDER_CONFIG": ""}
    for name, container in containers(overlay):
        if name == "bridgetender":
            environment |= {each["name"]: each["value"] for each in container["env"]}
    assert unknown(environment) == []
    for name, value in environment.items():
        if name.endswith("_FILE"):
            environment[name] = str(tmp_path / Path(value).name)
    settings = read(environment, Settings)
    assert settings.health_host == settings.api_host == "0.0.0.0"
    if overlay == "production":
        assert settings.database_url.reveal() == secrets["database_url"]
        assert settings.bridges[0].access.token is not None


def test_the_bridge_has_every_option_that_it_is_started_with(tmp_path: Path) -> None:
    bridge = dict(containers("production"))["bridgetender-bridge"]
    (tmp_path / "bridge_token").write_text("a-token-of-the-bridge-long-enough")
    words = [re.sub(r"=/run/secrets/[\w-]+", f"={tmp_path}", word) for word in bridge["args"][3:]]
    options = bridge_options().parse_args(words)
    assert options.port == bridge["ports"][0]["containerPort"]
    assert options.tls_cert
    assert options.tls_key
    assert options.token_file


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_service_and_all_that_selects_pods_finds_some_at_ports_they_have(overlay: str) -> None:
    labels = [pod["metadata"]["labels"] for _, pod in pods(overlay)]
    known = {p["name"] for _, c in containers(overlay) for p in c.get("ports", ())}
    for service in of_kind(overlay, "Service"):
        selector = service["spec"]["selector"]
        assert any(selector.items() <= each.items() for each in labels), service
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= known
    for budget in of_kind(overlay, "PodDisruptionBudget"):
        selector = budget["spec"]["selector"]["matchLabels"]
        assert any(selector.items() <= each.items() for each in labels)
    services = of_kind(overlay, "Service")
    for monitor in of_kind(overlay, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        (found,) = (s for s in services if selector.items() <= s["metadata"]["labels"].items())
        ports = {port["name"] for port in found["spec"]["ports"]}
        assert {end["port"] for end in monitor["spec"]["endpoints"]} <= ports


def test_nobody_is_let_in_but_to_ports_that_are_listened_on() -> None:
    policies = {p["metadata"]["name"]: p["spec"] for p in of_kind("production", "NetworkPolicy")}
    nobody = policies["bridgetender-nobody"]
    assert nobody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    let_in = {
        name: {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
        for name, spec in policies.items()
    }
    listened = {
        name: {port["containerPort"] for port in container.get("ports", ())}
        for name, container in containers("production")
    }
    assert let_in["bridgetender-daemon"] == listened["bridgetender"]
    assert let_in["bridgetender-bridge"] == listened["bridgetender-bridge"]


def test_the_operator_gets_the_very_rules_that_are_tested() -> None:
    assert (ROOT / "deploy/prometheus/prometheusrule.yaml").read_text() == resource()
