"""Checks between the network and the rest of a cluster, before anything is created.

Paths are those of the cluster's settings, such as `network.zones`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from components import catalog
from components.cluster.network import cidr_plan
from components.cluster.network.cidr import NamedRange, overlap
from components.cluster.network.cidr_plan import BLOCK_ADDRESSES, CidrPlan
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.node_demand import NodeDemand
from components.settings import Problem

NETWORK = "network"
FIRST_CNI_WITH_POD_RANGES = (1, 22)
"""Obeys `kubernetes.io/role/cni: "0"` on the subnets of nodes.
https://github.com/aws/amazon-vpc-cni-k8s/releases/tag/v1.22.0"""


def problems(
    network: NetworkSettings,
    *,
    region: str,
    service_cidr: NamedRange,
    cni_version: str,
    others: Iterable[NamedRange] = (),
    demands: Sequence[NodeDemand] = (),
) -> Iterator[Problem]:
    """Zones of another region, ranges that overlap, and too few addresses.

    `cni_version`: of the add-on vpc-cni. `others`: further ranges that must lie outside
    of the VPC, as hybrid nodes' do.
    """
    yield from zone_problems(network, region)
    vpc = network.ranges(NETWORK)
    for one in (service_cidr, *others):
        yield from overlap(one, vpc)
    on_premises = [
        NamedRange(f"{NETWORK}.on_premises_cidrs.{i}", cidr)
        for i, cidr in enumerate(network.on_premises_cidrs)
    ]
    yield from overlap(service_cidr, on_premises)
    yield from pod_range_problems(network, cni_version)
    yield from capacity_problems(network, demands)


def zone_problems(network: NetworkSettings, region: str) -> Iterator[Problem]:
    """Zones that the region does not have."""
    known = catalog.zones(region)
    for index, zone in enumerate(network.zones):
        if known and zone not in known:
            yield Problem(
                path=f"{NETWORK}.zones.{index}",
                value=zone,
                reason=f"{region} has no such zone",
                fix=f"choose from: {', '.join(known)}",
            )


def pod_range_problems(network: NetworkSettings, cni_version: str) -> Iterator[Problem]:
    """An add-on that would give pods the nodes' scarce addresses all the same.

    `cni_version` as EKS writes it: v1.22.4-eksbuild.3.
    """
    minor = cni_version.removeprefix("v").split(".")[:2]
    if network.pod_cidr and tuple(map(int, minor)) < FIRST_CNI_WITH_POD_RANGES:
        yield Problem(
            path=f"{NETWORK}.pod_cidr",
            value=network.pod_cidr,
            reason=f"vpc-cni {cni_version} gives pods addresses from the nodes' "
            "subnets first; only v1.22 and newer obey the tag that forbids it",
            fix="set cluster.addons.vpc-cni.version to v1.22 or newer (`aws eks "
            "describe-addon-versions --addon-name vpc-cni`), or remove pod_cidr",
        )


def capacity_problems(
    network: NetworkSettings, demands: Sequence[NodeDemand]
) -> Iterator[Problem]:
    """Pools that may come to more nodes than their subnets have addresses for.

    Only of a VPC that we make: the sizes of existing subnets only AWS knows, and
    `slipway doctor` asks.
    """
    if not network.makes_vpc:
        return
    plan = cidr_plan.plan(
        network.vpc_cidr, network.zones, network.room_for_zones, network.pod_cidr
    )
    for zone in plan.zones:
        found = _too_small(network, plan, zone, [d for d in demands if zone in d.zones])
        if found:
            yield found
            return  # The other zones' are as large, and lack the same.


def _too_small(
    network: NetworkSettings, plan: CidrPlan, zone: str, demands: Sequence[NodeDemand]
) -> Problem | None:
    own = plan.zones[zone]
    nodes = sum(d.nodes_a_zone for d in demands)
    pods = sum(d.nodes_a_zone * d.pod_addresses for d in demands)
    wanted = {"pod_cidr": pods, "cidr": nodes} if own.pods else {"cidr": pods}
    subnets = {"pod_cidr": own.pod_subnet, "cidr": own.private}
    for setting, addresses in wanted.items():
        subnet = subnets[setting]
        there = cidr_plan.blocks(subnet) * BLOCK_ADDRESSES
        if addresses <= there:
            continue
        largest = max(demands, key=lambda d: d.nodes_a_zone * d.pod_addresses)
        return Problem(
            path=f"{NETWORK}.{setting}",
            value=getattr(network, setting),
            reason=f"the pools may grow to {nodes} nodes in {zone}, which need "
            f"{addresses} addresses with prefix delegation, but {subnet} has {there}",
            fix=_more_room(setting, network, largest),
        )
    return None


def _more_room(setting: str, network: NetworkSettings, largest: NodeDemand) -> str:
    fewer = f"lower the bounds or max_pods of {largest.path}, which needs the most"
    prefix = (network.pod_cidr if setting == "pod_cidr" else network.vpc_cidr) or ""
    if not prefix.endswith(f"/{cidr_plan.LARGEST_VPC}"):
        return f"give a larger range (to /{cidr_plan.LARGEST_VPC}), or {fewer}"
    if network.pod_cidr is None:
        return f"add pod_cidr: 100.64.0.0/16, or {fewer}"
    return fewer
