"""VPCs, subnets, gateways and routes."""

from __future__ import annotations

from botocore.exceptions import ClientError

from tests.support.aws.account import Account
from tests.support.aws.handler import Change, Handler, Made, Properties
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
        )["Vpc"]
        self._attributes(aws, vpc["VpcId"], new)
        return Made(vpc["VpcId"], {"arn": aws.arn("ec2", f"vpc/{vpc['VpcId']}")})

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
        set_ec2_tags(aws, identifier, change)
        self._attributes(aws, identifier, change.new)
        return {}

    def exists(self, aws: Account, identifier: str, old: Properties) -> bool:
        try:
            aws.client("ec2").describe_vpcs(VpcIds=[identifier])
        except ClientError:
            return False
        return True

    def delete(self, aws: Account, identifier: str, old: Properties) -> None:
        aws.client("ec2").delete_vpc(VpcId=identifier)
