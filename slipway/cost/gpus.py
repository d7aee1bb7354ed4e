"""Number of GPUs that a node pool has, and may have."""

from __future__ import annotations

from components import catalog
from components.cluster.nodes import node_capacity
from components.cluster.nodes.node_pool_base import NodePoolBase
from components.cluster.nodes.pool_reach import reach


def gpus(pool: NodePoolBase) -> tuple[int, int]:
    """Return the permanent and the maximum number; a pool mixes types within limits."""
    found = [
        (r, node_capacity.devices(catalog.instance_type(r.instance_type)))
        for r in reach(pool)
    ]
    return (
        sum(r.nodes_min * devices for r, devices in found),
        max(r.nodes_max * devices for r, devices in found),
    )
