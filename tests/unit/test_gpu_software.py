"""Device plugin and DCGM exporter: where they run, what they may, what they offer."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from components.cluster.nodes import node_daemons
from components.settings import SettingsError
from slipway.rendering.render import Rendered, render
from tests.support import platform
from tests.support.rendered import IMAGES

CLUSTER = {
    "name": "own",
    "version": "1.35",
    "zones": ["us-east-1a"],
    "node_role": "own-node",
    "interruption_queue": "own",
}
L4 = {"kind": "elastic", "instance_types": ["g6.xlarge"], "max_gpus": 2}
A100 = {"kind": "elastic", "instance_types": ["p4d.24xlarge"], "max_gpus": 8}
POOLS: dict[str, Any] = {
    "cpu": {"kind": "elastic", "instance_types": ["m7a.large"], "max_nodes": 2},
    "whole": {**L4, "taints": [{"key": "team", "value": "a"}]},
    "also-whole": L4,
    "shared": {**L4, "gpu": {"mode": "time_slicing", "replicas": 4}},
    "sliced": {**A100, "gpu": {"mode": "mig", "mig_profile": "1g.5gb"}},
}


def rendered(**change: Any) -> Rendered:
    config = {
        "karpenter": {"enabled": True, "cluster": CLUSTER},
        "node_pools": POOLS,
        "gpu": {"device_plugin": {"enabled": True}, "dcgm_exporter": {"enabled": True}},
        "gateway_api": {"enabled": False},
        "envoy_gateway": {"enabled": False},
        "gateway": {"enabled": False},
        "monitoring": {
            "prometheus": {"enabled": False},
            "alertmanager": {"enabled": False},
            "alert_recorder": {"enabled": False},
        },
    }
    return render("platform.test", config={**config, **change}, images=IMAGES)


def test_what_daemons_request_is_what_pools_are_compared_with() -> None:
    found = rendered()
    for daemon in node_daemons.GPU_SOFTWARE:
        pod = platform.only(found, "DaemonSet", daemon.name)["spec"]["template"]["spec"]
        (asked,) = [it["resources"]["requests"] for it in pod["containers"]]
        cpu, memory = f"{daemon.cpu_millicores}m", f"{daemon.memory_mib}Mi"
        assert (asked["cpu"], asked["memory"]) == (cpu, memory)


def pools_of(found: Rendered, name: str) -> list[str]:
    """Pools whose nodes the DaemonSet chooses."""
    pod = platform.only(found, "DaemonSet", name)["spec"]["template"]["spec"]
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    (term,) = pod["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    assert (expression["key"], expression["operator"]) == ("slipway.dev/pool", "In")
    values: list[str] = expression["values"]
    return values


def plugin_config(found: Rendered, name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(
        platform.only(found, "ConfigMap", name)["data"]["config.yaml"]
    )
    return content


def test_each_layout_has_a_device_plugin_of_its_own() -> None:
    found = rendered()
    assert pools_of(found, "nvidia-device-plugin") == ["also-whole", "whole"]
    assert pools_of(found, "nvidia-device-plugin-shared-4") == ["shared"]
    assert pools_of(found, "nvidia-device-plugin-mig") == ["sliced"]
    gpus = ["also-whole", "shared", "sliced", "whole"]
    assert pools_of(found, "dcgm-exporter") == gpus

    whole = plugin_config(found, "nvidia-device-plugin")
    assert whole["flags"]["migStrategy"] == "none"
    assert "sharing" not in whole
    sliced = plugin_config(found, "nvidia-device-plugin-mig")
    assert sliced["flags"]["migStrategy"] == "mixed"
    slicing = plugin_config(found, "nvidia-device-plugin-shared-4")["sharing"]
    assert slicing["timeSlicing"] == {
        "renameByDefault": True,
        "failRequestsGreaterThanOne": True,
        "resources": [{"name": "nvidia.com/gpu", "replicas": 4}],
    }


def test_they_tolerate_the_taints_of_their_pools() -> None:
    found = rendered()
    for name in ("nvidia-device-plugin", "dcgm-exporter"):
        pod = platform.only(found, "DaemonSet", name)["spec"]["template"]["spec"]
        tolerated = {(t["key"], t["effect"]) for t in pod["tolerations"]}
        for pool in pools_of(found, name):
            node_pool = platform.only(found, "NodePool", pool)
            for taint in node_pool["spec"]["template"]["spec"]["taints"]:
                assert (taint["key"], taint["effect"]) in tolerated


def test_what_is_offered_is_what_the_autoscaler_counts() -> None:
    found = rendered()
    (overlay,) = [
        m
        for m in found.manifests
        if m["kind"] == "NodeOverlay" and m["metadata"]["name"].startswith("shared")
    ]
    # g6.xlarge has one GPU, which four pods share.
    assert overlay["spec"]["capacity"]["nvidia.com/gpu.shared"] == "4"


@pytest.mark.parametrize(
    ("name", "profiling", "sys_admin"),
    [
        ("nvidia-device-plugin", False, False),
        ("nvidia-device-plugin-mig", False, True),
        ("dcgm-exporter", False, False),
        ("dcgm-exporter", True, True),
    ],
)
def test_only_slices_and_profiling_take_a_capability(
    name: str, profiling: bool, sys_admin: bool
) -> None:
    gpu = {
        "device_plugin": {"enabled": True},
        "dcgm_exporter": {"enabled": True, "profiling": profiling},
    }
    found = rendered(gpu=gpu)
    pod = platform.only(found, "DaemonSet", name)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    context = container["securityContext"]
    capabilities = context["capabilities"]
    assert capabilities["drop"] == ["ALL"]
    assert capabilities.get("add", []) == (["SYS_ADMIN"] if sys_admin else [])
    assert context["privileged"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is sys_admin


def test_the_exporter_is_scraped_and_reached_by_nobody_else() -> None:
    found = rendered()
    template = platform.only(found, "DaemonSet", "dcgm-exporter")["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9400"
    policy = platform.only(found, "NetworkPolicy", "dcgm-exporter")["spec"]
    (rule,) = policy["ingress"]
    assert [p["port"] for p in rule["ports"]] == [9400]
    assert "egress" not in policy
    assert "Egress" in policy["policyTypes"]


@pytest.mark.parametrize(
    ("change", "path", "reason"),
    [
        ({"karpenter": {"enabled": False}}, "karpenter.enabled", "elastic"),
        ({"node_pools": {}}, "gpu.device_plugin.enabled", "no pool has NVIDIA"),
        ({"karpenter": {"enabled": True}}, "karpenter.cluster", "needs the names"),
        ({"cluster": {"stack": "cluster.dev"}}, "node_pools", "already defines it"),
        (
            {
                "cluster": {"stack": "cluster.nowhere"},
                "node_pools": {},
                "karpenter": {},
            },
            "cluster.stack",
            "file stacks/config/Pulumi.cluster.nowhere.yaml does not exist",
        ),
    ],
)
def test_what_does_not_fit_the_pools_is_refused(
    change: dict[str, Any], path: str, reason: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        rendered(**change)
    assert any(p.path == path and reason in p.reason for p in caught.value.problems), (
        str(caught.value)
    )
