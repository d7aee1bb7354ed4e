"""Why a pod gets no node: the reason of each pool, with its fix."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from slipway.doctor import quantity
from slipway.doctor.pending import NodeSize, PendingPods, explain, requests

GPU = "nvidia.com/gpu"


def size(cpu: int, gib: int, gpus: int = 0) -> NodeSize:
    has = quantity.resources({"cpu": cpu, "memory": f"{gib}Gi", "pods": 110, GPU: gpus})
    usable = {**has, "cpu": has["cpu"] - 1, "memory": has["memory"] - 2**30}
    return NodeSize(has, usable)


SIZES = {
    "m7i.2xlarge": size(8, 32),
    "g6.12xlarge": size(48, 192, 4),
    "p5.48xlarge": size(192, 2048, 8),
}


def pod(name: str = "p", owner: str = "", **asks: Any) -> dict[str, Any]:
    spec: dict[str, Any] = {
        key: asks.pop(key) for key in ("nodeSelector", "affinity") if key in asks
    }
    spec["tolerations"] = asks.pop("tolerations", [])
    resources = {asks.pop("where", "requests"): asks.pop("resources", {})}
    assert not asks
    meta: dict[str, Any] = {"name": name, "namespace": "models"}
    if owner:
        controller = {"kind": "ReplicaSet", "name": owner, "controller": True}
        meta["ownerReferences"] = [controller]
    return {
        "metadata": meta,
        "spec": {**spec, "containers": [{"name": "c", "resources": resources}]},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "message": "0/2 nodes"}],
        },
    }


def pool(name: str, *types: str, **spec: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": spec.pop("labels", {})},
        "spec": {
            "taints": spec.pop("taints", []),
            "requirements": [
                {
                    "key": "node.kubernetes.io/instance-type",
                    "operator": "In",
                    "values": list(types),
                },
                {
                    "key": "topology.kubernetes.io/zone",
                    "operator": "In",
                    "values": ["eu-central-1a", "eu-central-1b"],
                },
            ],
        },
    }
    return {
        "metadata": {"name": name},
        "status": {"resources": spec.pop("used", {}), "conditions": []},
        "spec": {**spec, "template": template},
    }


TAINT = {"key": GPU, "value": "present", "effect": "NoSchedule"}
TOLERATES = [{"key": GPU, "operator": "Exists"}]
CPU_POOL = pool("general", "m7i.2xlarge")
GPU_POOL = pool(
    "gpu",
    "g6.12xlarge",
    "p5.48xlarge",
    taints=[TAINT],
    labels={"slipway.dev/pool": "gpu"},
    limits={GPU: 16},
    used={GPU: "8", "cpu": "192"},
)


def one(pod: dict[str, Any], *pools: dict[str, Any]) -> PendingPods:
    (found,) = explain([pod], pools, SIZES.get)
    return found


def reasons(pod: dict[str, Any], *pools: dict[str, Any]) -> list[str]:
    return [f"{r.pool}: {r.reason}" for r in one(pod, *pools).refusals]


def gpus(number: int, **more: Any) -> dict[str, Any]:
    return pod(resources={GPU: number}, tolerations=TOLERATES, **more)


def test_a_pod_that_a_pool_can_serve_is_on_its_way() -> None:
    found = one(gpus(8), CPU_POOL, GPU_POOL)
    assert found.served_by == ("gpu",)
    assert found.is_served
    assert found.asks == f"8 {GPU}"
    assert found.scheduler == "0/2 nodes"


def test_each_pool_says_why_it_cannot_serve() -> None:
    found = one(gpus(16), CPU_POOL, GPU_POOL)
    assert not found.is_served
    assert [(r.pool, r.reason, r.fix) for r in found.refusals] == [
        (
            "general",
            f"the pod requests 16 {GPU}, but none of the pool's types has any",
            f"move the pod to a pool whose types have {GPU}",
        ),
        (
            "gpu",
            (
                f"the pod requests 16 {GPU}, but the closest type p5.48xlarge has "
                f"8 {GPU} for pods"
            ),
            "request less in each pod, or add a larger type to the pool",
        ),
    ]


def test_the_closest_type_is_named_though_another_has_more_of_it() -> None:
    both = pool("both", "p5.48xlarge", "m7i.2xlarge")
    larger = {**SIZES, "m7i.2xlarge": size(384, 1536)}
    (found,) = explain([pod(resources={GPU: 8, "cpu": 300})], [both], larger.get)
    assert found.refusals[0].reason == (
        "the pod requests 300 cpu, but the closest type p5.48xlarge has 191 cpu for "
        "pods"
    )


def test_what_the_node_keeps_for_itself_is_not_for_pods() -> None:
    assert reasons(pod(resources={"cpu": 8}), CPU_POOL) == [
        (
            "general: the pod requests 8 cpu, but the closest type m7i.2xlarge has 7 "
            "cpu for pods"
        )
    ]
    assert one(pod(resources={"cpu": 7}), CPU_POOL).is_served


def test_a_limit_that_no_type_fits_into() -> None:
    full = {**GPU_POOL, "status": {"resources": {GPU: "16"}}}
    assert reasons(gpus(1), full) == [
        (
            f"gpu: its limit is 16 {GPU}, of which 16 {GPU} are in use; "
            f"another g6.12xlarge needs 4 {GPU}"
        )
    ]
    nearly = {**GPU_POOL, "status": {"resources": {GPU: "12"}}}
    assert one(gpus(1), nearly).is_served  # The smaller type still fits.
    assert not one(gpus(8), nearly).is_served


def test_the_limit_of_devices_is_named_before_those_that_follow_from_it() -> None:
    limits = {"cpu": "384", "memory": "4Ti", GPU: "16"}
    full = {
        **pool("gpu", "p5.48xlarge", limits=limits),
        "status": {"resources": limits},
    }
    assert f"its limit is 16 {GPU}" in reasons(gpus(8), full)[0]


def test_a_limit_of_nodes() -> None:
    few = pool("general", "m7i.2xlarge", limits={"nodes": "2"}, used={"nodes": "2"})
    assert "its limit is 2 nodes" in reasons(pod(resources={"cpu": 1}), few)[0]


def test_a_taint_that_is_not_tolerated() -> None:
    assert reasons(pod(resources={GPU: 1}), GPU_POOL) == [
        f"gpu: its taint {GPU}=present:NoSchedule is not tolerated"
    ]


@pytest.mark.parametrize(
    ("toleration", "serves"),
    [
        ({"operator": "Exists"}, True),
        ({"key": GPU, "operator": "Equal", "value": "present"}, True),
        ({"key": GPU, "value": "present", "effect": "NoSchedule"}, True),
        ({"key": GPU, "value": "other"}, False),
        ({"key": GPU, "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "other", "operator": "Exists"}, False),
    ],
)
def test_tolerations_match_as_kubernetes_has_them(
    toleration: dict[str, Any], serves: bool
) -> None:
    asking = pod(resources={GPU: 1}, tolerations=[toleration])
    assert one(asking, GPU_POOL).is_served is serves


def terms(*expressions: dict[str, Any]) -> dict[str, Any]:
    selectors = [{"matchExpressions": [e]} for e in expressions]
    required = {"nodeSelectorTerms": selectors}
    return {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}
    }


ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"nodeSelector": {"slipway.dev/pool": "gpu"}}, ""),
        (
            {"nodeSelector": {"slipway.dev/pool": "big"}},
            "gpu: the pod requires slipway.dev/pool big, the pool sets gpu",
        ),
        (
            {"nodeSelector": {"disk": "fast"}},
            "gpu: the pod requires disk fast, the pool does not set this label",
        ),
        ({"nodeSelector": {"kubernetes.io/arch": "amd64"}}, ""),
        ({"nodeSelector": {"karpenter.k8s.aws/instance-gpu-name": "h100"}}, ""),
        (
            {"affinity": terms({"key": ZONE, "operator": "In", "values": ["c"]})},
            (
                f"gpu: the pod requires {ZONE} c, "
                "the pool sets eu-central-1a, eu-central-1b"
            ),
        ),
        (
            {
                "affinity": terms(
                    {"key": ZONE, "operator": "In", "values": ["c"]},
                    {"key": ZONE, "operator": "NotIn", "values": ["eu-central-1a"]},
                )
            },
            "",
        ),
        ({"affinity": terms({"key": "disk", "operator": "DoesNotExist"})}, ""),
        (
            {"affinity": terms({"key": "disk", "operator": "Exists"})},
            "gpu: the pod requires disk Exists, the pool does not set this label",
        ),
    ],
)
def test_labels_that_the_pod_asks_for(asked: dict[str, Any], reason: str) -> None:
    assert reasons(gpus(1, **asked), GPU_POOL) == ([reason] if reason else [])


def test_a_type_that_the_pod_chooses_is_the_one_looked_at() -> None:
    chosen = {"node.kubernetes.io/instance-type": "g6.12xlarge"}
    assert "g6.12xlarge has 4" in reasons(gpus(8, nodeSelector=chosen), GPU_POOL)[0]


def test_a_pool_that_is_not_ready_says_so() -> None:
    condition = {"type": "Ready", "status": "False", "message": "no node class"}
    broken = {**CPU_POOL, "status": {"conditions": [condition]}}
    assert reasons(pod(resources={"cpu": 1}), broken) == [
        "general: the pool is not Ready: no node class"
    ]


def test_a_type_of_unknown_size_refuses_nothing() -> None:
    strange = pool("strange", "x9.huge")
    assert one(pod(resources={"cpu": 5000}), strange).is_served


def test_slices_of_gpus_are_what_overlays_say() -> None:
    mig = "nvidia.com/mig-1g.10gb"

    def overlay(name: str) -> dict[str, Any]:
        keys = {
            "karpenter.sh/nodepool": name,
            "node.kubernetes.io/instance-type": "p5.48xlarge",
        }
        required = [
            {"key": k, "operator": "In", "values": [v]} for k, v in keys.items()
        ]
        return {"spec": {"requirements": required, "capacity": {GPU: "0", mig: "56"}}}

    def served(*overlays: dict[str, Any], asks: str = mig) -> bool:
        sliced = pool("sliced", "p5.48xlarge")
        waiting = pod(resources={asks: 7})
        (found,) = explain([waiting], [sliced], SIZES.get, overlays)
        return found.is_served

    assert served(overlay("sliced"))
    assert not served(overlay("sliced"), asks=GPU)
    assert not served()
    assert not served(overlay("other"))


def test_pods_of_one_owner_are_reported_once() -> None:
    waiting = [pod(f"a-{n}", owner="a", resources={"cpu": 1000}) for n in range(3)]
    running = {**pod("b"), "status": {"phase": "Running"}}
    placed = pod("c")
    placed["spec"]["nodeName"] = "n1"
    leaving = pod("d")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-23T00:00:00Z"
    found = explain([*waiting, running, placed, leaving], [CPU_POOL], SIZES.get)
    assert [(f.name, f.count, f.example) for f in found] == [("ReplicaSet/a", 3, "a-0")]


def test_requests_follow_the_schedulers_sum() -> None:
    def container(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "c", "resources": {"requests": {"cpu": cpu}}, **more}

    asking = pod()
    asking["spec"]["initContainers"] = [
        container("200m", restartPolicy="Always"),
        container("2"),
    ]
    asking["spec"]["containers"] = [container("500m"), container("1")]
    asking["spec"]["overhead"] = {"cpu": "50m"}
    assert requests(asking)["cpu"] == Decimal("2.25")
    asking["spec"]["initContainers"].pop()
    assert requests(asking)["cpu"] == Decimal("1.75")


def test_limits_alone_count_as_requests() -> None:
    assert requests(pod(resources={GPU: 2}, where="limits"))[GPU] == 2


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("500m", Decimal("0.5")),
        ("2Ki", 2048),
        ("1M", 10**6),
        ("1.5Gi", 1.5 * 2**30),
    ],
)
def test_quantities(text: str, number: Any) -> None:
    assert quantity.parse(text) == number


def test_quantities_are_shown_with_their_unit() -> None:
    assert quantity.show("memory", Decimal(5 * 2**29)) == "2.5 GiB memory"
    assert quantity.show("cpu", Decimal("0.250")) == "0.25 cpu"
