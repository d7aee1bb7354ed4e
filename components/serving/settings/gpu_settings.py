"""The GPUs of one replica, checked against the catalogue of instance types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from components.cluster.nodes.gpu_nodes import GpuNodes
from components.serving.settings.resource_settings import Resources
from components.setting_types import Whole
from components.settings import Problem


class Gpus(GpuNodes):
    """Whole GPUs of NVIDIA's for each replica, and the nodes that have them."""

    POD: ClassVar[str] = "a replica"
    replica_gpus: Annotated[Whole, Field(ge=1, le=16)] = 1
    """GPUs of one replica."""
    spare_replicas: Annotated[Whole, Field(ge=0, le=1000)] = 0
    """Replicas for which GPUs are free during an update. With 0, an old replica stops
    before its successor starts; otherwise the update would wait forever for a GPU."""

    @property
    def pod_gpus(self) -> int:
        """GPUs of one replica."""
        return self.replica_gpus

    @property
    def surge(self) -> tuple[int, int]:
        """MaxSurge and maxUnavailable of an update."""
        return (min(self.spare_replicas, 1), 0) if self.spare_replicas else (0, 1)

    def room_problems(self, asked: Resources) -> Iterator[Problem]:
        """Types that could not give what a replica asks for; paths from `runtime`."""
        yield from self.room(
            "runtime.gpus", asked.cpu_request_millicores, asked.memory_request_mib
        )
