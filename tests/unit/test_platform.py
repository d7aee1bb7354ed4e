"""The layer `platform` as plain data: namespaces, DNS, metrics, gateway."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from components import naming
from components.platform import chart
from components.platform.settings import PlatformSettings
from lab.settings import CLUSTER_DNS, FORWARDS
from slipway.rendering.recorder import Resource
from tests.support import platform
from tests.support.rendered import IMAGES

CPU_MILLICORES = 800
"""All of the platform's requests in the lab; the models need the rest of two cores."""
NONE = {
    "preemptible_jobs": {"enabled": False},
    "metrics_server": {"enabled": False},
    "gateway_api": {"enabled": False},
    "envoy_gateway": {"enabled": False},
    "gateway": {"enabled": False},
    "monitoring": {
        "prometheus": {"enabled": False},
        "alertmanager": {"enabled": False},
        "alert_recorder": {"enabled": False},
    },
}
"""All switches off."""


def millicores(quantity: str) -> int:
    number = re.fullmatch(r"(\d+)(m?)", quantity)
    assert number, quantity
    return int(number[1]) * (1 if number[2] else 1000)


def envoy_proxy() -> dict[str, Any]:
    found = platform.only(platform.lab(), "EnvoyProxy", "slipway")
    spec: dict[str, Any] = found["spec"]
    return spec


def test_preemptible_jobs_are_evicted_by_pods_without_a_class() -> None:
    """Those have priority 0. Below -10 the Cluster Autoscaler would add no node."""
    found = platform.only(platform.lab(), "PriorityClass", naming.PREEMPTIBLE)
    assert found["value"] == -10
    assert found["preemptionPolicy"] == "Never"
    assert not found.get("globalDefault")


def test_own_namespaces_are_restricted_and_deny_by_default() -> None:
    found = platform.lab()
    for name in ("slipway-gateway", "slipway-monitoring", "models"):
        labels = platform.only(found, "Namespace", name)["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        policies = {
            m["metadata"]["name"]: m["spec"]
            for m in found.manifests
            if m["kind"] == "NetworkPolicy" and m["metadata"]["namespace"] == name
        }
        assert policies["default-deny"] == {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
        }
        assert policies["allow-dns"]["policyTypes"] == ["Egress"]


def test_routes_attach_from_labelled_namespaces_only() -> None:
    found = platform.lab()
    listener = platform.only(found, "Gateway", naming.GATEWAY)["spec"]["listeners"][0]
    allowed = listener["allowedRoutes"]["namespaces"]
    assert allowed["from"] == "Selector"
    (label,) = allowed["selector"]["matchLabels"].items()
    assert label == (naming.ROUTES_LABEL, "true")
    models = platform.only(found, "Namespace", "models")["metadata"]["labels"]
    monitoring = platform.only(found, "Namespace", "slipway-monitoring")["metadata"]
    assert label in models.items()
    assert label not in monitoring["labels"].items()


def test_no_image_but_ours_by_digest() -> None:
    wanted = set(IMAGES.values())
    for name, template in platform.pods(platform.lab()).items():
        images = {c["image"] for c in template["spec"]["containers"]}
        assert images <= wanted, name
    proxy = envoy_proxy()["provider"]["kubernetes"]["envoyDeployment"]
    assert proxy["container"]["image"] == IMAGES["envoy"]
    configuration = platform.only(platform.lab(), "ConfigMap", "envoy-gateway-config")[
        "data"
    ]["envoy-gateway.yaml"]
    kubernetes = yaml.safe_load(configuration)["provider"]["kubernetes"]
    assert kubernetes["shutdownManager"]["image"] == IMAGES["envoy-gateway"]


def test_pods_hold_a_token_only_by_a_volume_of_their_own() -> None:
    with_token = set()
    for name, template in platform.pods(platform.lab()).items():
        assert template["spec"]["automountServiceAccountToken"] is False, name
        sources = [
            s
            for v in template["spec"]["volumes"]
            for s in v.get("projected", {}).get("sources", [])
        ]
        if any("serviceAccountToken" in s for s in sources):
            with_token.add(name)
    assert with_token == {
        "coredns",
        "envoy-gateway",
        "envoy-gateway-certgen",
        "metrics-server",
        "policy-agent",
        "prometheus",
    }


def test_the_lab_leaves_the_cores_to_the_models() -> None:
    requests = [
        millicores(c["resources"]["requests"]["cpu"])
        for name, template in platform.pods(platform.lab()).items()
        if name != "envoy-gateway-certgen"  # it ends before the others begin
        for c in template["spec"]["containers"]
    ]
    proxy = envoy_proxy()["provider"]["kubernetes"]["envoyDeployment"]
    requests.append(millicores(proxy["container"]["resources"]["requests"]["cpu"]))
    assert sum(requests) <= CPU_MILLICORES


def test_node_ports_are_those_that_the_lab_forwards() -> None:
    found = platform.lab()
    ports = {f.name: f.target_port for f in FORWARDS}
    for service, name in (
        ("prometheus", "prometheus"),
        ("alertmanager", "alertmanager"),
        ("alert-recorder", "alerts"),
    ):
        spec = platform.only(found, "Service", service)["spec"]
        assert spec["type"] == "NodePort"
        assert [p["nodePort"] for p in spec["ports"]] == [ports[name]]
    envoy = envoy_proxy()["provider"]["kubernetes"]["envoyService"]
    assert envoy["type"] == "NodePort"
    assert envoy["externalTrafficPolicy"] == "Cluster"
    patched = envoy["patch"]["value"]["spec"]["ports"]
    assert {p["nodePort"] for p in patched} == {ports["gateway"], ports["gateway-tls"]}


def test_dns_has_the_address_that_the_labs_kubelets_give() -> None:
    spec = platform.only(platform.lab(), "Service", "kube-dns")["spec"]
    assert spec["clusterIP"] == CLUSTER_DNS
    assert {(p["port"], p["protocol"]) for p in spec["ports"]} == {
        (53, "UDP"),
        (53, "TCP"),
    }
    corefile = platform.only(platform.lab(), "ConfigMap", "coredns")["data"]["Corefile"]
    pod = platform.pods(platform.lab())["coredns"]["spec"]["containers"][0]
    named = {p["name"]: p["containerPort"] for p in pod["ports"]}
    assert f".:{named['dns']} {{" in corefile
    assert f"prometheus :{named['metrics']}" in corefile
    assert "forward" not in corefile


def test_metrics_server_asks_no_longer_than_its_resolution() -> None:
    pod = platform.pods(platform.lab())["metrics-server"]["spec"]["containers"][0]
    arguments = dict(a.partition("=")[::2] for a in pod["args"])
    resolution = int(arguments["--metric-resolution"].removesuffix("s"))
    timeout = int(arguments["--kubelet-request-timeout"].removesuffix("s"))
    assert resolution == 10
    assert timeout < resolution
    assert "--kubelet-insecure-tls" in arguments


def test_insecure_kubelets_are_the_labs_own_choice() -> None:
    text = json.dumps(platform.rendered().manifests)
    assert "kubelet-insecure-tls" not in text
    assert "insecure_skip_verify" not in text


def test_a_callers_request_id_is_kept() -> None:
    policy = platform.only(platform.lab(), "ClientTrafficPolicy", "slipway")["spec"]
    # Envoy changes what it preserves, if it may also generate.
    assert policy["headers"]["requestID"] == "Preserve"
    (made,) = policy["headers"]["earlyRequestHeaders"]["addIfAbsent"]
    assert made == {"name": "x-request-id", "value": "%UNIQUE_ID%"}
    assert policy["targetRefs"] == [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "slipway"}
    ]


def test_the_certificate_job_stays_and_reads_only_its_own() -> None:
    found = platform.lab()
    job = platform.only(found, "Job", "envoy-gateway-certgen")
    assert "ttlSecondsAfterFinished" not in job["spec"]
    assert "annotations" not in job["metadata"]
    rules = platform.only(found, "Role", "envoy-gateway-certgen")["rules"]
    for rule in rules:
        assert rule["verbs"] == ["create"] or rule["resourceNames"]


def test_the_controller_reads_secrets_only_where_routes_are() -> None:
    found = platform.rendered(namespaces={"models": ["one", "two"]})
    reading = {
        (m["kind"], m["metadata"].get("namespace"))
        for m in found.manifests
        if m["kind"] in ("Role", "ClusterRole")
        and any(
            "secrets" in r.get("resources", []) and "list" in r["verbs"]
            for r in m["rules"]
        )
    }
    assert reading == {("Role", n) for n in ("slipway-gateway", "one", "two")}


def depends(resource: Resource, on: str) -> bool:
    """Whether the engine makes it after, and deletes it before, what `on` names.

    A child depends on its parent, and a parent on what it was told to wait for.
    """
    by_urn = {r.urn: r for r in platform.lab().resources}
    waiting, seen = [resource.urn], set()
    while waiting:
        urn = waiting.pop()
        if urn in seen or urn not in by_urn:
            continue
        seen.add(urn)
        if on in urn and urn != resource.urn:
            return True
        waiting += [*by_urn[urn].depends_on, by_urn[urn].parent]
    return False


def test_what_uses_a_kind_goes_before_the_kind() -> None:
    """At `destroy` the engine goes against these arrows."""
    resources = {(r.type, r.name): r for r in platform.lab().resources}
    by_kind = {r.type.rpartition(":")[2]: r for r in resources.values() if r.custom}
    definitions = [r for r in resources.values() if "CustomResourceDefinition" in r.urn]
    assert len(definitions) >= 18
    controller = next(
        r
        for (t, n), r in resources.items()
        if t.endswith(":Deployment") and "gateway" in n
    )
    assert depends(controller, "CustomResourceDefinition")
    assert depends(controller, "Job::")
    assert depends(by_kind["GatewayClass"], "apps/v1:Deployment")
    assert depends(by_kind["Gateway"], "GatewayClass::")
    assert depends(controller, "Namespace::")


def test_the_controller_starts_after_its_rights() -> None:
    """It tries its Wasm server once, with the rights that it has then."""
    found = platform.lab()

    def of_gateway(*kinds: str) -> set[str]:
        return {
            r.urn
            for r in found.resources
            if r.type.rpartition(":")[2] in kinds
            and "envoy-gateway-role" in r.name.lower()
            and "envoy-gateway" in r.name
        }

    rights = of_gateway("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    (deployment,) = [
        r
        for r in found.resources
        if r.type.endswith(":Deployment") and r.name.startswith("envoy-gateway-")
    ]
    assert len(rights) > 1
    assert rights <= set(deployment.depends_on)


def test_up_waits_until_the_gateway_answers() -> None:
    gateway = platform.only(platform.lab(), "Gateway", "slipway")["metadata"]
    assert gateway["annotations"]["pulumi.com/waitFor"] == "condition=Programmed"


def test_definitions_validate_as_before_without_their_texts() -> None:
    folder = chart.envoy_gateway_chart()
    stripped = {crd["metadata"]["name"]: crd for crd in chart.envoy_gateway_crds()}
    files = (folder / "charts" / "crds" / "crds").rglob("*.yaml")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for text in (file.read_text() for file in files):
        for original in yaml.load_all(text, loader):
            if not original:
                continue
            mine = stripped.pop(original["metadata"]["name"])
            for theirs, ours in zip(
                original["spec"]["versions"], mine["spec"]["versions"], strict=True
            ):
                assert _described(theirs["schema"]) > 0
                assert _described(ours["schema"]) == 0
                assert _skeleton(theirs["schema"]) == _skeleton(ours["schema"])
    assert not stripped


def _described(schema: Any) -> int:
    """Descriptions that are texts; a property may have that name."""
    if isinstance(schema, dict):
        own = isinstance(schema.get("description"), str)
        return own + sum(_described(v) for v in schema.values())
    return sum(map(_described, schema)) if isinstance(schema, list) else 0


def _skeleton(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {
            key: _skeleton(value)
            for key, value in schema.items()
            if not (key == "description" and isinstance(value, str))
        }
    return list(map(_skeleton, schema)) if isinstance(schema, list) else schema


def test_a_cluster_that_has_all_gets_namespaces_and_rules_only() -> None:
    kinds = {
        (m["kind"], m["metadata"]["name"]) for m in platform.rendered(**NONE).manifests
    }
    assert {kind for kind, _ in kinds} == {
        *("ConfigMap", "Namespace", "NetworkPolicy"),
        *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
    }
    assert ("ConfigMap", "rules-platform") in kinds


@pytest.mark.parametrize(
    ("change", "gone"),
    [
        ({"metrics_server": {"enabled": False}}, ("APIService", "v1beta1")),
        ({"gateway_api": {"enabled": False}}, ("CustomResourceDefinition", "gateways")),
        ({"gateway": {"enabled": False}}, ("EnvoyProxy", "slipway")),
    ],
)
def test_each_switch_leaves_its_part_out(
    change: dict[str, Any], gone: tuple[str, str]
) -> None:
    def has(found: Any) -> bool:
        return any(
            m["kind"] == gone[0] and m["metadata"]["name"].startswith(gone[1])
            for m in found.manifests
        )

    assert has(platform.lab())
    assert not has(platform.rendered(**change))


def test_definitions_outlive_the_stack_unless_told_otherwise() -> None:
    assert PlatformSettings.model_fields["gateway_api"].annotation is not None
    assert PlatformSettings.model_validate(
        {**NONE, "coredns": {"enabled": False}}
    ).gateway_api.retain
