"""Documented rules of EKS that the emulators do not keep themselves.

Some are not refusals by the API: what they forbid is accepted and then never gets
ready, or leaves something behind. Each says which.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from tests.support.aws.account import Account
from tests.support.aws.handler import Properties, RefusedError
from tests.support.aws.rules import clusters, node_groups, refuse_if, subnets

NODE_POLICIES = {"AmazonEKSWorkerNodePolicy", "AmazonEKSWorkerNodeMinimalPolicy"}
IMAGE_POLICIES = {
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEC2ContainerRegistryReadOnly",
}
NEEDED_BY_NODES = {"vpc-cni", "kube-proxy"}
"""Without these a node never gets ready, and CreateNodegroup fails after an hour."""
NEEDING_NODES = {
    "coredns",
    "aws-ebs-csi-driver",
    "metrics-server",
    "snapshot-controller",
}
"""Add-ons with Deployments: DEGRADED, not ACTIVE, while no node takes their pods."""
CUSTOM = "CUSTOM"


def role(aws: Account, arn: str) -> Any:
    """The role of that ARN; RefusedError if there is none."""
    iam = aws.client("iam")
    try:
        found = iam.get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except iam.exceptions.NoSuchEntityException:
        raise RefusedError(f"InvalidParameterException: no role {arn}") from None
    refuse_if(found["Arn"] != arn, f"InvalidParameterException: no role {arn}")
    return found


def role_trusts(aws: Account, arn: str, service: str, actions: set[str]) -> None:
    """The service may assume the role, which EKS looks at when it is given one."""
    document = role(aws, arn)["AssumeRolePolicyDocument"]
    if isinstance(document, str):
        document = json.loads(unquote(document))
    allowed: set[str] = set()
    for statement in document["Statement"]:
        services = statement.get("Principal", {}).get("Service", [])
        services = [services] if isinstance(services, str) else services
        action = statement["Action"]
        if statement["Effect"] == "Allow" and service in services:
            allowed |= {action} if isinstance(action, str) else set(action)
    refuse_if(
        not actions <= allowed,
        f"InvalidParameterException: {arn} does not let {service} do {actions}",
    )


def role_is_unused(aws: Account, arn: str) -> None:
    """Clusters and node groups need their role until they are gone.

    IAM refuses neither the role's deletion nor that of its policies: the cluster or
    group then cannot remove its interfaces and instances, and its deletion hangs.
    """
    users = []
    for cluster in clusters(aws):
        users += [cluster["name"]] if cluster["roleArn"] == arn else []
        users += [
            group["nodegroupName"]
            for group in node_groups(aws, cluster["name"])
            if group["nodeRole"] == arn
        ]
    refuse_if(users, f"{arn} is still the role of {users}")


def cluster_fits(aws: Account, new: Properties) -> None:
    """CreateCluster: role, subnets of two zones of one VPC, groups of it, the key."""
    role_trusts(aws, new["roleArn"], "eks.amazonaws.com", {"sts:AssumeRole"})
    network = new["vpcConfig"]
    found = subnets(aws, network["subnetIds"])
    zones = {subnet["AvailabilityZone"] for subnet in found}
    refuse_if(
        len(zones) < 2,
        f"InvalidParameterException: subnets of two zones at least, not of {zones}",
    )
    vpcs = {subnet["VpcId"] for subnet in found}
    if groups := network.get("securityGroupIds"):
        ec2 = aws.client("ec2")
        answer = ec2.describe_security_groups(GroupIds=groups)
        vpcs |= {group["VpcId"] for group in answer["SecurityGroups"]}
    refuse_if(len(vpcs) != 1, f"InvalidParameterException: of one VPC, not of {vpcs}")
    if encryption := new.get("encryptionConfig"):
        key = aws.client("kms").describe_key(KeyId=encryption["provider"]["keyArn"])
        refuse_if(
            key["KeyMetadata"]["KeyState"] != "Enabled",
            "InvalidParameterException: the key of encryptionConfig is not enabled",
        )


def node_group_fits(aws: Account, new: Properties) -> None:
    """CreateNodegroup: the role, what nodes need to join, subnets, types, template."""
    arn, cluster = new["nodeRoleArn"], new["clusterName"]
    role_trusts(aws, arn, "ec2.amazonaws.com", {"sts:AssumeRole"})
    attached = {
        policy["PolicyName"]
        for policy in aws.client("iam").list_attached_role_policies(
            RoleName=arn.rpartition("/")[2]
        )["AttachedPolicies"]
    }
    refuse_if(
        not attached & NODE_POLICIES or not attached & IMAGE_POLICIES,
        f"NodeCreationFailure: {arn} has {sorted(attached)}, its nodes cannot join",
    )
    addons = set(aws.rest("eks").list_addons(clusterName=cluster)["addons"])
    refuse_if(
        not addons >= NEEDED_BY_NODES,
        f"NodeCreationFailure: nodes are not ready without {NEEDED_BY_NODES - addons}",
    )
    found = subnets(aws, new["subnetIds"])
    types = new.get("instanceTypes") or []
    if template := new.get("launchTemplate"):
        data = _template(aws, template)
        template_fits(new, data)
        types = types or [data["InstanceType"]]
    types_offered(aws, types, {subnet["AvailabilityZone"] for subnet in found})


def _template(aws: Account, wanted: Properties) -> Any:
    by_id = {"LaunchTemplateId": wanted["id"]} if "id" in wanted else {}
    versions = aws.client("ec2").describe_launch_template_versions(
        Versions=[str(wanted["version"])],
        **(by_id or {"LaunchTemplateName": wanted["name"]}),
    )["LaunchTemplateVersions"]
    refuse_if(not versions, f"InvalidParameterException: no launch template {wanted}")
    return versions[0]["LaunchTemplateData"]


def template_fits(new: Properties, data: Any) -> None:
    """What a node group's launch template may not have, or must have.

    https://docs.aws.amazon.com/eks/latest/userguide/launch-templates.html
    """
    block = new.get("capacityType") == "CAPACITY_BLOCK"
    market = data.get("InstanceMarketOptions", {}).get("MarketType")
    image, ami_type = data.get("ImageId"), new.get("amiType")
    interfaces = data.get("NetworkInterfaces", [])
    checks = {
        "IamInstanceProfile in the template": data.get("IamInstanceProfile"),
        "subnets in the template": [i for i in interfaces if i.get("SubnetId")],
        "a shutdown behaviour in the template": data.get(
            "InstanceInitiatedShutdownBehavior"
        ),
        "spot options in the template": market == "spot",
        "a capacity block without its market type": block
        and market != "capacity-block",
        "a capacity block's market type without one": market and not block,
        "a capacity block without its reservation": block
        and not data.get("CapacityReservationSpecification"),
        "instance types in both": new.get("instanceTypes") and data.get("InstanceType"),
        "instance types in neither": not new.get("instanceTypes")
        and not data.get("InstanceType"),
        "an image, yet an amiType of EKS": image and ami_type not in (None, CUSTOM),
        "an image, yet a version or release": image
        and (new.get("version") or new.get("releaseVersion")),
        "amiType CUSTOM without an image": ami_type == CUSTOM and not image,
        "an image without user data, so that no node joins": image
        and not data.get("UserData"),
        "security groups beside those of the interfaces": interfaces
        and data.get("SecurityGroupIds"),
    }
    wrong = [reason for reason, holds in checks.items() if holds]
    refuse_if(wrong, f"InvalidParameterException: {new['nodeGroupName']}: {wrong}")


def types_offered(aws: Account, types: list[str], zones: set[str]) -> None:
    """Each type is offered in each zone, by what the emulator knows of AWS."""
    answer = aws.client("ec2").get_paginator("describe_instance_type_offerings")
    offered = {
        (found["InstanceType"], found["Location"])
        for page in answer.paginate(
            LocationType="availability-zone",
            Filters=[{"Name": "instance-type", "Values": types}],
        )
        for found in page["InstanceTypeOfferings"]
    }
    missing = sorted({(t, zone) for t in types for zone in zones} - offered)
    refuse_if(missing, f"InvalidParameterException: not offered: {missing}")


def addon_can_run(aws: Account, new: Properties) -> None:
    """CreateAddon: an add-on of Deployments is not ACTIVE before there are nodes."""
    refuse_if(
        new["addonName"] in NEEDING_NODES and not node_groups(aws, new["clusterName"]),
        f"{new['addonName']} would stay DEGRADED: there is no node group yet",
    )
