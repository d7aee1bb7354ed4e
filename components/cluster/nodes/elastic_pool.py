"""Node pools that Karpenter scales from zero, and checks of their settings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from components.catalog import InstanceType
from components.cluster.nodes import node_capacity, pool_checks
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_checks import Problems, known_types, listed
from components.cluster.nodes.reservation import ReservationId
from components.setting_types import Whole
from components.settings import ABSENT, Problem

Capacity = Literal["reserved", "spot", "on-demand"]
LEAST_CONSOLIDATE_SECONDS = 300
LADDER = ("reserved", "spot", "on-demand")
"""The order in which Karpenter takes what a NodePool allows, cheapest first.
https://karpenter.sh/docs/concepts/nodepools/#capacity-type"""


class ElasticPool(NodePoolBase):
    """Nodes that Karpenter makes when pods wait for them and takes away afterwards."""

    kind: Literal["elastic"]
    """Nodes that Karpenter creates on demand, starting from zero."""
    capacity: Annotated[tuple[Capacity, ...], Field(min_length=1)] = (
        "spot",
        "on-demand",
    )
    """Purchase options of the nodes. Karpenter tries reserved, then spot, then
    on-demand."""
    reservations: tuple[ReservationId, ...] = ()
    """The on-demand capacity reservations that `reserved` draws on."""
    max_gpus: Annotated[Whole | None, Field(ge=1, le=100_000)] = None
    """Maximum number of GPUs (Neuron: devices) in the pool, a whole number of nodes of
    each type. Required if the types have GPUs."""
    max_nodes: Annotated[Whole | None, Field(ge=1, le=5000)] = None
    """Maximum number of nodes in the pool. Required if the types have no
    accelerators."""
    model_load_seconds: Annotated[Whole, Field(ge=0, le=7200)] = 300
    """Longest time from the start of a model's pod until it is ready."""
    consolidate_after_seconds: Annotated[Whole | None, Field(ge=0, le=86_400)] = None
    """How long a node must be without changes of its pods before it may be removed.
    Default: model_load_seconds, at least 300."""
    consolidation: Literal["when_empty", "when_underutilized"] | None = None
    """Whether only empty nodes are removed, or pods are also moved to fewer nodes.
    Default: only empty nodes if they have GPUs, because a moved model must load
    again."""
    expire_after_hours: Annotated[Whole, Field(ge=1, le=8760)] = 336
    """Age at which a node is replaced."""
    termination_grace_seconds: Annotated[Whole, Field(ge=60, le=172_800)] = 3600
    """Longest drain of a node that is replaced; then pods are deleted."""

    def contradictions(self) -> Iterator[Problem]:
        yield from super().contradictions()
        yield from pool_checks.problems(self)
        yield from _problems(self)

    @property
    def settle_seconds(self) -> int:
        """Consolidation's wait, given or derived."""
        if self.consolidate_after_seconds is not None:
            return self.consolidate_after_seconds
        return max(self.model_load_seconds, LEAST_CONSOLIDATE_SECONDS)


def _problems(pool: ElasticPool) -> Problems:
    """The capacity ladder, the limits, and consolidation."""
    types = known_types(pool)
    yield from _parts(types)
    yield from _ladder(pool, types)
    if types:
        yield from _limit(pool, types)
    if pool.settle_seconds < pool.model_load_seconds:
        yield Problem(
            "consolidate_after_seconds",
            pool.consolidate_after_seconds,
            f"a model may take model_load_seconds = {pool.model_load_seconds} s to "
            "load, and its node would be removed before that",
            f"give at least {pool.model_load_seconds}, or lower model_load_seconds",
        )


def _parts(types: list[InstanceType]) -> Problems:
    """Types with a part of a GPU, which Karpenter never launches.

    Its provider for AWS (1.14.1, pkg/providers/instancetype/types.go) sums whole GPUs:
    such a type has none, so no pod that asks for a GPU fits it.
    """
    for t in types:
        if t.gpu and t.gpu.partition < 1:
            yield Problem(
                "instance_types",
                t.name,
                f"it has {t.gpu.partition:g} of a GPU, which Karpenter counts as none: "
                "the pool could never launch it",
                "make the pool's kind reserved, or give a type with a whole GPU "
                "(g6.xlarge)",
            )


def _ladder(pool: ElasticPool, types: list[InstanceType]) -> Problems:
    ladder = list(pool.capacity)
    order = [c for c in LADDER if c in ladder]
    if ladder != order:
        yield Problem(
            "capacity",
            ladder,
            "Karpenter uses reserved, then spot, then on-demand; one pool can neither "
            "change this order nor repeat an entry",
            f"give [{', '.join(order)}]",
        )
    if "reserved" in ladder and not pool.reservations:
        yield Problem(
            "reservations",
            ABSENT,
            "capacity includes reserved, but no reservation is given",
            "give the ids (cr-...), or remove reserved from capacity",
        )
    if pool.reservations and "reserved" not in ladder:
        yield Problem(
            "reservations",
            list(pool.reservations),
            f"capacity is {', '.join(ladder)}, which uses no reservation",
            "add reserved to capacity as the first entry, or remove them",
        )
    for t in types:
        sold = [c for c in ladder if c == "reserved" or c in t.usage_classes]
        for missing in (c for c in ladder if c not in sold):
            yield Problem(
                "capacity",
                ladder,
                f"{t.name} is not sold as {missing}, only as "
                f"{', '.join(t.usage_classes)}",
                f"remove {missing}, or the type",
            )


def _limit(pool: ElasticPool, types: list[InstanceType]) -> Problems:
    counts = {t.name: node_capacity.devices(t) for t in types}
    name, other = ("max_gpus", "max_nodes")
    if not any(counts.values()):
        name, other = other, name
    value, unwanted = getattr(pool, name), getattr(pool, other)
    if unwanted is not None:
        what = "have no GPUs" if other == "max_gpus" else "have GPUs"
        yield Problem(
            other,
            unwanted,
            f"the pool's types {what}",
            f"remove it and give {name}",
        )
    if value is None:
        yield Problem(
            name,
            ABSENT,
            "without a limit, pending pods would add nodes indefinitely",
            f"set {name}",
        )
        return
    if name == "max_nodes":
        return
    step = math.gcd(*counts.values())
    for t, count in counts.items():
        if count > value:
            yield Problem(
                name,
                value,
                f"one {t} has {count}: the pool could never launch it",
                f"give at least {count}, or remove {t}",
            )
            return
    if value % step:
        below, above = value // step * step, (value // step + 1) * step
        nodes = listed(f"{t} {n}" for t, n in counts.items())
        yield Problem(
            name,
            value,
            f"not a whole number of nodes (GPUs per node: {nodes})",
            f"give {below} or {above}" if below else f"give {above}",
        )
