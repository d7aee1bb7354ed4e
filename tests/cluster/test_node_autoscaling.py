"""Karpenter's core with the node pools that we render, against simulated machines.

Real: Karpenter (scheduling, limits, consolidation), the API server, its scheduler and
controllers. Simulated: the machines, by Karpenter's own kwok provider and kwok. What
EC2 would do of it (launches, spot interruptions, reservations) is not tried here.
docs/how-to/node-autoscaling.md
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from lab.settings import CONTROL_PLANE
from slipway import stack_files
from slipway.cluster.kube_api import KubeApi
from slipway.doctor import pods as doctor
from slipway.doctor import quantity
from slipway.doctor.findings import Finding
from tests.cluster.conftest import Cluster
from tests.support import node_pools, pending_work, simulated_types
from tests.support.autoscaled import Autoscaled
from tests.support.kube import wait_until
from tests.support.node_autoscaler import NODE_CLASS, NodeAutoscaler
from tests.support.pending_work import NAMESPACE, deployment

REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
GPU, SLICE = "nvidia.com/gpu", "nvidia.com/mig-1g.10gb"
CPU_PODS, GPU_PODS, SCARCE_PODS = 1000, 64, 3
CPU_PODS_LATER, GPU_PODS_LATER = 250, 48
ELASTIC = {
    "kind": "elastic",
    "capacity": ["spot", "on-demand"],
    "taints": [{"key": "example.com/simulated"}],
    "model_load_seconds": 10,
    "consolidate_after_seconds": 10,
}
"""The taint keeps the lab's own pods off. The short times are for the test alone."""
POOLS: dict[str, dict[str, Any]] = {
    "general": {
        **ELASTIC,
        "instance_types": ["m7i.2xlarge", "m7i.4xlarge", "m7i.8xlarge"],
        "max_nodes": 60,
    },
    "gpu": {
        **ELASTIC,
        "instance_types": ["p5.48xlarge", "p5.4xlarge"],
        "max_gpus": 8 * GPU_PODS,
    },
    "scarce": {**ELASTIC, "instance_types": ["g6.12xlarge"], "max_gpus": 16},
    "sliced": {
        **ELASTIC,
        "instance_types": ["p5.48xlarge"],
        "max_gpus": 16,
        "gpu": {"mode": "mig", "mig_profile": "1g.10gb"},
    },
}
NO_SPOT = ("g6.12xlarge",)
"""Types of which the spot market has none left."""
SHIPPED: dict[str, dict[str, Any]] = {
    f"{stack.partition('.')[2]}-{name}": pool
    for stack in ("cluster.dev", "cluster.prod")
    for name, pool in stack_files.load(stack)["config"]["slipway:pools"].items()
    if pool["kind"] == "elastic"
}
"""The elastic pools of the stacks that come with the project."""
ALL = POOLS | SHIPPED
EIGHT_GPUS = {"cpu": "16", "memory": "64Gi", GPU: "8"}


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


def on_simulated_machines(found: dict[str, Any]) -> dict[str, Any]:
    """The object as rendered, but for a pool's class of nodes: EC2's becomes kwok's."""
    found = copy.deepcopy(found)
    if found["kind"] == "NodePool":
        found["spec"]["template"]["spec"]["nodeClassRef"] = {
            "group": NODE_CLASS["apiVersion"].partition("/")[0],
            "kind": NODE_CLASS["kind"],
            "name": NODE_CLASS["metadata"]["name"],
        }
    return found


@pytest.fixture(scope="module")
def autoscaled(cluster: Cluster) -> Iterator[Autoscaled]:
    kube = cluster.kube
    scaler = NodeAutoscaler(kube, lab.Lab().host(CONTROL_PLANE))
    before = {node["metadata"]["name"] for node in kube.get("nodes")}
    objects = list(map(on_simulated_machines, node_pools.rendered(ALL, ZONES)))
    types = [name for pool in ALL.values() for name in pool["instance_types"]]
    try:
        scaler.start(simulated_types.offers(types, REGION, ZONES, no_spot=NO_SPOT))
        kube.apply(pending_work.namespace(), *objects)
        yield Autoscaled(scaler, [o for o in objects if o["kind"] == "NodeOverlay"])
    finally:
        try:
            kube.delete(pending_work.namespace())
        finally:
            scaler.stop()
    assert {node["metadata"]["name"] for node in kube.get("nodes")} == before


def test_nothing_but_the_class_of_nodes_is_ours() -> None:
    rendered = node_pools.rendered(ALL, ZONES)
    assert sum(found["kind"] == "NodePool" for found in rendered) == len(ALL)
    for found in rendered:
        simulated = on_simulated_machines(found)
        if found["kind"] == "NodePool":
            was = found["spec"]["template"]["spec"].pop("nodeClassRef")
            assert was["kind"] == "EC2NodeClass"
            assert simulated["spec"]["template"]["spec"].pop("nodeClassRef") != was
        assert simulated == found


def test_slices_of_gpus_are_launched_as_whole_nodes(autoscaled: Autoscaled) -> None:
    asking = deployment("sliced", 10, {SLICE: "10"}, pool="sliced")
    autoscaled.scaler.kube.apply(asking)
    seconds = autoscaled.wait_for({"sliced": 10}, 180)
    say(f"10 pods with 10 MIG slices each: all run after {seconds:.0f} s")
    # A node has 8 GPUs with 7 slices each: 5 of the pods fit.
    assert autoscaled.number_of("sliced") == 2


def test_each_pool_of_the_shipped_stacks_launches(autoscaled: Autoscaled) -> None:
    asking = {pool: deployment(pool, 1, one_device(pool), pool) for pool in SHIPPED}
    assert asking
    autoscaled.scaler.kube.apply(*asking.values())
    seconds = autoscaled.wait_for(dict.fromkeys(SHIPPED, 1), 180)
    say(f"a pod for each of {', '.join(SHIPPED)}: all run after {seconds:.0f} s")
    kinds = {pool: kind for pool, *kind in autoscaled.kinds() if pool in SHIPPED}
    for pool, (type_, capacity) in kinds.items():
        # Reservations are EC2's: where they come first, spot is the next.
        ladder = [c for c in SHIPPED[pool]["capacity"] if c != "reserved"]
        assert capacity == ladder[0]
        assert type_ in SHIPPED[pool]["instance_types"]


def one_device(pool: str) -> dict[str, str]:
    """What a pod asks for to get the least of a pool's accelerators."""
    (found,) = [
        found
        for found in node_pools.rendered({pool: ALL[pool]}, ZONES)
        if found["kind"] == "NodePool"
    ]
    return {name: "1" for name in found["spec"]["limits"] if "/" in name} or {
        "cpu": "1"
    }


def test_pending_pods_get_nodes_of_their_pools(autoscaled: Autoscaled) -> None:
    asked = {"cpu": CPU_PODS, "gpu": GPU_PODS, "scarce": SCARCE_PODS}
    autoscaled.scaler.kube.apply(
        deployment("gpu", GPU_PODS, EIGHT_GPUS, pool="gpu"),
        deployment("scarce", SCARCE_PODS, {GPU: "4"}, pool="scarce"),
        deployment("cpu", CPU_PODS, {"cpu": "1", "memory": "1Gi"}, pool="general"),
    )
    first = autoscaled.wait_for({"gpu": GPU_PODS}, 480)
    say(f"{GPU_PODS} pods with 8 GPUs each: all run after {first:.0f} s")
    then = autoscaled.wait_for(asked, 480)
    said = f"all run after {first + then:.0f} s (upstream's own limit: 120 s)"
    say(f"{CPU_PODS} pods with 1 CPU each: {said}")
    kinds = autoscaled.kinds()
    for (pool, type_, capacity), number in sorted(kinds.items()):
        say(f"{number:4} nodes in pool {pool}: {type_} {capacity}")
        assert type_ in ALL[pool]["instance_types"]
    assert {type_ for pool, type_, _ in kinds if pool == "gpu"} == {"p5.48xlarge"}
    assert autoscaled.number_of("gpu") == GPU_PODS


def test_spot_comes_before_on_demand(autoscaled: Autoscaled) -> None:
    kinds = autoscaled.kinds()
    assert {(pool, capacity) for pool, _, capacity in kinds if pool in POOLS} == {
        ("general", "spot"),
        ("gpu", "spot"),
        ("sliced", "spot"),
        # The market has none of its type.
        ("scarce", "on-demand"),
    }


def test_a_gpu_pod_that_no_pool_can_serve_stays_pending_and_the_doctor_says_why(
    autoscaled: Autoscaled,
) -> None:
    kube = autoscaled.scaler.kube
    kube.apply(
        deployment("one-more", 1, EIGHT_GPUS, pool="gpu"),
        deployment("too-large", 1, {GPU: "16"}, pool="gpu"),
    )
    wait_until(lambda: len(refused_by_karpenter(autoscaled)) == 2, 120, "two refusals")
    time.sleep(5)
    ready = autoscaled.ready()
    assert (ready["one-more"], ready["too-large"]) == (0, 0)
    with KubeApi.of_kubeconfig(kube.kubeconfig.read_text()) as api:
        problems = [found for found in doctor.check(api) if found.status == "problem"]
    for found in problems:
        say(f"doctor: {found.subject}: {found.detail}")
    most = f"{8 * GPU_PODS} nvidia.com/gpu"
    limit = f"gpu: its limit is {most}, of which {most} are in use"
    assert limit in told(problems, "one-more").detail
    size = (
        "gpu: the pod requests 16 nvidia.com/gpu, but the closest type p5.48xlarge "
        "has 8 nvidia.com/gpu for pods"
    )
    assert size in told(problems, "too-large").detail
    assert len(problems) == 2
    kube.run("delete", "deployment", "one-more", "too-large", "-n", NAMESPACE)


def told(findings: list[Finding], deployment: str) -> Finding:
    """What is said of a deployment's pods."""
    owner = f"{NAMESPACE} ReplicaSet/{deployment}-"
    (found,) = [found for found in findings if found.subject.startswith(owner)]
    return found


def refused_by_karpenter(autoscaled: Autoscaled) -> set[str]:
    """Pods of which Karpenter says itself that it can launch nothing for them."""
    chosen = ("-n", NAMESPACE, "--field-selector=reason=FailedScheduling", "-o", "json")
    shown = autoscaled.scaler.kube.run("get", "events", *chosen)
    return {
        event["involvedObject"]["name"]
        for event in json.loads(shown.stdout)["items"]
        if "karpenter"
        in (event["source"].get("component"), event["reportingComponent"])
        and event["involvedObject"]["name"].startswith(("one-more", "too-large"))
    }


def test_limits_were_never_exceeded(autoscaled: Autoscaled) -> None:
    for pool in autoscaled.scaler.kube.get("nodepools"):
        name = pool["metadata"]["name"]
        limits = quantity.resources(pool["spec"]["limits"])
        assert limits
        most = autoscaled.most[name]
        shown = [
            f"{quantity.show(r, most[r])} of {quantity.show(r, limits[r])}"
            for r in limits
        ]
        say(f"most of pool {name}: {', '.join(shown)}")
        assert all(most[resource] <= limit for resource, limit in limits.items())


def test_nodes_go_when_their_pods_go(autoscaled: Autoscaled) -> None:
    before = autoscaled.number_of("general")
    models = autoscaled.pods("gpu")
    for name, number in (("gpu", GPU_PODS_LATER), ("cpu", CPU_PODS_LATER)):
        scale = ("scale", "deployment", name, f"--replicas={number}")
        autoscaled.scaler.kube.run(*scale, "-n", NAMESPACE)
    start = time.monotonic()
    wait_until(lambda: autoscaled.number_of("gpu") == GPU_PODS_LATER, 480, "fewer GPUs")
    say(f"{GPU_PODS} to {GPU_PODS_LATER} GPU nodes: {time.monotonic() - start:.0f} s")
    # A pool with GPUs gives up empty nodes alone: no model was moved.
    assert autoscaled.pods("gpu") < models
    # The others are emptied one by one, their pods run again elsewhere.
    wait_until(
        lambda: autoscaled.number_of("general") <= before - 2, 480, "fewer nodes"
    )
    after = autoscaled.number_of("general")
    say(f"{before} to {after} general nodes: {time.monotonic() - start:.0f} s")
    autoscaled.wait_for({"cpu": CPU_PODS_LATER, "gpu": GPU_PODS_LATER}, 180)
