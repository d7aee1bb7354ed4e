"""The GPUs of one replica, checked against the catalogue of instance types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components import catalog
from components.catalog import InstanceType
from components.cluster import pool_nodes
from components.cluster.node_pool_base import PoolName
from components.cluster.taint import Effect
from components.serving.resource_settings import Resources
from components.setting_types import Whole
from components.settings import Problem, Settings

RESOURCE = "nvidia.com/gpu"
"""Whole GPUs; slices have other names (components/cluster/gpu_layout.py)."""


class Gpus(Settings):
    """Whole GPUs of NVIDIA's for each replica, and the nodes that have them."""

    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """EC2 instance types that a replica may land on: those of the pool. Each must have
    the GPUs, the CPU and the memory of one replica."""
    pool: PoolName | None = None
    """Pool whose nodes take the replicas; none: any node with GPUs."""
    replica_gpus: Annotated[Whole, Field(ge=1, le=16)] = 1
    """GPUs of one replica."""
    spare_replicas: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """Replicas for which GPUs are free while an update runs. With 0 an old replica goes
    before its successor starts, as else the update would wait for a GPU for ever."""

    def contradictions(self) -> Iterator[Problem]:
        """Types that the catalogue does not have, or with too few GPUs."""
        for index, name in enumerate(self.instance_types):
            path = f"instance_types.{index}"
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
                continue
            if not found.gpu or found.gpu.manufacturer != "NVIDIA":
                yield Problem(
                    path,
                    name,
                    "it has no NVIDIA GPUs",
                    "give a type with NVIDIA GPUs, such as g6e.xlarge",
                )
            elif found.gpu.count < self.replica_gpus:
                yield Problem(
                    path,
                    name,
                    f"it has {found.gpu.count} GPUs, but a replica needs "
                    f"{self.replica_gpus}; no node could ever run one",
                    f"give a type with at least {self.replica_gpus}, or fewer GPUs",
                )

    @property
    def types(self) -> list[InstanceType]:
        """The types as the catalogue has them."""
        return [catalog.instance_type(name) for name in self.instance_types]

    @property
    def surge(self) -> tuple[int, int]:
        """MaxSurge and maxUnavailable of an update."""
        return (min(self.spare_replicas, 1), 0) if self.spare_replicas else (0, 1)

    @property
    def node_selector(self) -> dict[str, str]:
        """Labels of the nodes."""
        return {pool_nodes.POOL_LABEL: self.pool} if self.pool else {}

    @property
    def tolerations(self) -> list[dict[str, str]]:
        """What lets a pod onto nodes that are kept for who asks for GPUs."""
        effect: Effect = "NoSchedule"
        return [
            {
                "key": pool_nodes.NVIDIA_TAINT,
                "operator": "Equal",
                "value": pool_nodes.TAINT_VALUE,
                "effect": effect,
            }
        ]

    def room_problems(self, asked: Resources) -> Iterator[Problem]:
        """Types that could not give what a replica asks for; paths from `runtime`."""
        cpu, memory = asked.cpu_request_millicores, asked.memory_request_mib
        for index, found in enumerate(self.types):
            if cpu >= 1000 * found.vcpus or memory >= found.memory:
                yield Problem(
                    f"runtime.gpus.instance_types.{index}",
                    found.name,
                    f"a replica requests {cpu} millicores and {memory} MiB, but the "
                    f"type has {1000 * found.vcpus} and {found.memory}, and the "
                    "system uses part of it",
                    "lower the requests in resources, or give a larger type",
                )
