"""Nodes with whole NVIDIA GPUs, checked against the catalogue of instance types."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from components import catalog
from components.catalog import InstanceType
from components.cluster.nodes import node_capacity, pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase, PoolName
from components.cluster.nodes.taint import toleration
from components.settings import Problem, Settings

RESOURCE = "nvidia.com/gpu"
"""Whole GPUs; slices have other names (components/cluster/nodes/gpu_layout.py)."""


class GpuNodes(Settings):
    """The nodes that pods with GPUs land on; subclasses say how many a pod has."""

    POD: ClassVar[str] = "a pod"
    """Name of a pod in the text of problems."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """EC2 instance types that a pod may be scheduled on: those of the pool. Each must
    have the GPUs, CPU and memory of one pod."""
    pool: PoolName | None = None
    """Pool that runs the pods; default: any node of these types."""

    @property
    def pod_gpus(self) -> int:
        """GPUs of one pod."""
        raise NotImplementedError

    def contradictions(self) -> Iterator[Problem]:
        """Types that the catalogue does not have, or with too few GPUs."""
        for index, name in enumerate(self.instance_types):
            yield from self._type(f"instance_types.{index}", name)

    def _type(self, path: str, name: str) -> Iterator[Problem]:
        try:
            found = catalog.instance_type(name)
        except catalog.UnknownInstanceTypeError as error:
            hint = f"did you mean {error.nearest}? " if error.nearest else ""
            yield Problem(
                path,
                name,
                "the catalogue has no such instance type",
                f"{hint}`slipway catalog list` shows them",
            )
            return
        if not found.gpu or found.gpu.manufacturer != "NVIDIA":
            yield Problem(
                path,
                name,
                "it has no NVIDIA GPUs",
                "give a type with NVIDIA GPUs, such as g6e.xlarge",
            )
        elif found.gpu.count < self.pod_gpus:
            yield Problem(
                path,
                name,
                f"it has {found.gpu.count} GPUs, but {self.POD} needs "
                f"{self.pod_gpus}; no node could ever run one",
                f"give a type with at least {self.pod_gpus}, or fewer GPUs",
            )

    @property
    def types(self) -> list[InstanceType]:
        """The types as the catalogue has them."""
        return [catalog.instance_type(name) for name in self.instance_types]

    @property
    def node_selector(self) -> dict[str, str]:
        """Labels of the nodes."""
        return {pool_nodes.POOL_LABEL: self.pool} if self.pool else {}

    @property
    def required_types(self) -> tuple[str, ...]:
        """Instance types that a node must be one of; a pool has no others."""
        return () if self.pool else self.instance_types

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """Return the tolerations for nodes that are reserved for pods with GPUs."""
        return [
            toleration(pool_nodes.NVIDIA_TAINT, pool_nodes.TAINT_VALUE, "NoSchedule")
        ]

    def room(
        self, path: str, cpu_millicores: int, memory_mib: int
    ) -> Iterator[Problem]:
        """Types that could not give what a pod requests; `path` leads to this."""
        for index, found in enumerate(self.types):
            most_cpu = node_capacity.pod_cpu_millicores(found)
            most_memory = node_capacity.pod_memory_mib(found)
            if cpu_millicores > most_cpu or memory_mib > most_memory:
                yield Problem(
                    f"{path}.instance_types.{index}",
                    found.name,
                    f"{self.POD} requests {cpu_millicores} millicores and {memory_mib} "
                    f"MiB, but after DaemonSets the pods of a node get {most_cpu} and "
                    f"{most_memory} of its {1000 * found.vcpus} and {found.memory}",
                    "lower the requests in resources, or give a larger type",
                )

    def pool_problems(self, path: str, pool: NodePoolBase) -> Iterator[Problem]:
        """Shared GPUs of the pool, and types that nobody checked."""
        if pool.gpu.mode != "whole":
            yield Problem(
                f"{path}.pool",
                self.pool,
                f"its GPUs are shared ({pool.gpu.mode}), but {self.POD} requests whole "
                "ones",
                "give a pool whose gpu.mode is whole",
            )
        unplanned = sorted(set(pool.instance_types) - set(self.instance_types))
        if unplanned:
            yield Problem(
                f"{path}.instance_types",
                list(self.instance_types),
                f"the pool may also have {', '.join(unplanned)}, which would not be "
                "checked",
                f"give all types of the pool: {', '.join(pool.instance_types)}",
            )


def taint_problems(
    path: str,
    name: str,
    pool: NodePoolBase,
    tolerated: Collection[dict[str, str]],
    pods: str,
) -> Iterator[Problem]:
    """Taints of the pool's nodes that pods do not tolerate; `pods`: what they are."""
    for taint in pool_nodes.taints(pool):
        if taint.effect == "PreferNoSchedule" or taint.toleration in tolerated:
            continue
        is_ours = taint.key in (pool_nodes.NVIDIA_TAINT, pool_nodes.NEURON_RESOURCE)
        yield Problem(
            path,
            name,
            f"its nodes have the taint {taint.key}={taint.value}:{taint.effect}, which "
            f"{pods} do not tolerate",
            "give a pool without accelerators"
            if is_ours
            else "add it to tolerations, or give a pool without it",
        )
