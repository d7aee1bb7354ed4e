"""KEDA as the platform installs it: its publisher's objects, fewer rights."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import yaml

from components import naming
from components.platform import keda_manifests as manifests
from slipway.rendering.render import Rendered
from tests.support import platform, pod_security, schemas
from tests.support.rendered import reference


@functools.cache
def with_keda() -> Rendered:
    return platform.rendered(
        cluster={"kubeconfig": "lab"},
        namespaces={"models": ["models", "more"]},
        keda={"enabled": True, "retain": False, "replicas": 2},
    )


def of_keda() -> list[dict[str, Any]]:
    """Its objects, but for its namespace and the kinds."""
    names = (manifests.OPERATOR, manifests.ADAPTER, "keda-")
    return [
        m
        for m in with_keda().manifests
        if m["metadata"].get("namespace") == manifests.NAMESPACE
        or m["metadata"]["name"].startswith(names)
    ]


def test_it_is_off_unless_asked_for() -> None:
    assert not [
        m for m in platform.lab().manifests if "keda" in m["metadata"]["name"].lower()
    ]


def test_its_kinds_carry_the_publishers_patches() -> None:
    found = {crd["metadata"]["name"]: crd for crd in manifests.definitions()}
    assert {"scaledobjects.keda.sh", "triggerauthentications.keda.sh"} <= set(found)
    schema = found["scaledobjects.keda.sh"]["spec"]["versions"][0]["schema"]
    spec = schema["openAPIV3Schema"]["properties"]["spec"]["properties"]
    behavior = spec["advanced"]["properties"]["horizontalPodAutoscalerConfig"]
    down = behavior["properties"]["behavior"]["properties"]["scaleDown"]["properties"]
    assert down["stabilizationWindowSeconds"]["maximum"] == 3600
    jobs = found["scaledjobs.keda.sh"]["spec"]["versions"][0]["schema"]
    triggers = jobs["openAPIV3Schema"]["properties"]["spec"]["properties"]["triggers"]
    assert "metricType" not in triggers["items"]["properties"]
    registered = {
        m["metadata"]["name"]
        for m in with_keda().manifests
        if m["kind"] == "CustomResourceDefinition"
    }
    assert set(found) <= registered


def test_patches_add_to_lists_and_mappings_and_remove() -> None:
    content: dict[str, Any] = {"a": [{"b": 1}, 2], "gone": 3}
    manifests.apply_patch(content, {"op": "add", "path": "/a/-", "value": 9})
    manifests.apply_patch(content, {"op": "add", "path": "/a/0/c", "value": 8})
    manifests.apply_patch(content, {"op": "remove", "path": "/gone"})
    assert content == {"a": [{"b": 1, "c": 8}, 2, 9]}
    with pytest.raises(ValueError, match="replace"):
        manifests.apply_patch(content, {"op": "replace", "path": "/a", "value": 1})


def test_nothing_of_the_publishers_names_stays() -> None:
    for m in of_keda():
        text = yaml.safe_dump(m)
        assert "ghcr.io" not in text
        assert "namespace: keda\n" not in text
        assert m["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "pulumi"


def test_every_object_is_valid() -> None:
    wrong = {m["metadata"]["name"]: schemas.problems(m) for m in of_keda()}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_pods_are_restricted_pinned_and_bounded() -> None:
    pods = {n: p for n, p in platform.pods(with_keda()).items() if "keda" in n}
    assert set(pods) == {manifests.OPERATOR, manifests.ADAPTER}
    for name, template in pods.items():
        pod = template["spec"]
        assert pod_security.violations(pod) == [], name
        (container,) = pod["containers"]
        assert container["image"] == reference("keda")
        assert container["securityContext"]["runAsUser"] == manifests.USER
        assert set(container["resources"]) == {"requests", "limits"}
        assert pod["automountServiceAccountToken"] is False
        env = {v["name"]: v.get("value") for v in container["env"]}
        assert env["WATCH_NAMESPACE"] == "models,more"
        assert {p for p in container if p.endswith("Probe")} == {
            "startupProbe",
            "readinessProbe",
            "livenessProbe",
        }
    operator = pods[manifests.OPERATOR]["spec"]["containers"][0]
    assert "--enable-webhook-patching=false" in operator["args"]
    budgets = [m for m in of_keda() if m["kind"] == "PodDisruptionBudget"]
    assert len(budgets) == 2


def test_it_reads_no_secrets_of_models_and_writes_no_deployments() -> None:
    rules = [
        rule for m in of_keda() if m["kind"] == "ClusterRole" for rule in m["rules"]
    ]
    for rule in rules:
        assert "*" not in rule["apiGroups"]
        assert "*" not in rule["verbs"]
        assert "secrets" not in rule["resources"]
        if "deployments" in rule["resources"]:
            assert set(rule["verbs"]) == {"get", "list", "watch"}
        if "update" in rule["verbs"] and "apiservices" in rule["resources"]:
            assert rule["resourceNames"] == [manifests.API_SERVICE]
    bound = {
        m["metadata"]["namespace"]
        for m in of_keda()
        if m["kind"] == "RoleBinding"
        and m["roleRef"]["name"] == f"{manifests.OPERATOR}-models"
    }
    assert bound == {"models", "more"}
    whole = {
        m["roleRef"]["name"]
        for m in of_keda()
        if m["kind"] == "ClusterRoleBinding"
        and m["subjects"][0]["name"] == manifests.OPERATOR
    }
    assert whole == {manifests.OPERATOR, "system:auth-delegator"}


def test_its_namespace_is_restricted_and_prometheus_lets_it_in() -> None:
    found = with_keda()
    labels = platform.only(found, "Namespace", naming.KEDA_NAMESPACE)["metadata"]
    assert labels["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    policies = {
        m["metadata"]["name"]: m["spec"]
        for m in found.manifests
        if m["kind"] == "NetworkPolicy"
    }
    peers = policies["prometheus"]["ingress"][0]["from"]
    assert naming.KEDA_NAMESPACE in str(peers)
    egress = policies[manifests.OPERATOR]["egress"]
    ports = {p["port"] for rule in egress for p in rule["ports"]}
    assert ports == {53, 1053, 5353, 443, 6443, 9090}


def test_its_own_kinds_are_its_in_the_whole_cluster() -> None:
    """Else what has its finalizer holds the deletion of a namespace for ever."""
    rights = {
        (group, resource, verb)
        for rule in manifests.CLUSTER_RULES
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if "resourceNames" not in rule
    }
    for kind in ("scaledobjects", "scaledjobs"):
        assert {
            ("keda.sh", kind, verb) for verb in ("list", "watch", "update")
        } < rights
    assert not [r for r in rights if r[0] in {"", "apps"}]
