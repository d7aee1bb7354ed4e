"""The network's resources as plain data: addresses, tags, routes, endpoints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.cluster.network.endpoint_services import ENDPOINT_SERVICES
from slipway.rendering.recorder import Resource
from slipway.rendering.render import Rendered
from tests.support.aws_network import ZONES, network
from tests.support.aws_rendered import after, name_of, of_kind, only

EXISTING = {
    "id": "vpc-0123456789abcdef0",
    "cidr": "10.9.0.0/16",
    "private_subnets": {z: f"subnet-0123456789abcde{i}0" for i, z in enumerate(ZONES)},
}


def subnets(found: Rendered, kind: str) -> dict[str, Resource]:
    """Subnets of a kind by zone."""
    beginning = f"network-{kind}-"
    return {
        name.removeprefix(beginning): subnet
        for name, subnet in of_kind(found, "ec2/subnet:Subnet").items()
        if name.startswith(beginning)
    }


def default_routes(found: Rendered) -> dict[str, dict[str, Any]]:
    """Where each route table sends what is not for the VPC, by the table's name."""
    return {
        name_of(route.parent): route.inputs
        for route in of_kind(found, "ec2/route:Route").values()
    }


def test_each_zone_has_a_subnet_of_each_kind_with_the_addresses_planned() -> None:
    found = network()
    cidrs = {
        kind: [subnets(found, kind)[zone].inputs["cidrBlock"] for zone in ZONES]
        for kind in ("private", "public", "intra")
    }
    assert cidrs == {
        "private": ["10.20.0.0/18", "10.20.64.0/18", "10.20.128.0/18"],
        "public": ["10.20.192.0/22", "10.20.196.0/22", "10.20.200.0/22"],
        "intra": ["10.20.224.0/22", "10.20.228.0/22", "10.20.232.0/22"],
    }
    for kind in cidrs:
        for zone, subnet in subnets(found, kind).items():
            assert subnet.inputs["availabilityZone"] == zone


def test_controllers_find_their_subnets_by_tags() -> None:
    found = network(pod_cidr="100.64.0.0/16")
    expected = {
        "private": {
            "kubernetes.io/role/internal-elb": "1",
            "kubernetes.io/cluster/prod": "shared",
            "karpenter.sh/discovery": "prod",
            "kubernetes.io/role/cni": "0",
        },
        "public": {
            "kubernetes.io/role/elb": "1",
            "kubernetes.io/cluster/prod": "shared",
        },
        "intra": {},
        "pods": {"kubernetes.io/role/cni": "1"},
    }
    for kind, tags in expected.items():
        for zone, subnet in subnets(found, kind).items():
            own = {"Name": f"prod-{kind}-{zone}", "slipway.dev/cluster": "prod"}
            assert subnet.inputs["tags"] == {**own, **tags}


def test_nodes_subnets_have_pods_where_there_are_no_others_for_them() -> None:
    for subnet in of_kind(network(), "ec2/subnet:Subnet").values():
        assert "kubernetes.io/role/cni" not in subnet.inputs["tags"]


def test_everything_that_bears_tags_says_whose_it_is() -> None:
    untagged = {
        "aws:ec2/route:Route",
        "aws:ec2/routeTableAssociation:RouteTableAssociation",
        "aws:ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation",
        "aws:iam/rolePolicy:RolePolicy",
        "aws:kms/alias:Alias",
        "aws:ec2/placementGroup:PlacementGroup",
    }
    seen = set()
    for resource in network(pod_cidr="100.64.0.0/16").resources:
        if not resource.custom or resource.type in untagged:
            continue
        seen.add(resource.type)
        assert resource.inputs["tags"]["slipway.dev/cluster"] == "prod", resource.urn
        assert resource.inputs["tags"]["Name"], resource.urn
    assert len(seen) > 10


def test_no_subnet_gives_public_addresses_by_itself() -> None:
    found = network()
    for subnet in of_kind(found, "ec2/subnet:Subnet").values():
        assert subnet.inputs["mapPublicIpOnLaunch"] is False


def test_the_vpc_resolves_names_as_endpoints_need_it() -> None:
    vpc = only(network(), "ec2/vpc:Vpc").inputs
    assert vpc["enableDnsSupport"] is True
    assert vpc["enableDnsHostnames"] is True
    assert vpc["cidrBlock"] == "10.20.0.0/16"


def test_the_default_security_group_lets_nothing_through() -> None:
    group = only(network(), "ec2/defaultSecurityGroup:DefaultSecurityGroup")
    assert group.inputs["vpcId"] == "network-id"
    assert group.inputs["ingress"] == []
    assert group.inputs["egress"] == []


def test_with_a_nat_in_each_zone_each_zone_goes_out_by_its_own() -> None:
    found = network()
    nats = of_kind(found, "ec2/natGateway:NatGateway")
    assert set(nats) == {f"network-nat-{zone}" for zone in ZONES}
    for zone in ZONES:
        nat = nats[f"network-nat-{zone}"].inputs
        assert nat["subnetId"] == f"network-public-{zone}-id"
        route = default_routes(found)[f"network-private-{zone}"]
        assert route["natGatewayId"] == f"network-nat-{zone}-id"
        assert "gatewayId" not in route
    assert len(of_kind(found, "ec2/eip:Eip")) == len(ZONES)


def test_with_a_single_nat_all_zones_go_out_by_the_firsts() -> None:
    found = network(nat="single")
    assert set(of_kind(found, "ec2/natGateway:NatGateway")) == {
        f"network-nat-{ZONES[0]}"
    }
    assert len(of_kind(found, "ec2/eip:Eip")) == 1
    for zone in ZONES:
        route = default_routes(found)[f"network-private-{zone}"]
        assert route["natGatewayId"] == f"network-nat-{ZONES[0]}-id"


def test_without_a_nat_nothing_leads_to_the_internet() -> None:
    found = network(nat="none")
    for kind in (
        "ec2/natGateway:NatGateway",
        "ec2/eip:Eip",
        "ec2/internetGateway:InternetGateway",
        "ec2/route:Route",
    ):
        assert of_kind(found, kind) == {}
    assert subnets(found, "public") == {}
    assert found.outputs["public"] == {}


def test_only_public_subnets_have_the_internet_and_intra_none() -> None:
    routes = default_routes(network())
    assert routes["network-public"]["gatewayId"] == "network-id"
    assert "network-intra" not in routes
    assert len(routes) == 1 + len(ZONES)
    for route in routes.values():
        assert route["destinationCidrBlock"] == "0.0.0.0/0"


def test_every_subnet_is_routed_by_its_kinds_table() -> None:
    found = network(pod_cidr="100.64.0.0/16")
    kind = "ec2/routeTableAssociation:RouteTableAssociation"
    by_subnet = {
        r.inputs["subnetId"]: r.inputs["routeTableId"]
        for r in of_kind(found, kind).values()
    }
    assert len(by_subnet) == len(of_kind(found, "ec2/subnet:Subnet")) == 12
    for zone in ZONES:
        assert by_subnet[f"network-private-{zone}-id"] == f"network-private-{zone}-id"
        assert by_subnet[f"network-pods-{zone}-id"] == f"network-private-{zone}-id"
        assert by_subnet[f"network-public-{zone}-id"] == "network-public-id"
        assert by_subnet[f"network-intra-{zone}-id"] == "network-intra-id"


def test_what_stands_in_a_private_subnet_comes_after_its_way_out() -> None:
    """And goes before it: a node without a route can neither start nor drain."""
    found = network()
    node = of_kind(found, "ec2/placementGroup:PlacementGroup")[f"in-private-{ZONES[1]}"]
    before = {
        (urn.rpartition("$")[2].partition("::")[0], name_of(urn))
        for urn in after(found, node)
    }
    zone = ZONES[1]
    assert ("aws:ec2/route:Route", f"network-private-{zone}") in before
    assert ("aws:ec2/natGateway:NatGateway", f"network-nat-{zone}") in before
    assert ("aws:ec2/internetGateway:InternetGateway", "network") in before
    assert ("aws:ec2/route:Route", "network-public") in before
    for service in ENDPOINT_SERVICES:
        endpoint = ("aws:ec2/vpcEndpoint:VpcEndpoint", f"network-endpoints-{service}")
        assert endpoint in before
    association = "aws:ec2/routeTableAssociation:RouteTableAssociation"
    assert (association, f"network-private-{zone}") in before


def test_a_nat_comes_after_the_internet_and_goes_before_it() -> None:
    found = network()
    for nat in of_kind(found, "ec2/natGateway:NatGateway").values():
        names = {name_of(urn) for urn in nat.depends_on if "internetGateway" in urn}
        assert names == {"network"}
        assert any("routeTableAssociation" in urn for urn in nat.depends_on)
    for address in of_kind(found, "ec2/eip:Eip").values():
        assert any("internetGateway" in urn for urn in address.depends_on)


def test_pods_get_a_second_range_of_their_own() -> None:
    found = network(pod_cidr="100.64.0.0/16")
    kind = "ec2/vpcIpv4CidrBlockAssociation:VpcIpv4CidrBlockAssociation"
    second = only(found, kind)
    assert second.inputs["cidrBlock"] == "100.64.0.0/16"
    cidrs = [subnets(found, "pods")[zone].inputs["cidrBlock"] for zone in ZONES]
    assert cidrs == ["100.64.0.0/18", "100.64.64.0/18", "100.64.128.0/18"]
    for subnet in subnets(found, "pods").values():
        assert second.urn in subnet.depends_on
    assert of_kind(network(), kind) == {}


def test_every_service_has_an_endpoint_with_its_private_name() -> None:
    found = network()
    made = of_kind(found, "ec2/vpcEndpoint:VpcEndpoint")
    assert len(made) == len(ENDPOINT_SERVICES)
    for service, facts in ENDPOINT_SERVICES.items():
        endpoint = made[f"network-endpoints-{service}"].inputs
        assert endpoint["serviceName"] == f"com.amazonaws.eu-central-1.{service}"
        assert endpoint["vpcEndpointType"] == facts.kind
        if facts.kind == "Gateway":
            continue
        assert endpoint["privateDnsEnabled"] is True
        assert endpoint["subnetIds"] == [f"network-intra-{zone}-id" for zone in ZONES]
        assert endpoint["securityGroupIds"] == ["network-endpoints-id"]


def test_s3_is_a_route_in_every_table_of_nodes() -> None:
    s3 = of_kind(network(), "ec2/vpcEndpoint:VpcEndpoint")["network-endpoints-s3"]
    assert s3.inputs["routeTableIds"] == [
        *(f"network-private-{zone}-id" for zone in ZONES),
        "network-intra-id",
    ]


def test_without_a_perimeter_endpoints_have_no_policy() -> None:
    made = of_kind(network(), "ec2/vpcEndpoint:VpcEndpoint")
    assert {endpoint.inputs.get("policy") for endpoint in made.values()} == {None}


def test_a_perimeter_lets_own_principals_and_own_buckets_pass() -> None:
    found = network(data_perimeter={"accounts": ["444455556666"]})
    made = of_kind(found, "ec2/vpcEndpoint:VpcEndpoint")
    policies = {
        name.removeprefix("network-endpoints-"): json.loads(it.inputs["policy"])
        for name, it in made.items()
        if it.inputs.get("policy")
    }
    assert set(policies) == set(ENDPOINT_SERVICES) - {"eks-auth"}
    own, of_aws = policies["s3"]["Statement"]
    tests = own["Condition"]["StringEquals"]
    (account,) = tests["aws:PrincipalAccount"]
    assert tests["aws:ResourceAccount"] == [account, "444455556666"]
    assert of_aws["Action"] == ["s3:GetObject"]
    assert all(arn.endswith("/*") for arn in of_aws["Resource"])
    for service, policy in policies.items():
        for statement in policy["Statement"]:
            assert statement.get("Condition") or statement is of_aws, service
    by_token = policies["sts"]["Statement"][1]
    assert by_token["Action"] == ["sts:AssumeRoleWithWebIdentity"]
    assert by_token["Condition"]["StringEquals"]["aws:ResourceAccount"] == [account]


def test_endpoints_admit_https_from_the_vpc_and_nothing_else() -> None:
    found = network(pod_cidr="100.64.0.0/16")
    rules = of_kind(found, "vpc/securityGroupIngressRule:SecurityGroupIngressRule")
    admitted = {
        (r.inputs["cidrIpv4"], r.inputs["fromPort"], r.inputs["toPort"])
        for r in rules.values()
        if r.inputs["securityGroupId"] == "network-endpoints-id"
        and r.inputs["ipProtocol"] == "tcp"
    }
    assert admitted == {("10.20.0.0/16", 443, 443), ("100.64.0.0/16", 443, 443)}
    assert len(rules) == len(admitted)
    assert not of_kind(found, "vpc/securityGroupEgressRule:SecurityGroupEgressRule")
    group = only(found, "ec2/securityGroup:SecurityGroup").inputs
    assert "ingress" not in group
    assert "egress" not in group


def test_s3_alone_needs_no_security_group() -> None:
    found = network(endpoints=["s3"])
    assert len(of_kind(found, "ec2/vpcEndpoint:VpcEndpoint")) == 1
    assert of_kind(found, "ec2/securityGroup:SecurityGroup") == {}


def test_an_existing_vpc_is_used_and_nothing_is_made() -> None:
    found = network(existing=EXISTING)
    kinds = {r.type for r in found.resources if r.type.startswith(("aws:", "slipway:"))}
    assert kinds == {
        "slipway:cluster:Network",
        "aws:ec2/placementGroup:PlacementGroup",  # the test's own
    }
    assert found.outputs["vpc"] == EXISTING["id"]
    assert found.outputs["private"] == EXISTING["private_subnets"]
    assert found.outputs["intra"] == EXISTING["private_subnets"]
    assert found.outputs["public"] == {}


def test_an_existing_vpcs_own_kinds_of_subnets_are_distinguished() -> None:
    intra = {z: f"subnet-0123456789abcde{i}1" for i, z in enumerate(ZONES)}
    found = network(existing={**EXISTING, "intra_subnets": intra})
    assert found.outputs["intra"] == intra
    assert found.outputs["private"] == EXISTING["private_subnets"]


@pytest.mark.parametrize("config", [{}, {"pod_cidr": "100.64.0.0/16"}], ids=str)
def test_children_hang_below_the_network(config: dict[str, Any]) -> None:
    found = network(**config)
    by_urn = {r.urn: r for r in found.resources}
    for resource in found.resources:
        if resource.name.startswith(("in-", "default")) or not resource.custom:
            continue
        top = resource
        while top.parent in by_urn:
            top = by_urn[top.parent]
        assert top.type == "slipway:cluster:Network", resource.urn
