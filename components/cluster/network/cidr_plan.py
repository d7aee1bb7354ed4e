"""The address plan of each zone's subnets: calculated, and never changed later.

All sizes in a VPC of /p follow from p and the number of supported zones (3 or 6), not
from the number of zones in use: adding a zone at the end of the list moves no existing
subnet. For p = 16:

    room   private (nodes, pods)   public (load balancers, NAT)   intra (control plane)
    3      quarters 1 to 3: /18    8 of /22 in the 7th eighth     8 of /22 in the 8th
    6      eighths 1 to 6: /19     the same                       the same

Private subnets are large because vpc-cni gives each node whole blocks of 16 addresses
(/28, prefix delegation), aligned ones:
https://docs.aws.amazon.com/eks/latest/best-practices/prefix-mode-linux.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

LARGEST_VPC = 16
"""AWS takes VPCs and subnets from /16 to /28.
https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html"""
SMALLEST_VPC = 21
"""Gives public subnets of /27, the least that an Application Load Balancer takes.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html"""
SMALLEST_POD_RANGE = 22
BLOCK = 28
"""A prefix that vpc-cni gives to a node."""
BLOCK_ADDRESSES = 16
UNUSABLE_BLOCKS = 3
"""Of each subnet: the first and the last block hold the five addresses that AWS keeps,
and one is left to load balancers and endpoints of others."""
WARM_BLOCKS = 1
"""Blocks that vpc-cni holds ready on a node beyond need (WARM_PREFIX_TARGET)."""
USUAL_MAX_PODS = 110
"""Kubernetes' own advice for a node, and EKS's limit below 30 vCPUs."""


@dataclass(frozen=True)
class ZonePlan:
    """The subnets of one zone."""

    private: IPv4Network
    public: IPv4Network
    intra: IPv4Network
    pods: IPv4Network | None = None
    """In the VPC's second range, if it has one."""

    @property
    def pod_subnet(self) -> IPv4Network:
        """Return the subnet from which pods get their addresses."""
        return self.pods or self.private


@dataclass(frozen=True)
class CidrPlan:
    """The subnets of a VPC."""

    vpc: IPv4Network
    zones: Mapping[str, ZonePlan]


def plan(
    vpc: str, zones: Sequence[str], room_for_zones: int = 3, pod_cidr: str | None = None
) -> CidrPlan:
    """The subnets of each zone, in the order of the zones.

    `vpc` is /16 to /21, `pod_cidr` /16 to /22; not more zones than there is room for.
    """
    if len(zones) > room_for_zones:
        raise ValueError(f"{len(zones)} zones, and there is room for {room_for_zones}")
    whole = IPv4Network(vpc)
    # One share more than zones is needed; shares are powers of two.
    bits = math.ceil(math.log2(room_for_zones + 1))
    private = list(whole.subnets(prefixlen_diff=bits))
    *_, public_part, intra_part = whole.subnets(prefixlen_diff=3)
    public = list(public_part.subnets(prefixlen_diff=3))
    intra = list(intra_part.subnets(prefixlen_diff=3))
    pods: list[IPv4Network | None] = [None] * len(zones)
    if pod_cidr:
        pods = list(IPv4Network(pod_cidr).subnets(prefixlen_diff=bits))
    return CidrPlan(
        vpc=whole,
        zones={
            zone: ZonePlan(private[i], public[i], intra[i], pods[i])
            for i, zone in enumerate(zones)
        },
    )


def blocks(subnet: IPv4Network) -> int:
    """Blocks of 16 addresses that nodes can get in the subnet."""
    whole: int = 1 << max(0, BLOCK - subnet.prefixlen)
    return max(0, whole - UNUSABLE_BLOCKS)


def blocks_per_node(max_pods: int) -> int:
    """Blocks that a node with this many pods holds."""
    return math.ceil(max_pods / BLOCK_ADDRESSES) + WARM_BLOCKS


def pod_addresses(max_pods: int) -> int:
    """Addresses that a node takes in the subnet of its pods.

    Its blocks, and that of the interface they are on; all but small types have room for
    them on one, and the few addresses of a second are not counted.
    """
    return blocks_per_node(max_pods) * BLOCK_ADDRESSES + 1


def node_capacity(plan: CidrPlan, zone: str, max_pods: int = USUAL_MAX_PODS) -> int:
    """Nodes with this many pods each for which the zone has addresses."""
    zone_plan = plan.zones[zone]
    there = blocks(zone_plan.pod_subnet) * BLOCK_ADDRESSES
    nodes = there // pod_addresses(max_pods)
    if zone_plan.pods:
        # Their first interface, which then has no pods, stays in the private subnet.
        nodes = min(nodes, blocks(zone_plan.private) * BLOCK_ADDRESSES)
    return nodes


def pod_capacity(plan: CidrPlan, zone: str, max_pods: int = USUAL_MAX_PODS) -> int:
    """Pods for which the zone has addresses, with this many on each node."""
    return node_capacity(plan, zone, max_pods) * max_pods
