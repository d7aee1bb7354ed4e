"""What can be said about a pool of nodes: three kinds, told apart by `kind`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.cluster import elastic_checks, pool_checks, reserved_checks
from components.cluster.gpu_layout import GpuLayout
from components.cluster.network_settings import Zone
from components.cluster.reservation import Reservation, ReservationId
from components.cluster.taint import NodeKey, NodeValue, Taint
from components.setting_types import DnsLabel, Whole
from components.settings import Problem, Settings

Capacity = Literal["reserved", "spot", "on-demand"]
LEAST_CONSOLIDATE_SECONDS = 300
SMALLEST_DISK_GIB = 20
"""The AMIs' own root volume."""

PoolName = Annotated[DnsLabel, Field(max_length=32)]
"""A pool's name: short enough for the names of groups and templates made from it."""


class NodePoolBase(Settings):
    """What all kinds of pools have."""

    kind: str
    """Which kind of pool it is."""
    instance_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """EC2 instance types that the pool may have, the preferred one first; `slipway
    catalog list` knows them. All have one architecture, and one GPU model or none."""
    zones: tuple[Zone, ...] = ()
    """The zones that nodes may be in; empty: all of the network."""
    disk_gib: Annotated[Whole, Field(ge=SMALLEST_DISK_GIB, le=16_384)] = 100
    """Size of the encrypted gp3 root volume, in GiB. Types with NVMe of their own keep
    images and pods' files on that instead."""
    content_gib: Annotated[Whole, Field(ge=1, le=100_000)] = 40
    """Container images and model weights that a node holds at a time, in GiB; the disk
    must have room for them."""
    labels: dict[NodeKey, NodeValue] = Field(default={}, validate_default=True)
    """Labels of the nodes, beside the derived ones."""
    taints: tuple[Taint, ...] = ()
    """Taints beside the derived one of GPU nodes."""
    gpu: GpuLayout = GpuLayout()
    """How the GPUs are handed to pods."""
    ami: str | None = None
    """Which image of amis.lock.yaml nodes boot, for example al2023-x86_64-nvidia; none:
    the one for the types' architecture and accelerator."""
    max_pods: Annotated[Whole | None, Field(ge=8, le=737)] = None
    """Most pods of a node; none: what the network interfaces admit with prefixes, up to
    110, or 250 above 30 vCPUs."""

    def contradictions(self) -> Iterator[Problem]:
        """What the catalogue says cannot work."""
        yield from pool_checks.problems(self)


class _Sized(NodePoolBase):
    """A managed node group's bounds."""

    min_nodes: Annotated[Whole, Field(ge=0, le=450)]
    """Nodes that are always there."""
    max_nodes: Annotated[Whole, Field(ge=1, le=450)]
    """Nodes that there may be; EKS takes up to 450 in one group."""

    def contradictions(self) -> Iterator[Problem]:
        if self.min_nodes > self.max_nodes:
            yield Problem(
                "min_nodes",
                self.min_nodes,
                f"it is more than max_nodes, which is {self.max_nodes}",
                f"give at most {self.max_nodes}, or raise max_nodes",
            )
        yield from super().contradictions()


class SystemPool(_Sized):
    """A managed group without accelerators, for what every cluster runs."""

    kind: Literal["system"]
    """A managed node group for cluster services; it has no taint."""
    min_nodes: Annotated[Whole, Field(ge=1, le=450)] = 2
    """Nodes that are always there: Karpenter itself runs on them."""
    max_nodes: Annotated[Whole, Field(ge=1, le=450)] = 4
    """Nodes that there may be, also while an update replaces some."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from pool_checks.accelerators_of_system(self)


class ReservedPool(_Sized):
    """A managed group that stays, on capacity that was reserved where there is some."""

    kind: Literal["reserved"]
    """A managed node group that keeps its size, on reserved capacity."""
    reservation: Reservation | None = None
    """The reservation or capacity block that all nodes come from; none: plain on-demand
    instances that are always there."""
    efa: bool | None = None
    """Whether nodes get the Elastic Fabric Adapters of their type; none: where the type
    has several and the pool may have several nodes."""
    placement_group: bool | None = None
    """Whether nodes stand close together in a cluster placement group of their own;
    none: with EFA, in one zone and without a reservation."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from reserved_checks.problems(self)


class ElasticPool(NodePoolBase):
    """Nodes that Karpenter makes when pods wait for them and takes away afterwards."""

    kind: Literal["elastic"]
    """Nodes made on demand by Karpenter, from none."""
    capacity: Annotated[tuple[Capacity, ...], Field(min_length=1)] = (
        "spot",
        "on-demand",
    )
    """What nodes may be bought as; Karpenter takes reserved, then spot, then
    on-demand, and the next where there is none."""
    reservations: tuple[ReservationId, ...] = ()
    """The on-demand capacity reservations that `reserved` draws on."""
    max_gpus: Annotated[Whole | None, Field(ge=1, le=100_000)] = None
    """GPUs (of Neuron types: devices) that the pool may have in all; required where the
    types have some. A whole number of nodes of each type."""
    max_nodes: Annotated[Whole | None, Field(ge=1, le=5000)] = None
    """Nodes that the pool may have; required where the types have no accelerators."""
    model_load_seconds: Annotated[Whole, Field(ge=0, le=7200)] = 300
    """Longest time that a model takes from its pod's start until it answers."""
    consolidate_after_seconds: Annotated[Whole | None, Field(ge=0, le=86_400)] = None
    """How long a node must have been without a pod coming or going before it may be
    removed; none: model_load_seconds, and 300 at least."""
    consolidation: Literal["when_empty", "when_underutilized"] | None = None
    """Whether only empty nodes are removed, or pods also moved together; none: empty
    ones where there are GPUs, since each move loads a model anew."""
    expire_after_hours: Annotated[Whole, Field(ge=1, le=8760)] = 336
    """Age at which a node is replaced."""
    termination_grace_seconds: Annotated[Whole, Field(ge=60, le=172_800)] = 3600
    """Longest drain of a node that is replaced; then pods are deleted."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from elastic_checks.problems(self)

    @property
    def settle_seconds(self) -> int:
        """Consolidation's wait, given or derived."""
        if self.consolidate_after_seconds is not None:
            return self.consolidate_after_seconds
        return max(self.model_load_seconds, LEAST_CONSOLIDATE_SECONDS)


NodePool = Annotated[
    SystemPool | ReservedPool | ElasticPool, Field(discriminator="kind")
]
"""A pool of any kind."""
