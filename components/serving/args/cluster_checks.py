"""Check that the cluster's stack has the pools and roles that model servers need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components import naming
from components.cluster.nodes import pool_nodes
from components.cluster.settings import ClusterSettings
from components.serving.args import gpu_pools, gpu_rollout, pool_disk, pool_room
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.settings.request_settings import MONITOR
from components.settings import Problem


def asked(models: Mapping[str, ModelServerArgs]) -> bool:
    """Return whether any model names a pool, or a role by its service account."""
    return gpu_pools.asked(models) or any(
        pool_nodes.POOL_LABEL in args.node_selector
        or args.service_account.pod_identity
        or _is_read_from_bucket(args)
        for args in models.values()
    )


def _is_read_from_bucket(args: ModelServerArgs) -> bool:
    """Return whether the monitor needs a role to read the model's log."""
    return bool(args.monitor and args.prediction_log.sink != MONITOR)


def problems(
    models: Mapping[str, ModelServerArgs], namespace: str, cluster: ClusterSettings
) -> Iterator[Problem]:
    """Report mismatches between the models' stack and the stack of its cluster."""
    yield from gpu_pools.problems(models, cluster.pools)
    yield from gpu_rollout.problems(models, cluster.pools)
    running = gpu_rollout.without_canaries(models, cluster.pools)
    yield from pool_room.problems(running, cluster.pools)
    yield from pool_disk.problems(models, cluster.pools)
    for name, args in models.items():
        yield from _pool(f"models.{name}", args, cluster)
        if args.service_account.pod_identity:
            path = f"models.{name}.service_account.pod_identity"
            yield from _role(path, True, name, namespace, cluster)
        if _is_read_from_bucket(args):
            path, sink = f"models.{name}.prediction_log.sink", args.prediction_log.sink
            yield from _role(path, sink, naming.MODEL_MONITOR, namespace, cluster)


def _pool(
    path: str, args: ModelServerArgs, cluster: ClusterSettings
) -> Iterator[Problem]:
    """Report a missing pool, or one whose nodes accept no replica."""
    name = args.node_selector.get(pool_nodes.POOL_LABEL)
    if name is None:
        return
    where = f"{path}.node_selector.{pool_nodes.POOL_LABEL}"
    pool = cluster.pools.get(name)
    if pool is None:
        yield Problem(
            where,
            name,
            "the cluster has no such pool, so no node would ever run a replica",
            f"give one of: {', '.join(sorted(cluster.pools))}",
        )
        return
    yield from gpu_pools.intolerable(where, name, args, pool)


def _role(
    path: str, value: object, account: str, namespace: str, cluster: ClusterSettings
) -> Iterator[Problem]:
    """Report a service account (a server's or the monitor's) without its role."""
    accounts = {(i.namespace, i.service_account) for i in cluster.identities.values()}
    if (namespace, account) not in accounts:
        reads = "" if path.endswith("pod_identity") else ", prediction_logs: read"
        yield Problem(
            path,
            value,
            f"the cluster stack has no identity for {namespace}/{account}, so there "
            "would be no role",
            "add one to its identities with "
            f"namespace: {namespace}, service_account: {account}{reads}",
        )
