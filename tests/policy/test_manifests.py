"""All rendered manifests of all stacks: valid, and what checkov finds.

What the rules of policies/ refuse, such as tags of images, is in test_rules.py.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.platform import keda_manifests
from slipway.rendering.manifests import to_yaml
from slipway.rendering.render import Rendered, render
from tests.support import checkov, pod_security, schemas
from tests.support.rendered import IMAGES, manifest
from toolchain import paths

ALL_STACKS = sorted(
    file.name.removeprefix("Pulumi.").removesuffix(".yaml")
    for file in (paths.ROOT / "stacks" / "config").glob("Pulumi.*.*.yaml")
)
STACKS = [s for s in ALL_STACKS if not s.startswith("cluster.")]
"""Those with Kubernetes objects."""
ON_GPU_NODES = {"nvidia-device-plugin", "dcgm-exporter"}
"""Beginnings of the names of the only pods that are not restricted: they reach the
driver and the kubelet by folders of the host that belong to root
(components/platform/gpu/daemon.py)."""
HOST_FOLDERS = {
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet/pod-resources",
}
OF_GPU_NODES = {
    # Root, whose user id is 0.
    "CKV_K8S_23",
    "CKV_K8S_40",
    # The publisher's program has no address that a probe could ask.
    "CKV_K8S_8",
    "CKV_K8S_9",
}
"""The only rules of checkov's that they break."""
AGENT = "policy-agent"
"""The only pod on the hosts' network: it writes the hosts' nftables as root, with one
capability (components/platform/policy_agent.py)."""
OF_THE_AGENT = {
    # Root, whose user id is 0; the hosts' network; a capability.
    "CKV_K8S_23",
    "CKV_K8S_40",
    "CKV_K8S_19",
    "CKV_K8S_25",
}
MAY_BE_ROOT = "may run as root: runAsNonRoot is not true"
ENFORCE = "pod-security.kubernetes.io/enforce"
_cache: dict[str, Rendered] = {}

Object = dict[str, Any]


def rendering(stack: str) -> Rendered:
    if stack not in _cache:
        _cache[stack] = render(stack, images=IMAGES)
    return _cache[stack]


def pods(stack: str) -> list[tuple[Object, Object]]:
    """Each object that makes pods, and the pod's spec."""
    found = []
    for m in rendering(stack).manifests:
        spec = m.get("spec", {})
        if m["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        template = spec.get("template", {})
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            found.append((m, template["spec"]))
    return found


@pytest.fixture(scope="module")
def crds() -> dict[tuple[str, str], Object]:
    """The definitions of custom kinds, by group and kind, as the platform has them."""
    platform = [
        m
        for stack in ("platform.lab", "platform.dev")
        for m in rendering(stack).manifests
        if m["kind"] == "CustomResourceDefinition"
    ]
    # KEDA is in neither; models.gpu scales by it.
    return {
        (m["spec"]["group"], m["spec"]["names"]["kind"]): m
        for m in [*platform, *keda_manifests.definitions()]
    }


def test_there_are_stacks_of_every_layer() -> None:
    layers = {"cluster", "platform", "models", "jobs"}
    assert {s.partition(".")[0] for s in ALL_STACKS} == layers


@pytest.mark.parametrize("stack", STACKS)
def test_every_manifest_is_valid_with_no_unknown_field(
    stack: str, crds: dict[tuple[str, str], Object]
) -> None:
    wrong = {}
    for m in rendering(stack).manifests:
        group = m["apiVersion"].rpartition("/")[0]
        crd = crds.get((group, m["kind"]))
        found = schemas.crd_problems(m, crd) if crd else schemas.problems(m)
        if found:
            wrong[f"{m['kind']} {m['metadata']['name']}"] = found
    assert wrong == {}


@pytest.mark.parametrize("stack", STACKS)
def test_no_service_holds_up_the_engine(stack: str) -> None:
    """Unasked, it waits for endpoints, and 10 s more, with each Service."""
    services = [m for m in rendering(stack).manifests if m["kind"] == "Service"]
    waited_for = [
        m["metadata"]["name"]
        for m in services
        if not {"pulumi.com/waitFor", "pulumi.com/skipAwait"}
        & m["metadata"].get("annotations", {}).keys()
    ]
    assert waited_for == []
    assert services or not stack.startswith("models.")


@pytest.mark.parametrize("kind", ["Deployment", "HTTPRoute"])
def test_an_unknown_field_would_be_seen(
    kind: str, crds: dict[tuple[str, str], Object]
) -> None:
    broken = copy.deepcopy(manifest(rendering("models.dev"), kind))
    broken["spec"]["replica"] = 2
    crd = crds.get((broken["apiVersion"].rpartition("/")[0], kind))
    found = schemas.crd_problems(broken, crd) if crd else schemas.problems(broken)
    assert any("replica" in problem for problem in found)


def test_the_policy_agent_has_no_more_than_it_needs() -> None:
    ((_, pod),) = [
        (m, pod) for m, pod in pods("platform.lab") if m["metadata"]["name"] == AGENT
    ]
    (container,) = pod["containers"]
    assert set(pod_security.violations(pod)) == {
        "restricted-host-namespaces: hostNetwork",
        f"restricted-capabilities: {AGENT} adds capabilities",
        f"restricted-root: {AGENT} may run as root: runAsNonRoot is not true",
        f"restricted-root: {AGENT} runs as root",
    }
    assert container["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["NET_ADMIN"],
    }
    assert not [v for v in pod["volumes"] if "hostPath" in v]
    assert "hostPID" not in pod
    roles = {
        m["kind"]: m["rules"]
        for m in rendering("platform.lab").manifests
        if m["kind"] in ("Role", "ClusterRole") and AGENT in m["metadata"]["name"]
    }
    assert {r for rule in roles["ClusterRole"] for r in rule["resources"]} == {
        "namespaces",
        "networkpolicies",
        "pods",
    }
    assert {v for rule in roles["ClusterRole"] for v in rule["verbs"]} == {
        "get",
        "list",
        "watch",
    }
    (own,) = roles["Role"]
    assert (own["verbs"], own["resourceNames"]) == (["get"], [AGENT])


def test_pods_on_gpu_nodes_have_no_more_than_they_need() -> None:
    seen = set()
    for stack in ("platform.dev", "platform.prod"):
        for m, pod in pods(stack):
            if not m["metadata"]["name"].startswith(tuple(ON_GPU_NODES)):
                continue
            seen.add(m["metadata"]["name"])
            (container,) = pod["containers"]
            (folder,) = [v for v in pod["volumes"] if "hostPath" in v]
            assert folder["hostPath"]["path"] in HOST_FOLDERS
            assert set(pod_security.violations(pod)) == {
                f"restricted-volumes: {folder['name']}",
                f"restricted-root: {container['name']} {MAY_BE_ROOT}",
                f"restricted-root: {container['name']} runs as root",
            }
            for name in ("hostNetwork", "hostPID", "hostIPC"):
                assert name not in pod
            assert pod["automountServiceAccountToken"] is False
    assert seen == {*ON_GPU_NODES, "nvidia-device-plugin-shared-4"}


def test_namespaces_of_the_platform_enforce_the_restricted_standard() -> None:
    namespaces = {
        m["metadata"]["name"]: m["metadata"].get("labels", {}).get(ENFORCE)
        for m in rendering("platform.lab").manifests
        if m["kind"] == "Namespace"
    }
    assert namespaces
    assert set(namespaces.values()) == {"restricted"}
    on_eks = {
        m["metadata"]["name"]: m["metadata"].get("labels", {}).get(ENFORCE)
        for m in rendering("platform.dev").manifests
        if m["kind"] == "Namespace"
    }
    assert on_eks == {**namespaces, "slipway-gpu": "privileged"}


MUTANT = "checkov-must-refuse-this"


def mutant() -> Object:
    """A Deployment with much wrong, to see that the rules are really applied."""
    broken = copy.deepcopy(manifest(rendering("models.dev"), "Deployment"))
    broken["metadata"] |= {"name": MUTANT, "namespace": "default"}
    pod = broken["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pod["hostNetwork"] = True
    container["image"] = "nginx:latest"
    container["securityContext"]["privileged"] = True
    del container["resources"], container["livenessProbe"]
    return broken


def without_schema(one: Object) -> Object:
    """A definition of a custom kind without its schemas, all else as it is.

    They are nine tenths of the text of all stacks, and minutes of checkov's time, which
    has no rule about them: what it is given of a definition is judged as any object is.
    """
    if one["kind"] != "CustomResourceDefinition":
        return one
    versions = [
        {key: value for key, value in version.items() if key != "schema"}
        for version in one["spec"]["versions"]
    ]
    return {**one, "spec": {**one["spec"], "versions": versions}}


def test_checkov_passes_all_without_a_skip(tmp_path: Path) -> None:
    # What two stacks have in common, such as all definitions of custom kinds, once.
    different = {to_yaml(m): m for stack in STACKS for m in rendering(stack).manifests}
    for number, (text, one) in enumerate(different.items()):
        assert "checkov.io/skip" not in text
        (tmp_path / f"{number}.yaml").write_text(to_yaml(without_schema(one)))
    (tmp_path / "mutant.yaml").write_text(yaml.safe_dump(mutant()))
    report = checkov.kubernetes(tmp_path)
    results, summary = report["results"], report["summary"]
    failed = {(c["check_id"], c["resource"]) for c in results["failed_checks"]}
    refused = {check for check, resource in failed if MUTANT in resource}
    own = {f for f in failed if MUTANT not in f[1]}
    daemons = tuple(f"DaemonSet.slipway-gpu.{name}" for name in ON_GPU_NODES)
    on_gpu_nodes = {
        (check, resource) for check, resource in own if resource.startswith(daemons)
    }
    of_agent = {f for f in own if f[1].startswith(f"DaemonSet.kube-system.{AGENT}")}
    assert own - on_gpu_nodes - of_agent == set()
    assert {check for check, _ in of_agent} == OF_THE_AGENT
    assert {check for check, _ in on_gpu_nodes} == OF_GPU_NODES
    assert summary["skipped"] == 0
    assert summary["parsing_errors"] == 0
    assert summary["passed"] >= 500
    # host network, default namespace, tag, privileged, no limits, no liveness probe
    assert refused >= {
        "CKV_K8S_19",
        "CKV_K8S_21",
        "CKV_K8S_43",
        "CKV_K8S_16",
        "CKV_K8S_11",
        "CKV_K8S_13",
        "CKV_K8S_8",
    }
