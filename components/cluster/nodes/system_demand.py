"""Whether system pools can hold what every cluster runs, before there is a node.

Without a node for CoreDNS and Karpenter nothing else starts: no name is resolved, and
no other node is made. Facts as of 2026-11; the platform's own parts come on top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from components.catalog import InstanceType
from components.cluster.nodes import node_capacity, node_daemons, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.system_pool import SystemPool
from components.settings import Problem


@dataclass(frozen=True)
class Service:
    """A Deployment that every cluster has, and what a replica requests."""

    name: str
    replicas: int
    cpu_millicores: int
    memory_mib: int


SERVICES = (
    # https://github.com/coredns/helm/blob/master/charts/coredns/values.yaml and the
    # add-on's manifest agree.
    Service("coredns", 2, 100, 70),
    # Six containers: the driver, four sidecars and the liveness probe.
    # https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/charts/aws-ebs-csi-driver/values.yaml
    Service("ebs-csi-controller", 2, 60, 240),
    # components/platform/karpenter.py; a test compares.
    Service("karpenter", 2, 250, 512),
)
PODS_WITHOUT_REQUESTS = 1
"""Of each node: eks-pod-identity-agent, which requests nothing but is a pod."""


def problems(pools: Mapping[str, NodePoolBase]) -> Iterator[Problem]:
    """Taints that cluster services do not tolerate, and pools too small for them."""
    system = {name: it for name, it in pools.items() if isinstance(it, SystemPool)}
    for name, pool in system.items():
        yield from _tainted(name, pool)
    if len(system) == 1:
        for name, pool in system.items():
            yield from _small(name, pool)
    elif system:  # each may hold a part
        yield from _small_together(system)


def _tainted(name: str, pool: SystemPool) -> Iterator[Problem]:
    for index, taint in enumerate(pool.taints):
        if taint.effect == "PreferNoSchedule":
            continue
        yield Problem(
            f"pools.{name}.taints.{index}",
            f"{taint.key}:{taint.effect}",
            "CoreDNS and the platform do not tolerate it, so that no node of the "
            "cluster would run them",
            "remove it, or make the pool's kind elastic or reserved",
        )


def _small(name: str, pool: SystemPool) -> Iterator[Problem]:
    """At the least number of nodes: more are only made by what runs on these."""
    nodes = pool.min_nodes
    cpu = sum(it.replicas * it.cpu_millicores for it in SERVICES)
    memory = sum(it.replicas * it.memory_mib for it in SERVICES)
    pods = math.ceil(sum(it.replicas for it in SERVICES) / nodes) + _daemons(pool)
    for t in pool_nodes.types(pool):
        for what, needed, has in (
            ("millicores", cpu, nodes * node_capacity.pod_cpu_millicores(t)),
            ("MiB", memory, nodes * node_capacity.pod_memory_mib(t)),
        ):
            if needed > has:
                yield _refused(
                    name,
                    t,
                    f"{nodes} of them have {max(0, has)} {what} left after "
                    f"DaemonSets, and {_names()} request {needed}",
                    "give a larger type, or raise min_nodes",
                )
    most = pool_nodes.max_pods(pool)
    if pods > most:
        yield Problem(
            f"pools.{name}.max_pods",
            most,
            f"a node runs {_daemons(pool)} DaemonSet pods and its part of {_names()}, "
            f"{pods} in all",
            f"give at least {pods}, or types with more network interfaces",
        )


def _small_together(pools: Mapping[str, SystemPool]) -> Iterator[Problem]:
    """Several pools at their least numbers of nodes, each of its smallest type."""
    cpu = sum(it.replicas * it.cpu_millicores for it in SERVICES)
    memory = sum(it.replicas * it.memory_mib for it in SERVICES)
    for what, needed, of in (
        ("millicores", cpu, node_capacity.pod_cpu_millicores),
        ("MiB", memory, node_capacity.pod_memory_mib),
    ):
        has = sum(
            pool.min_nodes * max(0, min(of(t) for t in pool_nodes.types(pool)))
            for pool in pools.values()
        )
        if needed > has:
            yield Problem(
                "pools",
                sorted(pools),
                f"the system pools have {has} {what} together after "
                f"DaemonSets, and {_names()} request {needed}",
                "give larger types, or raise min_nodes",
            )


def _daemons(pool: SystemPool) -> int:
    first = pool_nodes.types(pool)[0]
    return len(node_daemons.daemons(first)) + PODS_WITHOUT_REQUESTS


def _names() -> str:
    *others, last = (it.name for it in SERVICES)
    return f"{', '.join(others)} and {last}"


def _refused(name: str, t: InstanceType, reason: str, fix: str) -> Problem:
    return Problem(f"pools.{name}.instance_types", t.name, reason, fix)
