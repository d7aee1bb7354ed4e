"""The size of a node by its instance type, from the catalogue."""

from __future__ import annotations

from decimal import Decimal

from components import catalog
from components.cluster import node_capacity
from slipway.doctor.pending import NodeSize

_MIB = 2**20
EVICTION_MIB = 100
"""The kubelet's default for memory.available, below which it evicts pods.
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"""
VM_OVERHEAD = Decimal("0.075")
"""Share of the memory that Karpenter counts as the hypervisor's and the kernel's: its
setting vmMemoryOverheadPercent by default.
https://karpenter.sh/docs/reference/settings/"""


def of_type(name: str) -> NodeSize | None:
    """What a node of this type has and what pods may ask for, as Karpenter counts it.

    None where the catalogue has no such type.
    """
    try:
        found = catalog.instance_type(name)
    except catalog.UnknownInstanceTypeError:
        return None
    pods = node_capacity.default_pods(found)
    memory = Decimal(found.memory) * (1 - VM_OVERHEAD)
    capacity = {
        "cpu": Decimal(found.vcpus),
        "memory": memory * _MIB,
        "pods": Decimal(pods),
    }
    if found.gpu:
        capacity["nvidia.com/gpu"] = Decimal(node_capacity.devices(found))
    if found.neuron:
        capacity["aws.amazon.com/neuron"] = Decimal(node_capacity.devices(found))
    kept_millicores = node_capacity.reserved_cpu_millicores(found.vcpus)
    kept_mib = node_capacity.reserved_memory_mib(pods) + EVICTION_MIB
    allocatable = {
        **capacity,
        "cpu": capacity["cpu"] - Decimal(kept_millicores) / 1000,
        "memory": capacity["memory"] - kept_mib * _MIB,
    }
    return NodeSize(capacity, allocatable)
