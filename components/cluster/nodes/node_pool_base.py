"""The common part of all kinds of node pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from components.cluster.network.network_settings import Zone
from components.cluster.nodes.gpu_layout import GpuLayout
from components.cluster.nodes.taint import NodeKey, NodeValue, Taint
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings

SMALLEST_DISK_GIB = 20
"""The AMIs' own root volume."""

PoolName = Annotated[DnsLabel, Field(max_length=32)]
"""A pool's name: short enough for the names of groups and templates made from it."""


class NodePoolBase(Settings):
    """The common settings of all kinds of pools."""

    kind: str
    """Which kind of pool it is."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """EC2 instance types that the pool may have, the preferred one first; `slipway
    catalog list` lists them. All have one architecture, and one GPU model or none."""
    zones: tuple[Zone, ...] = ()
    """Zones of the nodes; empty: all zones of the network."""
    disk_gib: Annotated[Whole, Field(ge=SMALLEST_DISK_GIB, le=16_384)] = 100
    """Size of the encrypted gp3 root volume, in GiB. Types with NVMe of their own keep
    images and pods' files on that instead."""
    content_gib: Annotated[Whole, Field(ge=1, le=100_000)] = 40
    """Container images and model weights that a node holds at a time, in GiB; the disk
    must have room for them."""
    labels: dict[NodeKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels of the nodes, in addition to the derived ones."""
    taints: tuple[Taint, ...] = ()
    """Taints, in addition to the derived one of GPU nodes."""
    gpu: GpuLayout = GpuLayout()
    """How pods share the GPUs."""
    ami: str | None = None
    """Which image of amis.lock.yaml nodes boot, for example al2023-x86_64-nvidia; none:
    the one for the types' architecture and accelerator."""
    max_pods: Annotated[Whole | None, Field(ge=8, le=737)] = None
    """Maximum number of pods on a node. Default: what the network interfaces allow with
    prefix delegation, up to 110, or 250 above 30 vCPUs."""


class SizedPool(NodePoolBase):
    """A managed node group's bounds."""

    min_nodes: Annotated[Whole, Field(ge=0, le=450)]
    """Nodes that are always there."""
    max_nodes: Annotated[Whole, Field(ge=1, le=450)]
    """Maximum number of nodes; EKS allows up to 450 in one group."""

    def contradictions(self) -> Iterator[Problem]:
        if self.min_nodes > self.max_nodes:
            yield Problem(
                "min_nodes",
                self.min_nodes,
                f"it is more than max_nodes, which is {self.max_nodes}",
                f"give at most {self.max_nodes}, or raise max_nodes",
            )
        yield from super().contradictions()
