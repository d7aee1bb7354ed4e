"""Every disruption budget of ours lets broken pods go."""

from __future__ import annotations

import ast

from slipway.rendering.render import render
from tests.support import platform
from tests.support import rendered as r
from toolchain import paths

BY_CHARTS = {"karpenter", "envoy-gateway"}
"""Their publishers' charts do not offer the field (policies/waivers.yaml)."""
PLATFORM = {
    "coredns": {"enabled": True, "cluster_ip": "10.96.0.10", "replicas": 2},
    "namespaces": {"models": ["models"]},
    "keda": {"enabled": True, "replicas": 2},
}
SLEEPS = {"scaling": {"idle": {"wake_seconds": 8}}}


def test_a_pod_that_is_not_ready_holds_up_no_drain() -> None:
    manifests = [
        *render("platform.dev", images=r.IMAGES).manifests,
        *platform.rendered(**PLATFORM).manifests,
        *r.models(models={"a": {**r.EMPLOYMENT, **SLEEPS}}).manifests,
    ]
    budgets = {
        it["metadata"]["name"]: it["spec"].get("unhealthyPodEvictionPolicy")
        for it in manifests
        if it["kind"] == "PodDisruptionBudget"
    }
    assert {"coredns", "keda-operator", "waker", "a"} <= budgets.keys()
    wrong = {name for name, policy in budgets.items() if policy != "AlwaysAllow"}
    assert wrong <= BY_CHARTS


def test_one_function_writes_them() -> None:
    writers = {
        str(file.relative_to(paths.ROOT))
        for file in (paths.ROOT / "components").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value == "unhealthyPodEvictionPolicy"
    }
    assert writers == {"components/workload.py"}
