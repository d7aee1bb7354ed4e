"""What cannot work in an elastic pool: the capacity ladder, limits, consolidation."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from components.catalog import InstanceType
from components.cluster import node_capacity
from components.cluster.pool_checks import Problems, known_types, listed
from components.settings import ABSENT, Problem

if TYPE_CHECKING:
    from components.cluster.node_pool_settings import ElasticPool

LADDER = ("reserved", "spot", "on-demand")
"""The order in which Karpenter takes what a NodePool allows, cheapest first.
https://karpenter.sh/docs/concepts/nodepools/#capacity-type"""


def problems(pool: ElasticPool) -> Problems:
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
            f"a model may load for model_load_seconds = {pool.model_load_seconds} s, "
            "and its node would be removed before",
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
            "Karpenter takes reserved, then spot, then on-demand, each once; no other "
            "order can be had in one pool",
            f"give [{', '.join(order)}]",
        )
    if "reserved" in ladder and not pool.reservations:
        yield Problem(
            "reservations",
            ABSENT,
            "capacity has reserved, and no reservation is named",
            "give the ids (cr-...), or remove reserved from capacity",
        )
    if pool.reservations and "reserved" not in ladder:
        yield Problem(
            "reservations",
            list(pool.reservations),
            f"capacity is {', '.join(ladder)}, which draws on no reservation",
            "add reserved to capacity as the first, or remove them",
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
            "without a limit, waiting pods buy nodes without end",
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
            f"it is no whole number of nodes (GPUs of each: {nodes})",
            f"give {below} or {above}" if below else f"give {above}",
        )
