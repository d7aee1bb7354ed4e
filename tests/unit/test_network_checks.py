"""What is refused between the network and the rest of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from components.cluster import network_checks
from components.cluster.network.cidr import NamedRange
from components.cluster.network.network_settings import NetworkSettings
from components.cluster.nodes.elastic_pool import ElasticPool
from components.cluster.nodes.node_demand import NodeDemand, of_pools
from components.cluster.nodes.reserved_pool import ReservedPool
from components.cluster.nodes.system_pool import SystemPool
from components.settings import Problem, parse

ZONES = ("eu-central-1a", "eu-central-1b", "eu-central-1c")
SERVICES = NamedRange("cluster.service_cidr", "172.20.0.0/16")


def network(**config: Any) -> NetworkSettings:
    config = {"zones": ZONES, "cidr": "10.20.0.0/16", **config}
    return parse(NetworkSettings, config, "test")


def found(
    settings: NetworkSettings,
    demands: list[NodeDemand] | None = None,
    service: NamedRange = SERVICES,
    others: tuple[NamedRange, ...] = (),
    cni: str = "v1.22.4-eksbuild.3",
) -> list[Problem]:
    return list(
        network_checks.problems(
            settings,
            region="eu-central-1",
            service_cidr=service,
            cni_version=cni,
            others=others,
            demands=demands or [],
        )
    )


def demand(
    nodes: int, max_pods: int = 110, zones: tuple[str, ...] = ZONES
) -> NodeDemand:
    return NodeDemand("pools.gpu", nodes, max_pods, zones)


def test_a_sound_network_has_no_problem() -> None:
    assert found(network(), [demand(300)]) == []


def test_zones_must_be_of_the_region() -> None:
    zones = ("eu-central-1a", "eu-west-1b", "eu-central-1z")
    problems = found(network(zones=zones))
    assert [p.path for p in problems] == ["network.zones.1", "network.zones.2"]
    assert "eu-central-1a, eu-central-1b, eu-central-1c" in problems[0].fix


@pytest.mark.parametrize(
    ("config", "service"),
    [
        ({}, "10.20.128.0/20"),
        ({"on_premises_cidrs": ["172.20.5.0/24"]}, "172.20.0.0/16"),
    ],
    ids=str,
)
def test_services_have_addresses_of_their_own(
    config: dict[str, Any], service: str
) -> None:
    (problem,) = found(network(**config), service=NamedRange("cluster.x", service))
    assert problem.path == "cluster.x"
    assert problem.value == service
    assert "network." in problem.reason


def test_hybrid_nodes_stand_outside_of_the_vpc() -> None:
    hybrid = NamedRange("cluster.hybrid_nodes.node_cidrs.0", "10.20.77.0/24")
    (problem,) = found(network(), others=(hybrid,))
    assert problem.path == hybrid.path
    assert "network.cidr, which is 10.20.0.0/16" in problem.reason


def test_every_range_of_an_existing_vpc_is_looked_at() -> None:
    subnets = {zone: f"subnet-0000000{i}" for i, zone in enumerate(ZONES)}
    existing = {
        "id": "vpc-01234567",
        "cidr": "10.9.0.0/16",
        "secondary_cidrs": ["172.20.0.0/18"],
        "private_subnets": subnets,
    }
    settings = parse(NetworkSettings, {"zones": ZONES, "existing": existing}, "test")
    (problem,) = found(settings, [demand(100_000)])
    assert problem.path == "cluster.service_cidr"
    assert "network.existing.secondary_cidrs.0" in problem.reason


def test_the_last_node_that_has_addresses_is_taken_and_the_next_refused() -> None:
    # /18: 1024 blocks less 3; a node of 110 pods takes 7 + 1 blocks and an address:
    # 129 of 16,336 addresses, so 126 nodes in each zone.
    assert found(network(), [demand(3 * 126)]) == []
    (problem,) = found(network(), [demand(3 * 126 + 1)])
    assert problem.path == "network.cidr"
    assert "127 nodes in eu-central-1a" in problem.reason
    assert "16383 addresses" in problem.reason
    assert "10.20.0.0/18 has 16336" in problem.reason
    assert "pod_cidr: 100.64.0.0/16" in problem.fix
    assert "pools.gpu" in problem.fix


def test_pools_share_their_zones_addresses() -> None:
    assert found(network(), [demand(300)]) == []
    assert found(network(), [demand(300), demand(300)]) != []
    # In a zone of its own each fits.
    alone = [demand(100, zones=(zone,)) for zone in ZONES]
    assert found(network(), alone) == []
    assert found(network(), [demand(300, zones=ZONES[:1])]) != []


def test_a_second_range_takes_the_pods_off_the_first() -> None:
    settings = network(cidr="10.20.0.0/20", pod_cidr="100.64.0.0/16")
    assert found(settings, [demand(3 * 126)]) == []
    assert found(network(cidr="10.20.0.0/20"), [demand(3 * 120)]) != []
    (problem,) = found(settings, [demand(3 * 127)])
    assert problem.path == "network.pod_cidr"
    assert "lower the bounds or max_pods of pools.gpu" in problem.fix
    # Nodes themselves stay in the first: 464 addresses of a /23.
    settings = network(cidr="10.20.0.0/21", pod_cidr="100.64.0.0/16")
    assert found(settings, [demand(3 * 464, max_pods=8)]) == []
    (problem,) = found(settings, [demand(3 * 465, max_pods=8)])
    assert problem.path == "network.cidr"
    assert "give a larger range (to /16)" in problem.fix


@pytest.mark.parametrize("old", ["v1.21.1-eksbuild.1", "v1.9.3-eksbuild.1"])
def test_a_range_for_pods_needs_an_addon_that_keeps_to_it(old: str) -> None:
    settings = network(pod_cidr="100.64.0.0/16")
    assert found(settings, cni="v1.22.0-eksbuild.1") == []
    (problem,) = found(settings, cni=old)
    assert problem.path == "network.pod_cidr"
    assert old in problem.reason
    assert found(network(), cni=old) == []


def test_what_pools_may_come_to() -> None:
    common = {"instance_types": ["m7i.large"]}
    pools = {
        "system": parse(SystemPool, {"kind": "system", "max_nodes": 5, **common}, "t"),
        "jobs": parse(
            ElasticPool,
            {"kind": "elastic", "max_nodes": 40, "max_pods": 60, **common},
            "t",
        ),
        "gpu": parse(
            ElasticPool,
            {
                "kind": "elastic",
                "instance_types": ["g6.xlarge", "g6.12xlarge"],
                "max_gpus": 16,
                "zones": [ZONES[1]],
            },
            "t",
        ),
        "kept": parse(
            ReservedPool,
            {"kind": "reserved", "min_nodes": 1, "max_nodes": 2, **common},
            "t",
        ),
    }
    demands = {d.path: d for d in of_pools(pools, ZONES)}
    assert demands["pools.system"].nodes == 5
    assert demands["pools.system"].zones == ZONES
    assert demands["pools.jobs"].nodes == 40
    assert demands["pools.jobs"].max_pods == 60
    # 16 nodes of one GPU, not 4 of four.
    assert demands["pools.gpu"].nodes == 16
    assert demands["pools.gpu"].zones == (ZONES[1],)
    assert demands["pools.kept"].nodes == 2
