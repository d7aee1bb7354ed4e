"""Documented rules of EC2 that the emulator does not keep itself.

Each is asked of what the emulator has at that moment, so it holds for the order in
which the engine really works. The names in brackets are AWS's own error codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.handler import Properties, RefusedError

GONE = ("deleted", "deleting")


def refuse_if(condition: object, reason: str) -> None:
    """RefusedError with the reason if the condition holds."""
    if condition:
        raise RefusedError(reason)


def live_nats(aws: Account) -> list[Any]:
    """NAT gateways that are not deleted."""
    found = aws.client("ec2").describe_nat_gateways()["NatGateways"]
    return [nat for nat in found if nat["State"] not in GONE]


def live_endpoints(aws: Account) -> list[Any]:
    """VPC endpoints that are not deleted."""
    found = aws.client("ec2").describe_vpc_endpoints()["VpcEndpoints"]
    return [endpoint for endpoint in found if endpoint["State"] not in GONE]


def clusters(aws: Account) -> list[Any]:
    """Every EKS cluster of the account."""
    eks = aws.client("eks")
    names = eks.list_clusters()["clusters"]
    return [eks.describe_cluster(name=name)["cluster"] for name in names]


def node_groups(aws: Account, cluster: str) -> list[Any]:
    """Every managed node group of a cluster."""
    eks = aws.client("eks")
    return [
        eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
        for name in eks.list_nodegroups(clusterName=cluster)["nodegroups"]
    ]


def subnets(aws: Account, identifiers: Iterable[str]) -> list[Any]:
    """Subnets by id; boto3's own error if one does not exist."""
    found: list[Any] = aws.client("ec2").describe_subnets(SubnetIds=list(identifiers))[
        "Subnets"
    ]
    return found


def _attached_gateways(aws: Account, vpc: str) -> list[Any]:
    filters = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    ec2 = aws.client("ec2")
    found: list[Any] = ec2.describe_internet_gateways(Filters=filters)[
        "InternetGateways"
    ]
    return found


def _groups(aws: Account, vpc: str | None = None) -> list[Any]:
    filters = [{"Name": "vpc-id", "Values": [vpc]}] if vpc else []
    ec2 = aws.client("ec2")
    found: list[Any] = ec2.describe_security_groups(Filters=filters)["SecurityGroups"]
    return found


def vpc_is_empty(aws: Account, vpc: str) -> None:
    """DeleteVpc: "You must detach or delete all gateways and resources" in it."""
    left = [gateway["InternetGatewayId"] for gateway in _attached_gateways(aws, vpc)]
    left += [nat["NatGatewayId"] for nat in live_nats(aws) if nat["VpcId"] == vpc]
    left += [e["VpcEndpointId"] for e in live_endpoints(aws) if e["VpcId"] == vpc]
    left += [g["GroupId"] for g in _groups(aws, vpc) if g["GroupName"] != "default"]
    refuse_if(left, f"DependencyViolation: {vpc} still has {left}")


def subnet_is_empty(aws: Account, subnet: str) -> None:
    """DeleteSubnet: network interfaces of NAT gateways, endpoints and EKS are in it."""
    left = [nat["NatGatewayId"] for nat in live_nats(aws) if nat["SubnetId"] == subnet]
    left += [
        endpoint["VpcEndpointId"]
        for endpoint in live_endpoints(aws)
        if subnet in endpoint.get("SubnetIds", [])
    ]
    for cluster in clusters(aws):
        if subnet in cluster["resourcesVpcConfig"]["subnetIds"]:
            left.append(cluster["name"])
        left += [
            group["nodegroupName"]
            for group in node_groups(aws, cluster["name"])
            if subnet in group["subnets"]
        ]
    refuse_if(left, f"DependencyViolation: {subnet} still has interfaces of {left}")


def range_is_empty(aws: Account, vpc: str, cidr: str) -> None:
    """DisassociateVpcCidrBlock: no subnet is left in the range."""
    at = [{"Name": "vpc-id", "Values": [vpc]}]
    outer = IPv4Network(cidr)
    left = [
        subnet["SubnetId"]
        for subnet in aws.client("ec2").describe_subnets(Filters=at)["Subnets"]
        if IPv4Network(subnet["CidrBlock"]).subnet_of(outer)
    ]
    refuse_if(left, f"InvalidCidrBlock.InUse: {cidr} still has {left}")


def vpc_has_no_public_addresses(aws: Account, vpc: str) -> None:
    """DetachInternetGateway: no mapped public addresses may be left in the VPC."""
    left = [nat["NatGatewayId"] for nat in live_nats(aws) if nat["VpcId"] == vpc]
    refuse_if(left, f"DependencyViolation: {vpc} has mapped public addresses: {left}")


def address_is_free(aws: Account, allocation: str) -> None:
    """ReleaseAddress: an address in use by a NAT gateway cannot be released."""
    left = [
        nat["NatGatewayId"]
        for nat in live_nats(aws)
        for address in nat["NatGatewayAddresses"]
        if address.get("AllocationId") == allocation
    ]
    refuse_if(left, f"InvalidIPAddress.InUse: {allocation} is used by {left}")


def nat_can_work(aws: Account, subnet: str, allocation: str) -> None:
    """CreateNatGateway: the VPC has an internet gateway, the address is free."""
    (found,) = subnets(aws, [subnet])
    refuse_if(
        not _attached_gateways(aws, found["VpcId"]),
        f"Gateway.NotAttached: {found['VpcId']} has no internet gateway attached",
    )
    address_is_free(aws, allocation)


def route_leads_somewhere(aws: Account, table: str, target: dict[str, str]) -> None:
    """CreateRoute: one target, of the table's own VPC, that is available."""
    refuse_if(len(target) != 1, f"a route has one target, not {target}")
    ec2 = aws.client("ec2")
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    if nat := target.get("NatGatewayId"):
        here = [
            n["NatGatewayId"] for n in live_nats(aws) if n["VpcId"] == found["VpcId"]
        ]
        refuse_if(nat not in here, f"InvalidNatGatewayID.NotFound: {nat}")
    if gateway := target.get("GatewayId"):
        attached = [
            found["InternetGatewayId"]
            for found in _attached_gateways(aws, found["VpcId"])
        ]
        refuse_if(
            gateway not in attached,
            f"InvalidParameterValue: {gateway} is not attached to {found['VpcId']}",
        )


def endpoint_fits_vpc(aws: Account, new: Properties) -> None:
    """CreateVpcEndpoint: its parts are of the VPC, and its private name can work."""
    ec2, vpc = aws.client("ec2"), new["vpcId"]
    if new.get("privateDnsEnabled"):
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            answer = ec2.describe_vpc_attribute(VpcId=vpc, Attribute=attribute)
            value = answer[attribute[:1].upper() + attribute[1:]]["Value"]
            refuse_if(
                not value,
                f"InvalidParameter: private DNS needs {attribute} of {vpc}",
            )
    parts = subnets(aws, new["subnetIds"]) if new.get("subnetIds") else []
    zones = [subnet["AvailabilityZone"] for subnet in parts]
    refuse_if(
        len(set(zones)) < len(zones),
        f"DuplicateSubnetsInSameZone: an endpoint has one subnet a zone, not {zones}",
    )
    if groups := new.get("securityGroupIds"):
        parts += ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    if tables := new.get("routeTableIds"):
        parts += ec2.describe_route_tables(RouteTableIds=tables)["RouteTables"]
    strangers = [part for part in parts if part["VpcId"] != vpc]
    refuse_if(strangers, f"InvalidParameter: not of {vpc}: {strangers}")


def group_is_free(aws: Account, group: str) -> None:
    """DeleteSecurityGroup: not in use, and not named by another group's rules."""
    users = [
        other["GroupId"]
        for other in _groups(aws)
        if other["GroupId"] != group
        for permission in other["IpPermissions"] + other["IpPermissionsEgress"]
        for pair in permission.get("UserIdGroupPairs", [])
        if pair.get("GroupId") == group
    ]
    users += [
        endpoint["VpcEndpointId"]
        for endpoint in live_endpoints(aws)
        for used in endpoint.get("Groups", [])
        if used.get("GroupId") == group
    ]
    users += [
        cluster["name"]
        for cluster in clusters(aws)
        if group in cluster["resourcesVpcConfig"].get("securityGroupIds", [])
    ]
    refuse_if(users, f"DependencyViolation: {group} is used by {users}")
