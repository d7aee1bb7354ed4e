"""Capacity of a node by type: pods, devices, disk, and the kubelet's reservations."""

from __future__ import annotations

import math
from decimal import Decimal

from components.catalog import InstanceType
from components.cluster.nodes import amis, node_daemons

ADDRESSES_PER_PREFIX = 16
"""A /28 in each slot of an interface, which the add-on vpc-cni hands to pods.
https://docs.aws.amazon.com/eks/latest/userguide/cni-increase-ip-addresses.html"""
HOST_NETWORK_PODS = 2
"""aws-node and kube-proxy, which take no address; as in AWS's max-pods-calculator.sh.
https://github.com/awslabs/amazon-eks-ami/blob/main/templates/al2/runtime/max-pods-calculator.sh"""
PODS_OF_SMALL, PODS_OF_LARGE = 110, 250
LARGE_ABOVE_VCPUS = 30
"""The same script limits pods to 110 up to 30 vCPUs and to 250 above."""
NODEFS_FREE_PERCENT = 10
"""Free share of a node's disk below which the kubelet evicts pods."""
IMAGE_GC_PERCENT = 85
"""The kubelet's imageGCHighThresholdPercent: from there on it deletes images.
https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/"""
SYSTEM_GIB = 10
"""Operating system, drivers and logs on the root volume, rounded up."""
EVICTION_MIB = 100
"""The kubelet's default for memory.available, below which it evicts pods.
https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/"""
VM_OVERHEAD = Decimal("0.075")
"""Share of the memory that Karpenter counts as the hypervisor's and the kernel's: its
setting vmMemoryOverheadPercent by default.
https://karpenter.sh/docs/reference/settings/"""
_GB = 10**9
_GIB = 2**30


def devices(t: InstanceType) -> int:
    """GPUs, or Neuron devices, of one node; a part of a GPU counts as one."""
    if t.gpu:
        return t.gpu.count
    return t.neuron.count if t.neuron else 0


def accelerator(t: InstanceType) -> str | None:
    """The accelerator's model, or none."""
    if t.gpu:
        return t.gpu.model
    return t.neuron.model if t.neuron else None


def driver_kind(t: InstanceType) -> amis.Accelerator:
    """Return the kind of driver that the type needs."""
    if t.gpu:
        return "nvidia"
    return "neuron" if t.neuron else "none"


def ami_key(t: InstanceType) -> str:
    """The image that fits the type."""
    return amis.key_for(t.architecture, driver_kind(t))


def admitted_pods(t: InstanceType) -> int:
    """Most pods by network interfaces with prefix delegation.

    The first address of each interface is its own.
    """
    slots = t.max_interfaces * (t.addresses_per_interface - 1)
    return slots * ADDRESSES_PER_PREFIX + HOST_NETWORK_PODS


def default_pods(t: InstanceType) -> int:
    """Default number of pods of a node."""
    cap = PODS_OF_LARGE if t.vcpus > LARGE_ABOVE_VCPUS else PODS_OF_SMALL
    return min(cap, admitted_pods(t))


def nvme_gib(t: InstanceType) -> int:
    """All local NVMe as one RAID 0, in GiB; 0 without."""
    if t.local_nvme is None:
        return 0
    return t.local_nvme.count * t.local_nvme.size_gb * _GB // _GIB


def content_gib(t: InstanceType, disk_gib: int) -> int:
    """Room for images and weights below the mark of image deletion, in GiB."""
    if nvme := nvme_gib(t):
        return nvme * IMAGE_GC_PERCENT // 100
    return max(0, disk_gib * IMAGE_GC_PERCENT // 100 - SYSTEM_GIB)


def pod_disk_mib(t: InstanceType, disk_gib: int, content: int) -> int:
    """What all pods of a node may use of its disk beside images and weights, in MiB.

    content: images and weights, in GiB. The kubelet evicts pods from 90 % on.
    https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
    """
    whole = nvme_gib(t) or disk_gib - SYSTEM_GIB
    return max(0, whole * 1024 * (100 - NODEFS_FREE_PERCENT) // 100 - content * 1024)


def disk_for(content: int) -> int:
    """The root volume that has room for this much, in GiB."""
    return math.ceil((content + SYSTEM_GIB) * 100 / IMAGE_GC_PERCENT)


def reserved_cpu_millicores(vcpus: int) -> int:
    """CPU for kubelet and container runtime, as nodeadm counts it.

    6 % of the first core, 1 % of the second, 0.5 % of the next two, 0.25 % of the rest.
    https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/config.go
    """
    shares = ((1, 60.0), (1, 10.0), (2, 5.0), (vcpus, 2.5))
    left, total = vcpus, 0.0
    for cores, millicores in shares:
        taken = min(left, cores)
        total += taken * millicores
        left -= taken
    return int(total)


def reserved_memory_mib(pods: int) -> int:
    """Memory for kubelet and container runtime: 11 MiB a pod and 255 MiB.

    https://github.com/awslabs/amazon-eks-ami/blob/main/nodeadm/internal/kubelet/config.go
    """
    return 11 * pods + 255


def usable_memory_mib(t: InstanceType) -> int:
    """Memory of a node as Karpenter counts it, in MiB.

    Less what the hypervisor and the kernel take, which is known for certain only once a
    node of the type has started.
    """
    return int(t.memory * (1 - VM_OVERHEAD))


def allocatable_cpu_millicores(t: InstanceType) -> int:
    """CPU that all pods of a node may ask for together, DaemonSets' among them."""
    return 1000 * t.vcpus - reserved_cpu_millicores(t.vcpus)


def allocatable_memory_mib(t: InstanceType) -> int:
    """Memory that all pods of a node may ask for together, DaemonSets' among them."""
    kept = reserved_memory_mib(default_pods(t)) + EVICTION_MIB
    return usable_memory_mib(t) - kept


def pod_cpu_millicores(t: InstanceType) -> int:
    """CPU that pods beside the DaemonSets' may ask for together."""
    return allocatable_cpu_millicores(t) - node_daemons.cpu_millicores(t)


def pod_memory_mib(t: InstanceType) -> int:
    """Memory that pods beside the DaemonSets' may ask for together."""
    return allocatable_memory_mib(t) - node_daemons.memory_mib(t)
