"""All that an account has, by kind: what must be as before when a stack is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.aws.account import Account
from tests.support.aws.rules import live_endpoints, live_nats

Kind = Callable[[Account], list[str]]


def _listed(service: str, call: str, group: str, name: str) -> Kind:
    """What one call of a service lists."""

    def read(aws: Account) -> list[str]:
        answer = getattr(aws.client(service), call)()
        return [found[name] for found in answer[group]]

    return read


def _keys(aws: Account) -> list[str]:
    """Keys that are not on their way out: KMS deletes none at once."""
    kms = aws.client("kms")
    metadata = [
        kms.describe_key(KeyId=found["KeyId"])["KeyMetadata"]
        for found in kms.list_keys(Limit=1000)["Keys"]
    ]
    return [key["KeyId"] for key in metadata if key["KeyState"] != "PendingDeletion"]


def _aliases(aws: Account) -> list[str]:
    found = aws.client("kms").list_aliases(Limit=100)["Aliases"]
    names = [alias["AliasName"] for alias in found]
    return [name for name in names if not name.startswith("alias/aws/")]


def _targets(aws: Account) -> list[str]:
    events = aws.client("events")
    return [
        f"{rule['Name']}/{target['Id']}"
        for rule in events.list_rules()["Rules"]
        for target in events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    ]


def _applications(aws: Account) -> list[str]:
    """Applications of EMR Serverless that are not deleted; deleted ones stay listed."""
    found = aws.client("emr-serverless").list_applications()["applications"]
    return [one["name"] for one in found if one["state"] != "TERMINATED"]


def _policies(aws: Account) -> list[str]:
    found = aws.client("iam").list_policies(Scope="Local")["Policies"]
    return [policy["PolicyName"] for policy in found]


def _rules(aws: Account) -> list[str]:
    found = aws.client("ec2").describe_security_group_rules()["SecurityGroupRules"]
    return [rule["SecurityGroupRuleId"] for rule in found]


def _of_eks(call: str, group: str) -> Kind:
    """What belongs to clusters, in both emulators' lists of these."""

    def read(aws: Account) -> list[str]:
        rest = aws.rest("eks")
        return [
            f"{cluster}/{found}"
            for cluster in rest.list_clusters()["clusters"]
            for found in getattr(rest, call)(clusterName=cluster)[group]
        ]

    return read


KINDS: dict[str, Kind] = {
    "VPCs": _listed("ec2", "describe_vpcs", "Vpcs", "VpcId"),
    "subnets": _listed("ec2", "describe_subnets", "Subnets", "SubnetId"),
    "internet gateways": _listed(
        "ec2", "describe_internet_gateways", "InternetGateways", "InternetGatewayId"
    ),
    "NAT gateways": lambda aws: [nat["NatGatewayId"] for nat in live_nats(aws)],
    "addresses": _listed("ec2", "describe_addresses", "Addresses", "AllocationId"),
    "route tables": _listed(
        "ec2", "describe_route_tables", "RouteTables", "RouteTableId"
    ),
    "VPC endpoints": lambda aws: [e["VpcEndpointId"] for e in live_endpoints(aws)],
    "flow logs": _listed("ec2", "describe_flow_logs", "FlowLogs", "FlowLogId"),
    "security groups": _listed(
        "ec2", "describe_security_groups", "SecurityGroups", "GroupId"
    ),
    "security group rules": _rules,
    "launch templates": _listed(
        "ec2", "describe_launch_templates", "LaunchTemplates", "LaunchTemplateId"
    ),
    "placement groups": lambda aws: [
        group["GroupName"]
        for group in aws.rest("ec2").describe_placement_groups()["PlacementGroups"]
    ],
    "instances": _listed("ec2", "describe_instances", "Reservations", "ReservationId"),
    "volumes": _listed("ec2", "describe_volumes", "Volumes", "VolumeId"),
    "roles": _listed("iam", "list_roles", "Roles", "RoleName"),
    "policies": _policies,
    "instance profiles": _listed(
        "iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"
    ),
    "keys": _keys,
    "aliases of keys": _aliases,
    "log groups": _listed("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "event rules": _listed("events", "list_rules", "Rules", "Name"),
    "event targets": _targets,
    "buckets": _listed("s3", "list_buckets", "Buckets", "Name"),
    "repositories": _listed(
        "ecr", "describe_repositories", "repositories", "repositoryName"
    ),
    "applications": _applications,
    "queues": lambda aws: list(aws.client("sqs").list_queues().get("QueueUrls", [])),
    "clusters": lambda aws: list(aws.client("eks").list_clusters()["clusters"]),
    "clusters of ministack": lambda aws: list(
        aws.rest("eks").list_clusters()["clusters"]
    ),
    "node groups": _of_eks("list_nodegroups", "nodegroups"),
    "add-ons": _of_eks("list_addons", "addons"),
    "access entries": _of_eks("list_access_entries", "accessEntries"),
}


def everything(aws: Account) -> dict[str, list[str]]:
    """Ids of all that the account has, by kind."""
    return {kind: sorted(read(aws)) for kind, read in KINDS.items()}


def beside(before: dict[str, list[str]], now: dict[str, list[str]]) -> dict[str, Any]:
    """What there is now that was not there before, by kind."""
    more = {kind: sorted(set(now[kind]) - set(before[kind])) for kind in now}
    return {kind: found for kind, found in more.items() if found}
