"""Check that the cluster's stack has the pools that jobs need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.cluster.nodes import gpu_nodes, pod_room, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import reach
from components.cluster.settings import ClusterSettings
from components.settings import Problem
from components.training.accelerator_settings import Accelerator
from components.training.training_settings import TrainingJobArgs

Jobs = Mapping[str, TrainingJobArgs]


def asked(jobs: Jobs) -> bool:
    """Return whether any job names a pool, or a role by its service account."""
    return any(
        _pool_of(job)[1] or job.service_account.pod_identity for job in jobs.values()
    )


def problems(jobs: Jobs, namespace: str, cluster: ClusterSettings) -> Iterator[Problem]:
    """Report mismatches between the jobs' stack and the stack of its cluster."""
    accounts = {(i.namespace, i.service_account) for i in cluster.identities.values()}
    for name, job in jobs.items():
        path, wanted = _pool_of(job)
        if wanted:
            yield from _pool(f"training.{name}", path, wanted, job, cluster.pools)
        if job.service_account.pod_identity and (namespace, name) not in accounts:
            yield Problem(
                f"training.{name}.service_account.pod_identity",
                True,
                f"the cluster stack has no identity for {namespace}/{name}, so there "
                "would be no role",
                "add one to its identities with "
                f"namespace: {namespace}, service_account: {name}",
            )


def _pool_of(job: TrainingJobArgs) -> tuple[str, str | None]:
    """Return the setting that names the pool, and its value."""
    if job.accelerator and job.accelerator.pool:
        return "accelerator.pool", job.accelerator.pool
    label = pool_nodes.POOL_LABEL
    return f"node_selector.{label}", job.node_selector.get(label)


def _pool(
    place: str,
    setting: str,
    name: str,
    job: TrainingJobArgs,
    pools: Mapping[str, NodePoolBase],
) -> Iterator[Problem]:
    pool = pools.get(name)
    if pool is None:
        yield Problem(
            f"{place}.{setting}",
            name,
            "the cluster has no such pool, so no node would ever run a worker",
            f"give one of: {', '.join(sorted(pools))}",
        )
        return
    gpus = job.accelerator.tolerations if job.accelerator else []
    tolerated = [*gpus, *(taint.toleration for taint in job.tolerations)]
    yield from gpu_nodes.taint_problems(
        f"{place}.{setting}", name, pool, tolerated, "workers"
    )
    if job.accelerator:
        yield from gpu_problems(f"{place}.accelerator", job.accelerator, pool)
        yield from _size(f"{place}.nodes", name, job.nodes, pool)
    else:
        yield from _room(place, job, pool)


def _room(place: str, job: TrainingJobArgs, pool: NodePoolBase) -> Iterator[Problem]:
    """Report workers that no node can run, initially or with maximum memory."""
    asked, path = job.resources, f"{place}.resources"
    cpu = asked.cpu_request_millicores
    first = list(
        pod_room.problems(path, pool, (cpu, asked.memory_request_mib), what="worker")
    )
    yield from first
    if first or not job.retry_with:
        return
    request = job.retry_with.most_request_mib(asked)
    for found in pod_room.problems(path, pool, (cpu, request), what="worker"):
        yield Problem(
            f"{place}.retry_with.most_memory_mib",
            job.retry_with.most_memory_mib,
            f"a worker would request {request} MiB, and {found.reason}",
            "lower it, lower resources.memory_request_mib, or give a pool of larger "
            "types",
        )


def gpu_problems(
    path: str, asked: Accelerator, pool: NodePoolBase
) -> Iterator[Problem]:
    """Report shared GPUs, unchecked types, and adapters that nodes lack."""
    yield from asked.pool_problems(path, pool)
    if asked.efa and not pool_nodes.efa(pool):
        yield Problem(
            f"{path}.efa",
            asked.efa,
            "the pool's nodes get no Elastic Fabric Adapters",
            "give a pool of kind reserved with efa: true, or remove efa",
        )


def _size(path: str, name: str, nodes: int, pool: NodePoolBase) -> Iterator[Problem]:
    """Report more workers than the pool may have nodes; each takes one."""
    most = max(one.nodes_max for one in reach(pool))
    if nodes > most:
        yield Problem(
            path,
            nodes,
            f"each worker has a node of its own, and the pool {name} may have {most}, "
            "so the gang could never start",
            f"give at most {most}, or raise the pool's limit",
        )
