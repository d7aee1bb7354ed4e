"""What Karpenter's controller may do, and who may write into its queue.

As upstream's for v1.14, with the account and region named: it launches only what it
tags as this cluster's and a pool's, and changes or ends only resources with those
tags. https://karpenter.sh/docs/reference/cloudformation/ tests/golden/iam holds each
as JSON.
"""

from __future__ import annotations

from components.cluster.iam.arns import Arns
from components.cluster.iam.policies import EVERYTHING
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Principal,
    Statement,
    arn_equals,
    equals,
)
from components.cluster.iam.subnet_tags import KARPENTER_DISCOVERY

LAUNCHED = (
    "fleet",
    "instance",
    "launch-template",
    "network-interface",
    "spot-instances-request",
    "volume",
)
"""What a launch makes."""
NODE_POOL = "karpenter.sh/nodepool"


def controller(
    arns: Arns,
    *,
    cluster: str,
    node_role: str,
    queue: str,
    reservations: tuple[str, ...] = (),
) -> PolicyDocument:
    """The controller's rights; `node_role`, `queue`: names; `reservations`: ids."""
    return PolicyDocument(
        (
            *_draws_on(arns, cluster, reservations),
            *_launches(arns, cluster),
            *_changes(arns, cluster),
            *_instance_profiles(arns),
            Statement(
                sid="PassNodeRole",
                actions=("iam:PassRole",),
                resources=(arns.role(node_role),),
                conditions=(equals("iam:PassedToService", _ec2(arns)),),
            ),
            Statement(
                sid="ReadCluster",
                actions=("eks:DescribeCluster",),
                resources=(arns.cluster(cluster),),
            ),
            Statement(
                sid="ReadInterruptions",
                actions=("sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"),
                resources=(arns.of("sqs", queue),),
            ),
            *_discovery(arns),
        )
    )


def _ec2(arns: Arns) -> str:
    return "ec2.amazonaws.com.cn" if arns.partition == "aws-cn" else "ec2.amazonaws.com"


def _made(arns: Arns, kinds: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(arns.of("ec2", f"{kind}/*") for kind in kinds)


def _owned(cluster: str, where: str) -> tuple[Condition, ...]:
    """The cluster's tag and a pool's, in a request or on a resource."""
    return (
        equals(f"aws:{where}/kubernetes.io/cluster/{cluster}", "owned"),
        Condition("StringLike", f"aws:{where}/{NODE_POOL}", ("*",)),
    )


def _draws_on(
    arns: Arns, cluster: str, reservations: tuple[str, ...]
) -> tuple[Statement, ...]:
    """What a launch refers to: Amazon's images, the cluster's subnets and group.

    Upstream allows any of these, of any tag.
    """
    actions = ("ec2:CreateFleet", "ec2:RunInstances")
    found = [
        Statement(
            sid="LaunchAmazonsImage",
            actions=actions,
            # Images belong to a region, in their ARN to no account.
            resources=(f"arn:{arns.partition}:ec2:{arns.region}::image/*",),
            conditions=(Condition("StringEqualsIfExists", "ec2:Owner", ("amazon",)),),
        ),
        Statement(
            sid="LaunchIntoOwnSubnet",
            actions=actions,
            resources=_made(arns, ("subnet",)),
            conditions=(equals(f"aws:ResourceTag/{KARPENTER_DISCOVERY}", cluster),),
        ),
        Statement(
            sid="LaunchInOwnSecurityGroup",
            actions=actions,
            resources=_made(arns, ("security-group",)),
            conditions=(
                equals(f"aws:ResourceTag/kubernetes.io/cluster/{cluster}", "owned"),
            ),
        ),
    ]
    if reservations:
        # Another account may have shared it, which is then the one in its ARN.
        shared = f"arn:{arns.partition}:ec2:{arns.region}:*:capacity-reservation"
        found.append(
            Statement(
                sid="LaunchOnReservation",
                actions=actions,
                resources=tuple(f"{shared}/{one}" for one in reservations),
            )
        )
    return tuple(found)


def _launches(arns: Arns, cluster: str) -> tuple[Statement, ...]:
    asked = (
        *_owned(cluster, "RequestTag"),
        equals("aws:RequestTag/eks:eks-cluster-name", cluster),
    )
    return (
        Statement(
            sid="LaunchFromOwnTemplate",
            actions=("ec2:CreateFleet", "ec2:RunInstances"),
            resources=_made(arns, ("launch-template",)),
            conditions=_owned(cluster, "ResourceTag"),
        ),
        Statement(
            sid="LaunchTagged",
            actions=("ec2:CreateFleet", "ec2:CreateLaunchTemplate", "ec2:RunInstances"),
            resources=_made(arns, LAUNCHED),
            conditions=asked,
        ),
        Statement(
            sid="TagWhatIsLaunched",
            actions=("ec2:CreateTags",),
            resources=_made(arns, LAUNCHED),
            conditions=(
                *asked,
                equals(
                    "ec2:CreateAction",
                    "CreateFleet",
                    "CreateLaunchTemplate",
                    "RunInstances",
                ),
            ),
        ),
    )


def _changes(arns: Arns, cluster: str) -> tuple[Statement, ...]:
    own = _owned(cluster, "ResourceTag")
    return (
        Statement(
            sid="TagOwnInstance",
            actions=("ec2:CreateTags",),
            resources=_made(arns, ("instance",)),
            conditions=(
                *own,
                Condition(
                    "StringEqualsIfExists",
                    "aws:RequestTag/eks:eks-cluster-name",
                    (cluster,),
                ),
                Condition(
                    "ForAllValues:StringEquals",
                    "aws:TagKeys",
                    ("eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"),
                ),
            ),
        ),
        Statement(
            sid="EndOwn",
            actions=("ec2:DeleteLaunchTemplate", "ec2:TerminateInstances"),
            resources=_made(arns, ("instance", "launch-template")),
            conditions=own,
        ),
    )


def _instance_profiles(arns: Arns) -> tuple[Statement, ...]:
    """Read only: the stack makes the one profile, and removes it before its role.

    Upstream lets Karpenter make one for each node class. A leftover profile blocks the
    deletion of the role, and so of the stack. Karpenter looks for them when a node
    class is deleted.
    """
    return (
        Statement(
            sid="ReadProfile",
            actions=("iam:GetInstanceProfile",),
            resources=(f"arn:{arns.partition}:iam::{arns.account}:instance-profile/*",),
        ),
        Statement(
            sid="ListProfiles",
            actions=("iam:ListInstanceProfiles",),
            resources=EVERYTHING,
        ),
    )


def _discovery(arns: Arns) -> tuple[Statement, ...]:
    ssm = f"arn:{arns.partition}:ssm:{arns.region}::parameter/aws/service/eks/*"
    return (
        Statement(
            sid="Describe",
            actions=(
                "ec2:DescribeCapacityReservations",
                "ec2:DescribeImages",
                "ec2:DescribeInstanceStatus",
                "ec2:DescribeInstanceTypeOfferings",
                "ec2:DescribeInstanceTypes",
                "ec2:DescribeInstances",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribePlacementGroups",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSpotPriceHistory",
                "ec2:DescribeSubnets",
            ),
            resources=EVERYTHING,
            conditions=(equals("aws:RequestedRegion", arns.region),),
        ),
        Statement(
            sid="ReadImageReleases",
            actions=("ssm:GetParameter",),
            resources=(ssm,),
        ),
        Statement(
            sid="ReadPrices",
            actions=("pricing:GetProducts",),
            resources=EVERYTHING,
        ),
    )


def queue(arns: Arns, name: str, rules: tuple[str, ...]) -> PolicyDocument:
    """EventBridge's rules of these names may write, and nobody without TLS."""
    target = (arns.of("sqs", name),)
    sources = tuple(arns.of("events", f"rule/{rule}") for rule in rules)
    return PolicyDocument(
        (
            Statement(
                sid="WriteFromRules",
                principal=Principal("Service", ("events.amazonaws.com",)),
                actions=("sqs:SendMessage",),
                resources=target,
                conditions=(
                    arn_equals("aws:SourceArn", *sources),
                    equals("aws:SourceAccount", arns.account),
                ),
            ),
            Statement(
                sid="DenyWithoutTls",
                effect="Deny",
                principal=Principal("AWS", ("*",)),
                actions=("sqs:ReceiveMessage", "sqs:SendMessage"),
                resources=target,
                conditions=(Condition("Bool", "aws:SecureTransport", ("false",)),),
            ),
        )
    )
