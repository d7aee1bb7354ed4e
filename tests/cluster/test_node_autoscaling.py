"""Karpenter's core with the NodePools that we render, against simulated machines.

Real: Karpenter (scheduling, limits, consolidation), the API server, its scheduler and
controllers. Simulated: the machines, by Karpenter's own kwok provider and kwok. What
EC2 would do of it (launches, spot interruptions, reservations) is not tried here.
"""

from __future__ import annotations

import copy
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

import lab
from components import catalog
from lab.settings import CONTROL_PLANE
from slipway.doctor import node_size, pending, quantity
from tests.cluster.conftest import Cluster
from tests.support import node_pools, pending_work, simulated_types
from tests.support.kube import wait_until
from tests.support.node_autoscaler import NODE_CLASS, NodeAutoscaler
from tests.support.pending_work import NAMESPACE, deployment

REGION = "us-east-1"
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
GPU = "nvidia.com/gpu"
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
        "max_gpus": 512,
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
CPU_PODS, GPU_PODS, SCARCE_PODS = 1000, 64, 3
SLICE = "nvidia.com/mig-1g.10gb"
SLICES_OF_NODE = 56
"""8 GPUs with 7 each."""
CPU_PODS_LATER, GPU_PODS_LATER = 250, 48
EIGHT_GPUS = {"cpu": "16", "memory": "64Gi", GPU: "8"}


@dataclass
class Autoscaled:
    """The lab with the pools, and what was seen of their nodes."""

    scaler: NodeAutoscaler
    most: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    """Most that was ever installed in a pool, by resource."""

    def nodes(self) -> list[dict[str, str]]:
        """Labels of the simulated nodes; keeps account of what is installed."""
        labels: list[dict[str, str]] = [
            node["metadata"]["labels"] for node in self.scaler.nodes()
        ]
        now: dict[str, dict[str, Decimal]] = {}
        for node in labels:
            found = catalog.instance_type(node["node.kubernetes.io/instance-type"])
            has = quantity.resources(simulated_types.resources(found)) | {
                "nodes": Decimal(1)
            }
            pool = node["karpenter.sh/nodepool"]
            if pool == "sliced":
                has[SLICE] = Decimal(SLICES_OF_NODE)
            now[pool] = quantity.add(now.get(pool, {}), has)
        for pool, installed in now.items():
            self.most[pool] = quantity.largest(self.most.get(pool, {}), installed)
        return labels

    def kinds(self) -> Counter[tuple[str, str, str]]:
        """Number of nodes by pool, instance type and capacity type."""
        return Counter(
            (
                node["karpenter.sh/nodepool"],
                node["node.kubernetes.io/instance-type"],
                node["karpenter.sh/capacity-type"],
            )
            for node in self.nodes()
        )

    def number_of(self, pool: str) -> int:
        """Nodes of a pool."""
        return sum(n for (name, _, _), n in self.kinds().items() if name == pool)

    def pods(self, deployment: str) -> set[str]:
        """Which pods of a deployment run."""
        selector = f"app.kubernetes.io/name={deployment}"
        found = self.scaler.kube.ready_pods(selector, NAMESPACE)
        return {pod["metadata"]["uid"] for pod in found}

    def ready(self) -> dict[str, int]:
        """Ready pods by deployment; looks at the nodes too."""
        self.nodes()
        return {
            found["metadata"]["name"]: found["status"].get("readyReplicas", 0)
            for found in self.scaler.kube.get("deployments", namespace=NAMESPACE)
        }

    def wait_for(self, wanted: dict[str, int], seconds: float, what: str) -> float:
        """Waits until so many pods are ready; seconds that it took."""
        start = time.monotonic()
        log = self.scaler.log
        try:
            wait_until(lambda: wanted.items() <= self.ready().items(), seconds, what)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.ready()}\n{log()}") from error
        return time.monotonic() - start


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


@pytest.fixture(scope="module")
def autoscaled(cluster: Cluster) -> Iterator[Autoscaled]:
    kube = cluster.kube
    scaler = NodeAutoscaler(kube, lab.Lab().host(CONTROL_PLANE))
    before = {node["metadata"]["name"] for node in kube.get("nodes")}
    pools = [on_simulated_machines(pool) for pool in node_pools.rendered(POOLS, ZONES)]
    types = [name for pool in POOLS.values() for name in pool["instance_types"]]
    try:
        scaler.start(simulated_types.offers(types, REGION, ZONES, no_spot=NO_SPOT))
        kube.apply(pending_work.namespace(), *pools)
        yield Autoscaled(scaler)
    finally:
        kube.delete(pending_work.namespace())
        scaler.stop()
    assert {node["metadata"]["name"] for node in kube.get("nodes")} == before


def on_simulated_machines(pool: dict[str, Any]) -> dict[str, Any]:
    """The object as rendered, but for a pool's class of nodes: EC2's becomes kwok's."""
    found = copy.deepcopy(pool)
    if found["kind"] != "NodePool":
        return found
    found["spec"]["template"]["spec"]["nodeClassRef"] = {
        "group": NODE_CLASS["apiVersion"].partition("/")[0],
        "kind": NODE_CLASS["kind"],
        "name": NODE_CLASS["metadata"]["name"],
    }
    return found


def test_nothing_but_the_class_of_nodes_is_ours() -> None:
    rendered = node_pools.rendered(POOLS, ZONES)
    assert Counter(found["kind"] for found in rendered) == {
        "NodePool": len(POOLS),
        "NodeOverlay": 1,
    }
    for pool in rendered:
        simulated = on_simulated_machines(pool)
        if pool["kind"] == "NodeOverlay":
            assert simulated == pool
            continue
        was = pool["spec"]["template"]["spec"].pop("nodeClassRef")
        assert was["kind"] == "EC2NodeClass"
        assert simulated["spec"]["template"]["spec"].pop("nodeClassRef") != was
        assert simulated == pool


def test_slices_of_gpus_are_launched_as_whole_nodes(autoscaled: Autoscaled) -> None:
    asking = deployment("sliced", 10, {SLICE: "10"}, pool="sliced")
    autoscaled.scaler.kube.apply(asking)
    seconds = autoscaled.wait_for({"sliced": 10}, 120, "pods with 10 MIG slices each")
    say(f"10 pods with 10 MIG slices each: all run after {seconds:.0f} s")
    # 5 of them fit into the slices of one node.
    assert autoscaled.number_of("sliced") == 2


def test_pending_pods_get_nodes_of_their_pools(autoscaled: Autoscaled) -> None:
    asked = {"cpu": CPU_PODS, "gpu": GPU_PODS, "scarce": SCARCE_PODS}
    autoscaled.scaler.kube.apply(
        deployment("gpu", GPU_PODS, EIGHT_GPUS, pool="gpu"),
        deployment("scarce", SCARCE_PODS, {GPU: "4"}, pool="scarce"),
        deployment("cpu", CPU_PODS, {"cpu": "1", "memory": "1Gi"}, pool="general"),
    )
    what = "64 pods with 8 GPUs each"
    first = autoscaled.wait_for({"gpu": GPU_PODS}, 300, what)
    say(f"{what}: all run after {first:.0f} s")
    what = "1,000 pods with 1 CPU each"
    then = autoscaled.wait_for(asked, 300, what)
    say(f"{what}: all run after {first + then:.0f} s (upstream's own limit: 120 s)")
    kinds = autoscaled.kinds()
    for (pool, type_, capacity), number in sorted(kinds.items()):
        say(f"{number:4} nodes in pool {pool}: {type_} {capacity}")
        assert type_ in POOLS[pool]["instance_types"]
    assert {type_ for pool, type_, _ in kinds if pool == "gpu"} == {"p5.48xlarge"}
    assert autoscaled.number_of("gpu") == GPU_PODS


def test_spot_comes_before_on_demand(autoscaled: Autoscaled) -> None:
    found = {(pool, capacity) for pool, _, capacity in autoscaled.kinds()}
    assert found == {
        ("general", "spot"),
        ("gpu", "spot"),
        # The market has none of its type.
        ("scarce", "on-demand"),
        ("sliced", "spot"),
    }


def test_a_gpu_pod_that_no_pool_can_serve_stays_pending_and_says_why(
    autoscaled: Autoscaled,
) -> None:
    kube = autoscaled.scaler.kube
    kube.apply(
        deployment("one-more", 1, EIGHT_GPUS, pool="gpu"),
        deployment("too-large", 1, {GPU: "16"}, pool="gpu"),
    )
    wait_until(lambda: len(refused_by_karpenter(autoscaled)) == 2, 90, "two refusals")
    time.sleep(5)
    ready = autoscaled.ready()
    assert (ready["one-more"], ready["too-large"]) == (0, 0)
    pods = kube.get("pods", namespace=NAMESPACE)
    pools, overlays = kube.get("nodepools"), kube.get("nodeoverlays")
    told = pending.explain(pods, pools, node_size.of_type, overlays)
    reasons = {
        one.name.partition("/")[2].rpartition("-")[0]: [
            refusal.reason for refusal in one.refusals if refusal.pool == "gpu"
        ]
        for one in told
        if not one.is_served
    }
    for name, found in reasons.items():
        say(f"{name} stays pending: {'; '.join(found)}")
    assert reasons == {
        "one-more": [
            (
                f"its limit is 512 {GPU}, of which 512 {GPU} are in use; "
                f"one more p5.48xlarge has 8 {GPU}"
            )
        ],
        "too-large": [
            (
                f"the pod asks for 16 {GPU}, its closest type p5.48xlarge has "
                f"8 {GPU} for pods"
            )
        ],
    }
    kube.run("delete", "deployment", "one-more", "too-large", "-n", NAMESPACE)


def refused_by_karpenter(autoscaled: Autoscaled) -> set[str]:
    """Pods of which Karpenter says itself that it can launch nothing for them."""
    chosen = "--field-selector=reason=FailedScheduling"
    shown = autoscaled.scaler.kube.run(
        "get", "events", "-n", NAMESPACE, chosen, "-ojson"
    )
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
        for resource, limit in limits.items():
            say(
                f"pool {name}: at most {quantity.show(resource, most[resource])} "
                f"of {quantity.show(resource, limit)}"
            )
            assert most[resource] <= limit, resource


def test_nodes_go_when_their_pods_go(autoscaled: Autoscaled) -> None:
    before = autoscaled.number_of("general")
    models = autoscaled.pods("gpu")
    for name, number in (("gpu", GPU_PODS_LATER), ("cpu", CPU_PODS_LATER)):
        scale = ("scale", "deployment", name, f"--replicas={number}")
        autoscaled.scaler.kube.run(*scale, "-n", NAMESPACE)
    start = time.monotonic()
    what = f"{GPU_PODS_LATER} GPU nodes"
    wait_until(lambda: autoscaled.number_of("gpu") == GPU_PODS_LATER, 300, what)
    say(f"{GPU_PODS} to {what}: {time.monotonic() - start:.0f} s")
    # A pool with GPUs gives up empty nodes alone: no model was moved.
    assert autoscaled.pods("gpu") < models
    # The others are emptied one by one, their pods run again elsewhere.
    wait_until(
        lambda: autoscaled.number_of("general") <= before - 2, 300, "fewer nodes"
    )
    after = autoscaled.number_of("general")
    say(f"{before} to {after} general nodes: {time.monotonic() - start:.0f} s")
    autoscaled.wait_for({"cpu": CPU_PODS_LATER, "gpu": GPU_PODS_LATER}, 120, "all pods")
