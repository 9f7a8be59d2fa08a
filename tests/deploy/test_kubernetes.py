"""What kubectl renders is valid, lets an intruder do little, and fits the programs it starts."""

import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import kubernetes_validate
import pytest
import yaml

from bridge.door import OPEN
from daemon.metrics import Metrics
from daemon.settings import Settings, read, unknown
from daemon.vault import new_key
from daemon.vitals import Vitals
from daemon.web.health import health_app
from deploy.prometheus.make_rules import resource
from tests.conftest import installed
from tests.deploy.programs import WEBHOOK, is_told, parsed, said_by

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
OVERLAYS = ("development", "production")
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, of which Kubernetes knows no schema."""
KUBERNETES = "1.33"
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")

HOLDS = {"emptyDir", "persistentVolumeClaim", "secret"}
"""Kinds of volumes that show nothing of the node."""

Thing = dict[str, Any]


@cache
def rendered(overlay: str) -> tuple[Thing, ...]:
    return render(ROOT / "deploy/kubernetes/overlays" / overlay)


def render(place: Path) -> tuple[Thing, ...]:
    pinned = Path(sys.executable).with_name("kubectl")
    kubectl = pinned if pinned.exists() else installed("kubectl", package="kubectl")
    return tuple(yaml.safe_load_all(said_by(kubectl, "kustomize", place)))


def of_kind(overlay: str, *kinds: str) -> list[Thing]:
    return [thing for thing in rendered(overlay) if thing["kind"] in kinds]


def pods(overlay: str) -> Iterator[tuple[str, Thing]]:
    for thing in of_kind(overlay, "Deployment", "Job"):
        yield thing["metadata"]["name"], thing["spec"]["template"]


def containers(overlay: str) -> Iterator[tuple[str, Thing]]:
    for name, pod in pods(overlay):
        for kind in ("initContainers", "containers"):
            for container in pod["spec"].get(kind, ()):
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
        assert [key for key in spec if key.startswith("host")] == [], name
        for volume in spec["volumes"]:
            assert volume.keys() - {"name"} <= HOLDS, name
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
        assert not [port for port in container.get("ports", ()) if "hostPort" in port], name


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_serves_is_probed_at_ports_that_it_has(overlay: str) -> None:
    serving = [(n, c) for n, c in containers(overlay) if n != "bridgetender-migrate"]
    assert serving
    for name, container in serving:
        ports = {port["name"] for port in container["ports"]}
        assert {container[probe]["httpGet"]["port"] for probe in PROBES} <= ports, name


@pytest.mark.parametrize("overlay", OVERLAYS)
async def test_a_daemon_without_its_database_is_kept_and_gets_no_traffic(overlay: str) -> None:
    daemon = dict(containers(overlay))["bridgetender"]
    probes = [daemon[probe]["httpGet"] for probe in PROBES]
    assert [probe.keys() for probe in probes] == [{"path", "port"}] * 3  # and so plain HTTP
    vitals = Vitals(database="away")
    transport = httpx.ASGITransport(health_app(vitals, Metrics().registry))
    async with httpx.AsyncClient(transport=transport, base_url="http://pod") as kubelet:
        said = [(await kubelet.get(probe["path"])).status_code for probe in probes]
        assert said == [200, 200, 503]
        vitals.started, vitals.database, vitals.schema, vitals.keyring = True, None, None, None
        said = [(await kubelet.get(probe["path"])).status_code for probe in probes]
        assert said == [200, 200, 200]


def test_the_bridge_is_probed_by_tls_where_no_token_is_asked_for() -> None:
    bridge = dict(containers("production"))["bridgetender-bridge"]
    assert any(word.startswith("--tls-cert=") for word in bridge["args"])
    probes = [bridge[probe]["httpGet"] for probe in PROBES]
    assert [probe.get("scheme") for probe in probes] == ["HTTPS"] * 3
    assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
    assert {probe["path"] for probe in probes} <= OPEN


def test_a_node_can_be_drained_and_an_upgrade_keeps_what_is_ready() -> None:
    """A budget that needs all replicas would hold up the node of each."""
    budgets = {
        b["metadata"]["name"]: b["spec"] for b in of_kind("production", "PodDisruptionBudget")
    }
    daemons = {d["metadata"]["name"]: d["spec"] for d in of_kind("production", "Deployment")}
    assert budgets
    for name, budget in budgets.items():
        assert daemons[name]["replicas"] > budget["minAvailable"] > 0
        assert daemons[name]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


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


def test_an_overlay_with_the_webhook_finds_its_secrets(tmp_path: Path) -> None:
    base = os.path.relpath(ROOT / "deploy/kubernetes", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{base}/overlays/production]\ncomponents: [{base}/components/webhook]\n"
    )
    (daemon,) = (
        thing
        for thing in render(tmp_path)
        if (thing["kind"], thing["metadata"]["name"]) == ("Deployment", "bridgetender")
    )
    kubernetes_validate.validate(daemon, KUBERNETES, strict=True)
    pod = daemon["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert mounts.keys() > {"webhook", "secrets"}
    environment = {"BRIDGETENDER_CONFIG": ""}
    for name, text in WEBHOOK.items():
        (tmp_path / name).write_text(text)
        said = next(each for each in container["env"] if each["value"].endswith(f"/{name}"))
        assert said["value"] == f"{mounts['webhook']}/{name}"
        environment[said["name"]] = str(tmp_path / name)
    assert is_told(read(environment, Settings))
    (secret,) = (volume["secret"] for volume in pod["volumes"] if volume["name"] == "webhook")
    page = (ROOT / "docs/operations.md").read_text()
    assert f"create secret generic {secret['secretName']} " in page


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_program_knows_what_it_is_started_with(overlay: str, tmp_path: Path) -> None:
    (tmp_path / "bridge_token").write_text("a-token-of-the-bridge-long-enough")
    for name, container in containers(overlay):
        words = [re.sub(r"=/run/secrets/[\w-]+", f"={tmp_path}", w) for w in container["args"]]
        options = parsed(words)
        if name == "bridgetender-bridge":
            assert options.port == container["ports"][0]["containerPort"]
            assert options.tls_cert
            assert options.tls_key
            assert options.token_file


def test_the_daemon_asks_a_bridge_that_is_there_by_its_name_and_port() -> None:
    (url,) = (
        each["value"]
        for name, container in containers("production")
        for each in container.get("env", ())
        if each["name"] == "TRADING_BRIDGE_URL"
    )
    services = {s["metadata"]["name"]: s["spec"] for s in of_kind("production", "Service")}
    found = urlsplit(url)
    assert found.scheme == "https"
    service = services[found.hostname]
    bridge = dict(pods("production"))["bridgetender-bridge"]["metadata"]["labels"]
    assert service["selector"].items() <= bridge.items()
    assert found.port in [port["port"] for port in service["ports"]]


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


def test_every_pod_has_a_policy_and_every_policy_a_pod() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods("production")}
    known = {pair for each in labels.values() for pair in each.items()}
    chosen = Counter[str]()
    for policy in of_kind("production", "NetworkPolicy"):
        for selector in selectors(policy["spec"]):
            assert pairs(selector) <= known, policy
        if pairs(policy["spec"]["podSelector"]):  # those of everybody let nobody do anything
            chosen.update(name for name in labels if selects(policy["spec"], labels[name]))
    assert chosen == dict.fromkeys(labels, 1)


def test_our_pods_reach_each_other_at_the_ports_that_they_listen_on() -> None:
    listened = {
        name: {(port["containerPort"], "TCP") for port in container.get("ports", ())}
        for name, container in containers("production")
    }
    reached = {}
    for policy in of_kind("production", "NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            for peer in rule.get("to", ()):
                for name, pod in pods("production"):
                    if "podSelector" in peer and selects(peer, pod["metadata"]["labels"]):
                        reached[name] = {(port["port"], port["protocol"]) for port in rule["ports"]}
    assert reached == {"bridgetender-bridge": listened["bridgetender-bridge"]}


def selectors(spec: Thing) -> Iterator[Thing]:
    """Yield every selector of pods in a policy."""
    yield spec["podSelector"]
    for rule in (*spec.get("ingress", ()), *spec.get("egress", ())):
        peers = (*rule.get("from", ()), *rule.get("to", ()))
        yield from (peer["podSelector"] for peer in peers if "podSelector" in peer)


def pairs(selector: Thing) -> set[tuple[str, str]]:
    """Return every label that a selector names."""
    found = set(selector.get("matchLabels", {}).items())
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In"
        found |= {(each["key"], value) for value in each["values"]}
    return found


def selects(holder: Thing, labels: Thing) -> bool:
    named = pairs(holder["podSelector"])
    return all(labels.get(key) in {v for k, v in named if k == key} for key, _ in named)


def test_the_operator_gets_the_very_rules_that_are_tested() -> None:
    assert (ROOT / "deploy/prometheus/prometheusrule.yaml").read_text() == resource()
