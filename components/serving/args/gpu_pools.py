"""Check that the pools of models with GPUs exist in the cluster and match."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.cluster.nodes import gpu_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.settings.gpu_settings import Gpus
from components.settings import Problem


def asked(models: Mapping[str, ModelServerArgs]) -> bool:
    """Return whether any of the models names a pool."""
    accelerators = (args.runtime.accelerators for args in models.values())
    return any(gpus and gpus.pool for gpus in accelerators)


def problems(
    models: Mapping[str, ModelServerArgs], pools: Mapping[str, NodePoolBase]
) -> Iterator[Problem]:
    """Report mismatches between the models' stack and the pools of its cluster."""
    for name, args in models.items():
        gpus = args.runtime.accelerators
        if gpus and gpus.pool:
            path = f"models.{name}.runtime.gpus"
            yield from _pool(path, gpus, gpus.pool, pools)
            if pool := pools.get(gpus.pool):
                yield from intolerable(f"{path}.pool", gpus.pool, args, pool)


def intolerable(
    path: str, name: str, args: ModelServerArgs, pool: NodePoolBase
) -> Iterator[Problem]:
    """Taints of the pool's nodes that replicas do not tolerate."""
    gpus = args.runtime.accelerators
    own = [taint.toleration for taint in args.tolerations]
    tolerated = [*(gpus.tolerations if gpus else ()), *own]
    yield from gpu_nodes.taint_problems(path, name, pool, tolerated, "replicas")


def _pool(
    path: str, gpus: Gpus, name: str, pools: Mapping[str, NodePoolBase]
) -> Iterator[Problem]:
    pool = pools.get(name)
    if pool is None:
        yield Problem(
            f"{path}.pool",
            name,
            "the cluster has no such pool, so no node would ever run a replica",
            f"give one of: {', '.join(sorted(pools))}",
        )
        return
    yield from gpus.pool_problems(path, pool)
