"""Security groups and their rules."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.support.aws import rules
from tests.support.aws.account import Account
from tests.support.aws.convert import given
from tests.support.aws.handler import (
    Change,
    Handler,
    Made,
    NotFoundError,
    Properties,
    RefusedError,
)
from tests.support.aws.tagging import ec2_specifications, set_ec2_tags


def _group(aws: Account, identifier: str) -> Any:
    ec2 = aws.client("ec2")
    return ec2.describe_security_groups(GroupIds=[identifier])["SecurityGroups"][0]


def _close(aws: Account, identifier: str) -> None:
    """Removes all rules of a group, AWS's own first one too."""
    group = _group(aws, identifier)
    ec2 = aws.client("ec2")
    if group["IpPermissions"]:
        ec2.revoke_security_group_ingress(
            GroupId=identifier, IpPermissions=group["IpPermissions"]
        )
    if group["IpPermissionsEgress"]:
        ec2.revoke_security_group_egress(
            GroupId=identifier, IpPermissions=group["IpPermissionsEgress"]
        )


class SecurityGroup(Handler):
    """Only with rules as resources of their own, as the provider advises."""

    type = "aws:ec2/securityGroup:SecurityGroup"
    required = frozenset({"name", "vpcId"})
    optional = frozenset({"description", "revokeRulesOnDelete"})
    updates = frozenset({"revokeRulesOnDelete"})

    def create(self, aws: Account, new: Properties) -> Made:
        identifier = aws.client("ec2").create_security_group(
            GroupName=new["name"],
            Description=new.get("description", "Managed by Pulumi"),
            VpcId=new["vpcId"],
            TagSpecifications=ec2_specifications("security-group", new),
        )["GroupId"]
        # As the provider does: a group allows nothing that the program did not say.
        _close(aws, identifier)
        arn = aws.arn("ec2", f"security-group/{identifier}")
        return Made(identifier, {"arn": arn, "ownerId": aws.id})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return _group(aws, identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        if state.get("revokeRulesOnDelete"):
            _close(aws, identifier)
        rules.group_is_free(aws, identifier)
        aws.client("ec2").delete_security_group(GroupId=identifier)


class DefaultSecurityGroup(Handler):
    """A VPC's own group, taken over and emptied; it lives as long as the VPC."""

    type = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
    required = frozenset({"vpcId"})
    optional = frozenset({"ingress", "egress"})
    updates = optional

    def create(self, aws: Account, new: Properties) -> Made:
        self._expects_no_rules(new)
        wanted = {"vpc-id": new["vpcId"], "group-name": "default"}
        (group,) = aws.client("ec2").describe_security_groups(
            Filters=[{"Name": key, "Values": [text]} for key, text in wanted.items()]
        )["SecurityGroups"]
        _close(aws, group["GroupId"])
        set_ec2_tags(aws.client("ec2"), group["GroupId"], Change({"tags": {}}, new, {}))
        arn = aws.arn("ec2", f"security-group/{group['GroupId']}")
        return Made(group["GroupId"], {"arn": arn, "name": "default"})

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        self._expects_no_rules(change.new)
        set_ec2_tags(aws.client("ec2"), identifier, change)
        return {}

    def _expects_no_rules(self, new: Properties) -> None:
        if new.get("ingress") or new.get("egress"):
            raise RefusedError("a default security group with rules: not expected")

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        return _group(aws, identifier)

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        """Nothing: AWS removes it with its VPC."""


class _Rule(Handler):
    required = frozenset({"securityGroupId", "ipProtocol"})
    optional = frozenset(
        {
            "cidrIpv4",
            "cidrIpv6",
            "description",
            "fromPort",
            "toPort",
            "prefixListId",
            "referencedSecurityGroupId",
        }
    )
    updates = frozenset({"description", "fromPort", "ipProtocol", "toPort"})
    egress: ClassVar[bool]

    def create(self, aws: Account, new: Properties) -> Made:
        said = given(Description=new.get("description"))
        permission = given(
            IpProtocol=new["ipProtocol"],
            FromPort=new.get("fromPort"),
            ToPort=new.get("toPort"),
        )
        for name, group, key in (
            ("cidrIpv4", "IpRanges", "CidrIp"),
            ("cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
            ("prefixListId", "PrefixListIds", "PrefixListId"),
            ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ):
            if name in new:
                permission[group] = [{key: new[name], **said}]
        if other := new.get("referencedSecurityGroupId"):
            _group(aws, other)  # moto takes any
        ec2 = aws.client("ec2")
        authorize = (
            ec2.authorize_security_group_egress
            if self.egress
            else ec2.authorize_security_group_ingress
        )
        answer = authorize(
            GroupId=new["securityGroupId"],
            IpPermissions=[permission],
            TagSpecifications=ec2_specifications("security-group-rule", new),
        )
        (rule,) = answer["SecurityGroupRules"]
        identifier = rule["SecurityGroupRuleId"]
        told = {
            "arn": aws.arn("ec2", f"security-group-rule/{identifier}"),
            "securityGroupRuleId": identifier,
        }
        return Made(identifier, told)

    def update(self, aws: Account, identifier: str, change: Change) -> Properties:
        ec2 = aws.client("ec2")
        set_ec2_tags(ec2, identifier, change)
        if change.of(*self.updates):
            new = change.new
            rule = given(
                IpProtocol=new["ipProtocol"],
                FromPort=new.get("fromPort"),
                ToPort=new.get("toPort"),
                CidrIpv4=new.get("cidrIpv4"),
                CidrIpv6=new.get("cidrIpv6"),
                PrefixListId=new.get("prefixListId"),
                ReferencedGroupId=new.get("referencedSecurityGroupId"),
                Description=new.get("description"),
            )
            changed = {"SecurityGroupRuleId": identifier, "SecurityGroupRule": rule}
            ec2.modify_security_group_rules(
                GroupId=new["securityGroupId"], SecurityGroupRules=[changed]
            )
        return {}

    def read(self, aws: Account, identifier: str, state: Properties) -> Any:
        found = aws.client("ec2").describe_security_group_rules(
            SecurityGroupRuleIds=[identifier]
        )["SecurityGroupRules"]
        if not found:
            raise NotFoundError(identifier)
        return found

    def delete(self, aws: Account, identifier: str, state: Properties) -> None:
        ec2 = aws.client("ec2")
        revoke = (
            ec2.revoke_security_group_egress
            if self.egress
            else ec2.revoke_security_group_ingress
        )
        revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[identifier])


class IngressRule(_Rule):
    type = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
    egress = False


class EgressRule(_Rule):
    type = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
    egress = True
