"""How many nodes and pods the pools may come to, as subnets see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components import catalog
from components.cluster import cidr_plan, node_capacity
from components.cluster.cidr_plan import BLOCK_ADDRESSES
from components.cluster.node_pool_settings import NodePoolBase
from components.cluster.pool_reach import reach


@dataclass(frozen=True)
class NodeDemand:
    """Nodes that a pool may come to, as its subnets see them."""

    path: str
    """Of the pool, for example pools.gpu."""
    nodes: int
    max_pods: int
    """Most pods of one node."""
    zones: tuple[str, ...]
    """Where nodes may be; counted as spread evenly over them."""

    @property
    def nodes_a_zone(self) -> int:
        """In the fullest zone."""
        return math.ceil(self.nodes / len(self.zones))

    @property
    def pod_addresses(self) -> int:
        """What vpc-cni takes for one node's pods: whole blocks, one of them ready."""
        return cidr_plan.blocks_per_node(self.max_pods) * BLOCK_ADDRESSES


def of_pools(
    pools: Mapping[str, NodePoolBase], zones: Sequence[str]
) -> Iterator[NodeDemand]:
    """What each pool may come to, of the type that takes most addresses.

    `zones`: those of pools that name none. Types that the catalogue does not know are
    left out: they are refused where they stand.
    """
    for name, pool in pools.items():
        known = catalog.instance_types()
        demands = [
            NodeDemand(
                path=f"pools.{name}",
                nodes=one.nodes_max,
                max_pods=pool.max_pods
                or node_capacity.default_pods(known[one.instance_type]),
                zones=tuple(pool.zones or zones),
            )
            for one in reach(pool)
            if one.instance_type in known
        ]
        if demands:
            yield max(demands, key=lambda d: d.nodes * d.pod_addresses)
