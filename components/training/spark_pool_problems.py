"""Check that the cluster's stack has the pools that Spark jobs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components import catalog
from components.cluster.nodes import gpu_nodes, node_capacity, pod_room, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import reach
from components.cluster.settings import ClusterSettings
from components.settings import Problem
from components.training.spark_fields import Executors, SparkPod
from components.training.spark_pod import executor_account
from components.training.spark_settings import SparkJobArgs

Jobs = Mapping[str, SparkJobArgs]


def asked(jobs: Jobs) -> bool:
    """Return whether any job names a pool, or a role by its service account."""
    return any(
        job.service_account.pod_identity
        or any(_pool_of(job, name, pod)[1] for name, pod in job.pods.items())
        for job in jobs.values()
    )


def problems(jobs: Jobs, namespace: str, cluster: ClusterSettings) -> Iterator[Problem]:
    """Report mismatches between the Spark jobs' stack and the stack of its cluster."""
    accounts = {(i.namespace, i.service_account) for i in cluster.identities.values()}
    for name, job in jobs.items():
        for setting, pod in job.pods.items():
            path, wanted = _pool_of(job, setting, pod)
            if wanted:
                found = cluster.pools.get(wanted)
                if found is None:
                    yield _unknown(f"spark.{name}.{path}", wanted, cluster.pools)
                    continue
                yield from _taints(f"spark.{name}.{path}", wanted, job, found)
                yield from _room(f"spark.{name}.{setting}", wanted, pod, found)
        if not job.service_account.pod_identity:
            continue
        for account in (name, executor_account(name)):
            if (namespace, account) not in accounts:
                yield Problem(
                    f"spark.{name}.service_account.pod_identity",
                    True,
                    f"the cluster stack has no identity for {namespace}/{account}, so "
                    "there would be no role",
                    "add one to its identities with "
                    f"namespace: {namespace}, service_account: {account}",
                )


def _pool_of(job: SparkJobArgs, setting: str, pod: SparkPod) -> tuple[str, str | None]:
    """Return the setting that names the pool, and its value."""
    if pod.pool:
        return f"{setting}.pool", pod.pool
    label = pool_nodes.POOL_LABEL
    return f"node_selector.{label}", job.node_selector.get(label)


def _unknown(path: str, name: str, pools: Mapping[str, NodePoolBase]) -> Problem:
    return Problem(
        path,
        name,
        "the cluster has no such pool, so no node would ever run it",
        f"give one of: {', '.join(sorted(pools))}",
    )


def _taints(
    path: str, name: str, job: SparkJobArgs, pool: NodePoolBase
) -> Iterator[Problem]:
    """Report taints of a pool that the job's pods do not tolerate."""
    tolerated = [taint.toleration for taint in job.tolerations]
    yield from gpu_nodes.taint_problems(path, name, pool, tolerated, "its pods")


def _room(
    place: str, name: str, pod: SparkPod, pool: NodePoolBase
) -> Iterator[Problem]:
    """Report pods that fit on no node of their pool, and too many of them."""
    what = "Spark executor" if isinstance(pod, Executors) else "Spark driver"
    asked = pod.request_millicores, pod.memory_mib
    room = list(pod_room.problems(place, pool, asked, what=what))
    for found in room:
        # Request and limit of the pod's memory are one setting.
        path = found.path.replace("memory_request_mib", "memory_mib")
        yield Problem(path, found.value, found.reason, found.fix)
    if isinstance(pod, Executors) and not room:
        yield from _number(place, name, pod, pool)


def _number(
    place: str, name: str, own: Executors, pool: NodePoolBase
) -> Iterator[Problem]:
    """Report more executors than fit on all nodes of the pool."""
    most = max(one.nodes_max * _fitting(one.instance_type, own) for one in reach(pool))
    if own.most > most:
        setting = "max_instances" if own.max_instances else "instances"
        yield Problem(
            f"{place}.{setting}",
            own.most,
            f"all nodes that the pool {name} may have take {most} executors of this "
            "size, so the others would wait for ever",
            f"give at most {most}, or raise the pool's limit",
        )


def _fitting(instance_type: str, own: Executors) -> int:
    """Return the number of executors that fit on one node of the type."""
    found = catalog.instance_type(instance_type)
    by_cpu = node_capacity.pod_cpu_millicores(found) // own.request_millicores
    return min(by_cpu, node_capacity.pod_memory_mib(found) // own.memory_mib)
