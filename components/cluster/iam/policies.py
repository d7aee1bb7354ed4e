"""What each identity may do, as typed documents: actions by name, resources by ARN.

No action has a wildcard. A resource has one only where names are AWS's (interfaces,
volumes), and then with a condition on the cluster's tags; what lists and describes has
no narrower resource than `*` in IAM.
tests/golden/iam holds each as JSON.
"""

from __future__ import annotations

from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    Condition,
    PolicyDocument,
    Principal,
    Statement,
    arn_equals,
    equals,
)
from components.cluster.iam.tags import CLUSTER_TAG

EVERYTHING = ("*",)
"""Only for actions that IAM knows no resource of: they list and describe."""

INTERFACE_TAG = "cluster.k8s.amazonaws.com/name"
"""What vpc-cni sets on the interfaces that it manages, if it knows the name."""

_KEY_ADMINISTRATION = (
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
)


def assumed_by(service: str, *conditions: Condition) -> PolicyDocument:
    """A role's trust in one service of AWS, on these conditions."""
    return PolicyDocument(
        (
            Statement(
                sid="Assume",
                principal=Principal("Service", (service,)),
                actions=("sts:AssumeRole",),
                conditions=conditions,
            ),
        )
    )


def cluster_trust(arns: Arns, cluster: str) -> PolicyDocument:
    """EKS, on behalf of this cluster of this account only.

    https://docs.aws.amazon.com/eks/latest/userguide/cross-service-confused-deputy-prevention.html
    """
    return assumed_by(
        "eks.amazonaws.com",
        equals("aws:SourceAccount", arns.account),
        arn_equals("aws:SourceArn", arns.cluster(cluster)),
    )


def node_trust() -> PolicyDocument:
    """EC2, which provides the role to instances through their profile."""
    return assumed_by("ec2.amazonaws.com")


def pod_trust(
    arns: Arns, *, cluster: str, namespace: str, service_account: str
) -> PolicyDocument:
    """EKS pod identity, for one service account of one cluster.

    Without the tags any association of the account could hand out the role.
    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
    """
    return PolicyDocument(
        (
            Statement(
                sid="AssumeAsServiceAccount",
                principal=Principal("Service", ("pods.eks.amazonaws.com",)),
                actions=("sts:AssumeRole", "sts:TagSession"),
                conditions=(
                    equals("aws:SourceAccount", arns.account),
                    arn_equals("aws:SourceArn", arns.cluster(cluster)),
                    equals("aws:RequestTag/kubernetes-namespace", namespace),
                    equals(
                        "aws:RequestTag/kubernetes-service-account", service_account
                    ),
                ),
            ),
        )
    )


def key(arns: Arns, *more: Statement) -> PolicyDocument:
    """A key's policy: the account's IAM decides who may, beside services in `more`.

    AWS's own default is `kms:*` to the account; this names what administration and use
    are made of. `*` is the key itself: a key's policy knows no other resource.
    """
    return PolicyDocument(
        (
            Statement(
                sid="AccountDecidesByIam",
                principal=Principal("AWS", (arns.root,)),
                actions=_KEY_ADMINISTRATION,
                resources=EVERYTHING,
            ),
            *more,
        )
    )


def logs_use_key(arns: Arns, log_group: str) -> Statement:
    """CloudWatch Logs encrypts one log group with a key.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    return Statement(
        sid="EncryptLogGroup",
        principal=Principal("Service", (f"logs.{arns.region}.amazonaws.com",)),
        actions=(
            "kms:Decrypt",
            "kms:Encrypt",
            "kms:GenerateDataKey",
            "kms:GenerateDataKeyWithoutPlaintext",
            "kms:ReEncryptFrom",
            "kms:ReEncryptTo",
        ),
        resources=EVERYTHING,
        conditions=(
            equals("kms:EncryptionContext:aws:logs:arn", arns.log_group(log_group)),
        ),
    )


def node(arns: Arns) -> PolicyDocument:
    """What a node does itself, beside pulling images and handing out pod identities.

    nodeadm asks EC2 for the instance's DNS name and its type's limits at boot; Session
    Manager opens a shell without a key or an open port. AmazonSSMManagedInstanceCore
    would also read every parameter of the account.
    https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-add-permissions-to-existing-profile.html
    """
    return PolicyDocument(
        (
            Statement(
                sid="DescribeItself",
                actions=("ec2:DescribeInstanceTypes", "ec2:DescribeInstances"),
                resources=EVERYTHING,
            ),
            Statement(
                sid="TellSessionManagerOfItself",
                actions=("ssm:UpdateInstanceInformation",),
                resources=(arns.of("ec2", "instance/*"),),
            ),
            Statement(
                sid="SessionManager",
                actions=(
                    "ssmmessages:CreateControlChannel",
                    "ssmmessages:CreateDataChannel",
                    "ssmmessages:OpenControlChannel",
                    "ssmmessages:OpenDataChannel",
                ),
                resources=EVERYTHING,
            ),
        )
    )


def vpc_cni(arns: Arns, cluster: str, vpc: str) -> PolicyDocument:
    """Network interfaces of this cluster's nodes, and addresses on them.

    The upstream's scoped-down policy; the add-on must know CLUSTER_NAME, by which it
    tags the interfaces, those that an instance came with too: hence it may tag what no
    other cluster has tagged. AmazonEKS_CNI_Policy may change every interface there is.
    https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md
    """
    interfaces = arns.of("ec2", "network-interface/*")
    groups = arns.of("ec2", "security-group/*")
    own = f"aws:ResourceTag/{INTERFACE_TAG}"
    in_vpc = arn_equals("ec2:Vpc", arns.of("ec2", f"vpc/{vpc}"))
    return PolicyDocument(
        (
            Statement(
                sid="Describe",
                actions=(
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstances",
                    "ec2:DescribeNetworkInterfaces",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeTags",
                ),
                resources=EVERYTHING,
            ),
            Statement(
                sid="CreateTaggedInterface",
                actions=("ec2:CreateNetworkInterface",),
                resources=(interfaces,),
                conditions=(equals(f"aws:RequestTag/{INTERFACE_TAG}", cluster),),
            ),
            Statement(
                sid="CreateInterfaceInVpc",
                actions=("ec2:CreateNetworkInterface",),
                resources=(arns.of("ec2", "subnet/*"), groups),
                conditions=(in_vpc,),
            ),
            Statement(
                sid="TagInterfaceOfNoOther",
                actions=("ec2:CreateTags",),
                resources=(interfaces,),
                conditions=(
                    Condition("StringEqualsIfExists", own, (cluster,)),
                    Condition(
                        "StringEqualsIfExists",
                        f"aws:RequestTag/{INTERFACE_TAG}",
                        (cluster,),
                    ),
                ),
            ),
            Statement(
                sid="ChangeOwnInterface",
                actions=(
                    "ec2:AssignPrivateIpAddresses",
                    "ec2:AttachNetworkInterface",
                    "ec2:DeleteNetworkInterface",
                    "ec2:DetachNetworkInterface",
                    "ec2:ModifyNetworkInterfaceAttribute",
                    "ec2:UnassignPrivateIpAddresses",
                ),
                resources=(interfaces,),
                conditions=(equals(own, cluster),),
            ),
            Statement(
                sid="ChangeInterfaceOfOwnNode",
                actions=(
                    "ec2:AttachNetworkInterface",
                    "ec2:DetachNetworkInterface",
                    "ec2:ModifyNetworkInterfaceAttribute",
                ),
                resources=(arns.of("ec2", "instance/*"),),
                conditions=(_own_node(cluster),),
            ),
            Statement(
                sid="ChangeGroupsWithinVpc",
                actions=("ec2:ModifyNetworkInterfaceAttribute",),
                resources=(groups,),
                conditions=(in_vpc,),
            ),
        )
    )


def ebs_csi(arns: Arns, cluster: str) -> PolicyDocument:
    """Volumes and snapshots with the cluster's tag, on the cluster's nodes.

    As AmazonEBSCSIDriverPolicyV2, but with the cluster's own tag in place of one
    that all clusters share: the add-on is configured to set it
    (`controller.extraVolumeTags`).
    https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/docs/example-iam-policy.json
    """
    volumes = arns.of("ec2", "volume/*")
    # Snapshots belong to a region, in their ARN to no account.
    snapshots = f"arn:{arns.partition}:ec2:{arns.region}::snapshot/*"
    asked = equals(f"aws:RequestTag/{CLUSTER_TAG}", cluster)
    own = equals(f"aws:ResourceTag/{CLUSTER_TAG}", cluster)
    return PolicyDocument(
        (
            Statement(
                sid="Describe",
                actions=(
                    "ec2:DescribeAvailabilityZones",
                    "ec2:DescribeInstanceTypes",
                    "ec2:DescribeInstances",
                    "ec2:DescribeSnapshots",
                    "ec2:DescribeTags",
                    "ec2:DescribeVolumeStatus",
                    "ec2:DescribeVolumes",
                    "ec2:DescribeVolumesModifications",
                ),
                resources=EVERYTHING,
            ),
            Statement(
                sid="CreateTagged",
                actions=("ec2:CreateSnapshot", "ec2:CreateVolume"),
                resources=(volumes, snapshots),
                conditions=(asked,),
            ),
            Statement(
                sid="CreateFromOwn",
                actions=("ec2:CreateSnapshot", "ec2:CreateVolume"),
                resources=(volumes, snapshots),
                conditions=(own,),
            ),
            Statement(
                sid="TagWhatIsCreated",
                actions=("ec2:CreateTags",),
                resources=(volumes, snapshots),
                conditions=(
                    equals("ec2:CreateAction", "CreateSnapshot", "CreateVolume"),
                ),
            ),
            Statement(
                sid="ChangeOwn",
                actions=(
                    "ec2:AttachVolume",
                    "ec2:DeleteSnapshot",
                    "ec2:DeleteVolume",
                    "ec2:DetachVolume",
                    "ec2:ModifyVolume",
                ),
                resources=(volumes, snapshots),
                conditions=(own,),
            ),
            Statement(
                sid="AttachToOwnNode",
                actions=("ec2:AttachVolume", "ec2:DetachVolume"),
                resources=(arns.of("ec2", "instance/*"),),
                conditions=(_own_node(cluster),),
            ),
        )
    )


def _own_node(cluster: str) -> Condition:
    """Instances that EKS or Karpenter have tagged as this cluster's."""
    return equals(f"aws:ResourceTag/kubernetes.io/cluster/{cluster}", "owned")
