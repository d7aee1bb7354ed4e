"""Maximum nodes of each type in a pool, for costs, quotas and subnets."""

from __future__ import annotations

from dataclasses import dataclass

from components import catalog
from components.cluster.nodes import node_capacity
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool


@dataclass(frozen=True)
class Reach:
    """The maximum of one type in a pool, if it has no other."""

    instance_type: str
    nodes_min: int
    """Always there; of a group of several types only the first is counted on."""
    nodes_max: int
    capacity: tuple[str, ...]
    """Capacity types of its nodes in order of preference: reserved, capacity-block,
    spot or on-demand."""


def reach(pool: NodePoolBase) -> list[Reach]:
    """One for each of the pool's types, in the pool's order.

    A pool may mix its types, and its bounds hold for all of them together: its ceiling
    is the largest of them, not the sum.
    """
    if isinstance(pool, ElasticPool):
        return [
            Reach(name, 0, most_nodes(pool, name), pool.capacity)
            for name in pool.instance_types
        ]
    if not isinstance(pool, SystemPool | ReservedPool):
        raise TypeError(f"{type(pool).__name__} is not a kind of pool")
    capacity = ("on-demand",)
    if isinstance(pool, ReservedPool) and pool.reservation:
        block = pool.reservation.kind == "capacity_block"
        capacity = ("capacity-block",) if block else ("reserved",)
    return [
        Reach(name, 0 if index else pool.min_nodes, pool.max_nodes, capacity)
        for index, name in enumerate(pool.instance_types)
    ]


def most_nodes(pool: ElasticPool, name: str) -> int:
    """Nodes of this type that the pool's limit admits, if it has no others."""
    if pool.max_nodes is not None:
        return pool.max_nodes
    devices = node_capacity.devices(catalog.instance_type(name))
    return (pool.max_gpus or 0) // devices if devices else 0
