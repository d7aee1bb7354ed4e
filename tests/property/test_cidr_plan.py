"""Whatever VPC the settings accept, its plan of addresses holds what it promises."""

from __future__ import annotations

import itertools
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from components.cluster.network import cidr_plan
from components.cluster.network.cidr import PRIVATE
from components.cluster.network.cidr_plan import CidrPlan
from components.cluster.network.network_settings import NetworkSettings
from components.settings import parse

Draw = Any
REGION = "us-east-1"
SMALLEST_SUBNET = 28
SMALLEST_PUBLIC = 27
PODS_A_NODE = st.integers(8, 737)


@st.composite
def ranges(
    draw: Draw, within: tuple[IPv4Network, ...], shortest: int, longest: int
) -> str:
    """A range of that size somewhere in one of the networks."""
    prefix = draw(st.integers(shortest, longest))
    outer = draw(st.sampled_from(within))
    number = draw(st.integers(0, 2 ** (prefix - outer.prefixlen) - 1))
    first = int(outer.network_address) + (number << (32 - prefix))
    return str(IPv4Network((first, prefix)))


@st.composite
def networks(draw: Draw) -> NetworkSettings:
    """Settings of a new VPC that are accepted."""
    room = draw(st.sampled_from([3, 6]))
    count = draw(st.integers(2, room))
    letters = draw(st.permutations("abcdef"))[:count]
    config = {
        "zones": [f"{REGION}{letter}" for letter in letters],
        "room_for_zones": room,
        "cidr": draw(ranges(PRIVATE, 16, 21)),
        "pod_cidr": draw(st.none() | ranges(PRIVATE[3:], 16, 22)),
    }
    if config["pod_cidr"]:
        pods, vpc = IPv4Network(config["pod_cidr"]), IPv4Network(config["cidr"])
        assume(not pods.overlaps(vpc))
    return parse(NetworkSettings, config, "test")


def planned(network: NetworkSettings) -> CidrPlan:
    return cidr_plan.plan(
        network.vpc_cidr, network.zones, network.room_for_zones, network.pod_cidr
    )


def subnets(plan: CidrPlan) -> list[IPv4Network]:
    return [
        subnet
        for zone in plan.zones.values()
        for subnet in (zone.private, zone.public, zone.intra, zone.pods)
        if subnet
    ]


@given(networks())
def test_no_two_subnets_share_an_address(network: NetworkSettings) -> None:
    found = subnets(planned(network))
    kinds = 4 if network.pod_cidr else 3
    assert len(found) == kinds * len(network.zones)
    for one, other in itertools.combinations(found, 2):
        assert not one.overlaps(other), (one, other)


@given(networks())
def test_every_subnet_lies_in_a_range_of_the_vpc(network: NetworkSettings) -> None:
    for zone in planned(network).zones.values():
        for subnet in (zone.private, zone.public, zone.intra):
            assert subnet.subnet_of(IPv4Network(network.vpc_cidr))
        if network.pod_cidr:
            assert zone.pods
            assert zone.pods.subnet_of(IPv4Network(network.pod_cidr))
        else:
            assert zone.pods is None


@given(networks())
def test_every_subnet_has_a_size_that_aws_takes(network: NetworkSettings) -> None:
    for zone in planned(network).zones.values():
        for subnet in (zone.private, zone.public, zone.intra, zone.pods):
            assert subnet is None or 16 <= subnet.prefixlen <= SMALLEST_SUBNET
        assert zone.public.prefixlen <= SMALLEST_PUBLIC


@given(networks())
def test_the_plan_is_the_same_each_time(network: NetworkSettings) -> None:
    assert planned(network) == planned(network)


@given(networks(), st.data())
def test_a_zone_added_at_the_end_moves_nothing(
    network: NetworkSettings, data: st.DataObject
) -> None:
    whole = planned(network).zones
    fewer = data.draw(st.integers(2, len(network.zones)))
    less = network.model_copy(update={"zones": network.zones[:fewer]})
    for zone, plan in planned(less).zones.items():
        assert plan == whole[zone]


@given(networks(), PODS_A_NODE)
def test_the_nodes_counted_on_can_really_be_placed(
    network: NetworkSettings, max_pods: int
) -> None:
    """Takes addresses as vpc-cni and EC2 do, one node after another."""
    plan = planned(network)
    zone = network.zones[0]
    own = plan.zones[zone]
    nodes = cidr_plan.node_capacity(plan, zone, max_pods)
    blocks = [*own.pod_subnet.subnets(new_prefix=cidr_plan.BLOCK)]
    free = blocks[1:-1]  # the first and the last have addresses that AWS keeps
    # Interfaces' own addresses, packed into blocks that pods then cannot have.
    needed = nodes * cidr_plan.blocks_per_node(max_pods)
    needed += -(-nodes // cidr_plan.BLOCK_ADDRESSES)
    if own.pods is not None:
        assert nodes <= own.private.num_addresses - 5
    assert needed <= len(free)
    assert cidr_plan.pod_capacity(plan, zone, max_pods) == nodes * max_pods


@given(ranges(PRIVATE, 16, 28))
def test_blocks_hold_none_of_the_addresses_that_aws_keeps(subnet: str) -> None:
    network = IPv4Network(subnet)
    kept = [network[i] for i in (0, 1, 2, 3, -1)]
    whole = list(network.subnets(new_prefix=cidr_plan.BLOCK))
    free = [b for b in whole if not any(IPv4Address(k) in b for k in kept)]
    assert cidr_plan.blocks(network) <= len(free)
