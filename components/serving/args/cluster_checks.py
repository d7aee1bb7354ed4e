"""Whether the cluster's stack has what model servers count on: pools and roles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.cluster.nodes import pool_nodes
from components.cluster.settings import ClusterSettings
from components.serving.args import gpu_pools, pool_disk, pool_room
from components.serving.args.model_server_args import ModelServerArgs
from components.settings import Problem


def asked(models: Mapping[str, ModelServerArgs]) -> bool:
    """Whether any of the models names a pool, or a role by its service account."""
    return gpu_pools.asked(models) or any(
        pool_nodes.POOL_LABEL in args.node_selector or args.service_account.pod_identity
        for args in models.values()
    )


def problems(
    models: Mapping[str, ModelServerArgs], namespace: str, cluster: ClusterSettings
) -> Iterator[Problem]:
    """What is wrong between the models of a stack and the stack of its cluster."""
    yield from gpu_pools.problems(models, cluster.pools)
    yield from pool_room.problems(models, cluster.pools)
    yield from pool_disk.problems(models, cluster.pools)
    for name, args in models.items():
        yield from _pool(f"models.{name}", args, cluster)
        if args.service_account.pod_identity:
            yield from _role(name, namespace, cluster)


def _pool(
    path: str, args: ModelServerArgs, cluster: ClusterSettings
) -> Iterator[Problem]:
    """A pool that is not there, or whose nodes would take no replica."""
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


def _role(name: str, namespace: str, cluster: ClusterSettings) -> Iterator[Problem]:
    """No role for the service account, which has the server's name."""
    accounts = {(i.namespace, i.service_account) for i in cluster.identities.values()}
    if (namespace, name) not in accounts:
        yield Problem(
            f"models.{name}.service_account.pod_identity",
            True,
            f"the cluster stack has no identity for {namespace}/{name}, so there "
            "would be no role",
            "add one to its identities with "
            f"namespace: {namespace}, service_account: {name}",
        )
