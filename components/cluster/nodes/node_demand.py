"""Number of nodes and pods in the pools at their limits, as subnets see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from components.cluster.network import cidr_plan
from components.cluster.nodes import pool_nodes
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import reach


@dataclass(frozen=True)
class NodeDemand:
    """Nodes that a pool may come to, and the addresses that they take."""

    path: str
    """Path of the pool, for example pools.gpu."""
    nodes: int
    max_pods: int
    """Most pods of one node."""
    zones: tuple[str, ...]
    """Zones of the nodes; counted as spread evenly over them."""

    @property
    def nodes_a_zone(self) -> int:
        """Return the number of nodes in the fullest zone."""
        return math.ceil(self.nodes / len(self.zones))

    @property
    def pod_addresses(self) -> int:
        """Return one node's addresses in the subnet of its pods."""
        return cidr_plan.pod_addresses(self.max_pods)


def of_pools(
    pools: Mapping[str, NodePoolBase], zones: Sequence[str]
) -> Iterator[NodeDemand]:
    """Return the demand of each pool; `zones` are the network's."""
    for name, pool in pools.items():
        yield NodeDemand(
            path=f"pools.{name}",
            nodes=max(one.nodes_max for one in reach(pool)),
            max_pods=pool_nodes.max_pods(pool),
            zones=pool_nodes.zones(pool, tuple(zones)),
        )
