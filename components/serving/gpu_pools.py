"""Whether models that ask for GPUs name pools that the cluster has, as it has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from components.cluster.node_pool_base import NodePoolBase
from components.serving.gpu_settings import Gpus
from components.serving.model_server_args import ModelServerArgs
from components.settings import Problem


def asked(models: Mapping[str, ModelServerArgs]) -> bool:
    """Whether any of the models names a pool."""
    accelerators = (args.runtime.accelerators for args in models.values())
    return any(gpus and gpus.pool for gpus in accelerators)


def problems(
    models: Mapping[str, ModelServerArgs], pools: Mapping[str, NodePoolBase]
) -> Iterator[Problem]:
    """What is wrong between the models of a stack and the pools of its cluster."""
    for name, args in models.items():
        gpus = args.runtime.accelerators
        if gpus and gpus.pool:
            yield from _pool(f"models.{name}.runtime.gpus", gpus, gpus.pool, pools)


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
    if pool.gpu.mode != "whole":
        yield Problem(
            f"{path}.pool",
            name,
            f"its GPUs are shared ({pool.gpu.mode}), but a replica requests whole ones",
            "give a pool whose gpu.mode is whole",
        )
    unplanned = sorted(set(pool.instance_types) - set(gpus.instance_types))
    if unplanned:
        yield Problem(
            f"{path}.instance_types",
            list(gpus.instance_types),
            f"the pool may also have {', '.join(unplanned)}, which would not be "
            "checked",
            f"give all types of the pool: {', '.join(pool.instance_types)}",
        )
