"""VPCs, subnets, gateways, addresses and placement groups."""

from __future__ import annotations

from typing import Any

from tests.support.aws import rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import Change, Handler, Made, NotFoundError, Properties
from tests.support.aws.tagging import ec2_specifications, set_ec2_tags


class Vpc(Handler):
    type = "aws:ec2/vpc:Vpc"
    required = frozenset({"cidrBlock"})
    optional = frozenset({"enableDnsSupport", "enableDnsHostnames", "instanceTenancy"})
    updates = frozenset({"enableDnsSupport", "enableDnsHostnames"})

    def create(self, aws: Account, new: Properties) -> Made:
        ec2 = aws.client("ec2")
        vpc = ec2.create_vpc(
            CidrBlock=new["cidrBlock"],
            InstanceTenancy=new.get("instanceTenancy", "default"),
            TagSpecifications=ec2_specifications("vpc", new),
        )["Vpc"]["VpcId"]
        self._attributes(aws, vpc, new)
        at = [{"Name": "vpc-id", "Values": [vpc]}]
        (table,) = ec2.describe_route_tables(Filters=at)["RouteTables"]
        (group,) = ec2.describe_security_groups(Filters=at)["SecurityGroups"]
        told = {
            "arn": aws.arn("ec2", f"vpc/{vpc}"),
            "ownerId": aws.id,
            "mainRouteTableId": table["RouteTableId"],
            "defaultRouteTableId": table["RouteTableId"],
            "defaultSecurityGroupId": group["GroupId"],
        }
        return Made(vpc, told)

    def _attributes(self, aws: Account, vpc: str, new: Properties) -> None:
        ec2 = aws.client("ec2")
        # One attribute a call: ModifyVpcAttribute takes no more.
        ec2.modify_vpc_attribute(
            VpcId=vpc, EnableDnsSupport={"Value": new.get("enableDnsSupport", True)}
        )
        ec2.modify_vpc_attribute(
            VpcId=vpc,
            EnableDnsHostnames={"Value": new.get("enableDnsHostnames", False)},
        )

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        self._attributes(aws, identifier, change.new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ec2").describe_vpcs(VpcIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        rules.vpc_is_empty(aws, identifier)
        aws.client("ec2").delete_vpc(VpcId=identifier)


class Subnet(Handler):
    type = "aws:ec2/subnet:Subnet"
    required = frozenset({"vpcId", "cidrBlock", "availabilityZone"})
    optional = frozenset({"mapPublicIpOnLaunch"})
    updates = frozenset({"mapPublicIpOnLaunch"})

    def create(self, aws: Account, new: Properties) -> Made:
        subnet = aws.client("ec2").create_subnet(
            VpcId=new["vpcId"],
            CidrBlock=new["cidrBlock"],
            AvailabilityZone=new["availabilityZone"],
            TagSpecifications=ec2_specifications("subnet", new),
        )["Subnet"]
        self._public(aws, subnet["SubnetId"], new)
        told = {
            "arn": subnet["SubnetArn"],
            "availabilityZoneId": subnet["AvailabilityZoneId"],
            "ownerId": aws.id,
        }
        return Made(subnet["SubnetId"], told)

    def _public(self, aws: Account, subnet: str, new: Properties) -> None:
        public = new.get("mapPublicIpOnLaunch", False)
        aws.client("ec2").modify_subnet_attribute(
            SubnetId=subnet, MapPublicIpOnLaunch={"Value": public}
        )

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        self._public(aws, identifier, change.new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ec2").describe_subnets(SubnetIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        rules.subnet_is_empty(aws, identifier)
        aws.client("ec2").delete_subnet(SubnetId=identifier)


class InternetGateway(Handler):
    type = "aws:ec2/internetGateway:InternetGateway"
    required = frozenset({"vpcId"})
    updates = frozenset({"vpcId"})

    def create(self, aws: Account, new: Properties) -> Made:
        ec2 = aws.client("ec2")
        gateway = ec2.create_internet_gateway(
            TagSpecifications=ec2_specifications("internet-gateway", new)
        )["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=new["vpcId"])
        told = {
            "arn": aws.arn("ec2", f"internet-gateway/{gateway}"),
            "ownerId": aws.id,
        }
        return Made(gateway, told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        ec2 = aws.client("ec2")
        set_ec2_tags(ec2, identifier, change)
        if change.of("vpcId"):
            old, new = change.old["vpcId"], change.new["vpcId"]
            rules.vpc_has_no_public_addresses(aws, old)
            ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=old)
            ec2.attach_internet_gateway(InternetGatewayId=identifier, VpcId=new)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        ec2 = aws.client("ec2")
        return ec2.describe_internet_gateways(InternetGatewayIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        ec2 = aws.client("ec2")
        rules.vpc_has_no_public_addresses(aws, state["vpcId"])
        ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=state["vpcId"])
        ec2.delete_internet_gateway(InternetGatewayId=identifier)


class Eip(Handler):
    type = "aws:ec2/eip:Eip"
    required = frozenset({"domain"})

    def create(self, aws: Account, new: Properties) -> Made:
        address = aws.client("ec2").allocate_address(
            Domain=new["domain"],
            TagSpecifications=ec2_specifications("elastic-ip", new),
        )
        identifier = address["AllocationId"]
        told = {
            "allocationId": identifier,
            "publicIp": address["PublicIp"],
            "arn": aws.arn("ec2", f"elastic-ip/{identifier}"),
        }
        return Made(identifier, told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.client("ec2").describe_addresses(AllocationIds=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        rules.address_is_free(aws, identifier)
        aws.client("ec2").release_address(AllocationId=identifier)


class NatGateway(Handler):
    type = "aws:ec2/natGateway:NatGateway"
    required = frozenset({"allocationId", "subnetId"})
    optional = frozenset({"connectivityType"})

    def create(self, aws: Account, new: Properties) -> Made:
        rules.nat_can_work(aws, new["subnetId"], new["allocationId"])
        made = aws.client("ec2").create_nat_gateway(
            AllocationId=new["allocationId"],
            SubnetId=new["subnetId"],
            ConnectivityType=new.get("connectivityType", "public"),
            TagSpecifications=ec2_specifications("natgateway", new),
        )["NatGateway"]
        (address,) = made["NatGatewayAddresses"]
        told = {
            "publicIp": address.get("PublicIp", ""),
            "networkInterfaceId": address["NetworkInterfaceId"],
        }
        return Made(made["NatGatewayId"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        ec2 = aws.client("ec2")
        (found,) = ec2.describe_nat_gateways(NatGatewayIds=[identifier])["NatGateways"]
        if found["State"] == "deleted":
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.client("ec2").delete_nat_gateway(NatGatewayId=identifier)


class PlacementGroup(Handler):
    type = "aws:ec2/placementGroup:PlacementGroup"
    required = frozenset({"name", "strategy"})
    optional = frozenset({"partitionCount", "spreadLevel"})

    def create(self, aws: Account, new: Properties) -> Made:
        made = (
            aws.rest("ec2")
            .create_placement_group(
                GroupName=new["name"],
                Strategy=new["strategy"],
                TagSpecifications=ec2_specifications("placement-group", new),
                **given(
                    PartitionCount=new.get("partitionCount"),
                    SpreadLevel=new.get("spreadLevel"),
                ),
            )
            .get("PlacementGroup", {})
        )
        told = {
            "placementGroupId": made.get("GroupId", ""),
            "arn": aws.arn("ec2", f"placement-group/{new['name']}"),
        }
        return Made(new["name"], told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.rest("ec2"), change.state["placementGroupId"], change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return aws.rest("ec2").describe_placement_groups(GroupNames=[identifier])

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        aws.rest("ec2").delete_placement_group(GroupName=identifier)
