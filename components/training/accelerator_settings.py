"""The GPUs and network adapters of a gang, checked against the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from components.cluster.nodes.gpu_nodes import RESOURCE, GpuNodes
from components.setting_types import Whole
from components.settings import Problem

EFA_RESOURCE = "vpc.amazonaws.com/efa"
HUGE_PAGES, HUGE_PAGES_MIB = "hugepages-2Mi", 5120
"""Memory that EFA's user-space library uses of the huge pages that its driver reserves.
https://docs.aws.amazon.com/eks/latest/userguide/node-efa.html"""


class Accelerator(GpuNodes):
    """Whole NVIDIA GPUs for each worker, and the adapters between their nodes."""

    POD: ClassVar[str] = "a worker"
    worker_gpus: Annotated[Whole, Field(ge=1, le=16)] = 1
    """GPUs of one worker; each worker has its own node."""
    efa: bool = False
    """Whether a worker gets all Elastic Fabric Adapters of its node. The pool must have
    them, and the cluster the device plugin aws-efa-k8s-device-plugin."""

    @property
    def pod_gpus(self) -> int:
        """GPUs of one worker."""
        return self.worker_gpus

    @property
    def devices(self) -> dict[str, str]:
        """Extended resources of one worker, as requests and as limits."""
        found = {RESOURCE: str(self.worker_gpus)}
        if self.efa:
            found[EFA_RESOURCE] = str(self.types[0].efa_interfaces)
            found[HUGE_PAGES] = f"{HUGE_PAGES_MIB}Mi"
        return found

    def contradictions(self) -> Iterator[Problem]:
        """Report types without adapters, or with different numbers of them."""
        wrong = list(super().contradictions())
        yield from wrong
        if not self.efa or wrong:
            return
        for index, found in enumerate(self.types):
            if not found.efa_interfaces:
                yield Problem(
                    f"instance_types.{index}",
                    found.name,
                    "it has no Elastic Fabric Adapter, and efa is true",
                    "give a type that has one (`slipway catalog list`), or remove efa",
                )
        if len({found.efa_interfaces for found in self.types}) > 1:
            yield Problem(
                "instance_types",
                list(self.instance_types),
                "they have different numbers of adapters, and a worker requests one",
                "give one type, or remove efa",
            )
