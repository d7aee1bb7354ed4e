"""The size of a node by its instance type, from the catalogue."""

from __future__ import annotations

from decimal import Decimal

from components import catalog
from components.cluster.nodes import node_capacity
from slipway.doctor.pending import NodeSize

_MIB = 2**20


def of_type(name: str) -> NodeSize | None:
    """What a node of this type has and what pods may ask for, as Karpenter counts it.

    None where the catalogue has no such type.
    """
    try:
        found = catalog.instance_type(name)
    except catalog.UnknownInstanceTypeError:
        return None
    pods = node_capacity.default_pods(found)
    capacity = {
        "cpu": Decimal(found.vcpus),
        "memory": Decimal(node_capacity.usable_memory_mib(found) * _MIB),
        "pods": Decimal(pods),
    }
    if found.gpu:
        capacity["nvidia.com/gpu"] = Decimal(node_capacity.devices(found))
    if found.neuron:
        capacity["aws.amazon.com/neuron"] = Decimal(node_capacity.devices(found))
    allocatable = {
        **capacity,
        "cpu": Decimal(node_capacity.allocatable_cpu_millicores(found)) / 1000,
        "memory": Decimal(node_capacity.allocatable_memory_mib(found) * _MIB),
    }
    return NodeSize(capacity, allocatable)
