"""Policies of a VPC's endpoints: own principals and own buckets only.

Otherwise someone in the VPC with another account's credentials could move data out
through the endpoints, and a stolen credential of ours could read any bucket.
https://docs.aws.amazon.com/whitepapers/latest/building-a-data-perimeter-on-aws/building-a-data-perimeter-on-aws.html
"""

from __future__ import annotations

from collections.abc import Sequence

from components.cluster.iam.arns import Arns
from components.cluster.iam.policy_document import (
    PolicyDocument,
    Principal,
    Statement,
    equals,
)

ANYBODY = Principal("AWS", ("*",))
EVERYTHING = ("*",)


def s3(arns: Arns, accounts: Sequence[str]) -> PolicyDocument:
    """The gateway endpoint of S3; `accounts`: more whose buckets may be reached.

    ECR and the nodes' package manager fetch from buckets of AWS's own, by addresses
    that AWS has signed or that are public.
    https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html#ecr-minimum-s3-perms
    https://docs.aws.amazon.com/linux/al2023/ug/managing-repos-os-updates.html
    """
    buckets = (
        f"prod-{arns.region}-starport-layer-bucket",
        f"al2023-repos-{arns.region}-de612dc2",
    )
    return PolicyDocument(
        (
            Statement(
                sid="OwnPrincipalsAndBuckets",
                principal=ANYBODY,
                actions=("s3:*",),
                resources=EVERYTHING,
                conditions=(
                    equals("aws:PrincipalAccount", arns.account),
                    equals("aws:ResourceAccount", arns.account, *accounts),
                ),
            ),
            Statement(
                sid="LayersAndPackagesOfAws",
                principal=ANYBODY,
                actions=("s3:GetObject",),
                resources=tuple(
                    f"arn:{arns.partition}:s3:::{bucket}/*" for bucket in buckets
                ),
            ),
        )
    )


def interface(arns: Arns, service: str) -> PolicyDocument:
    """The endpoint of any other service."""
    own = Statement(
        sid="OwnPrincipals",
        principal=ANYBODY,
        actions=("*",),
        resources=EVERYTHING,
        conditions=(equals("aws:PrincipalAccount", arns.account),),
    )
    if service != "sts":
        return PolicyDocument((own,))
    # A role's user with a token of the cluster is not a principal of the account yet.
    by_token = Statement(
        sid="OwnRolesByToken",
        principal=ANYBODY,
        actions=("sts:AssumeRoleWithWebIdentity",),
        resources=EVERYTHING,
        conditions=(equals("aws:ResourceAccount", arns.account),),
    )
    return PolicyDocument((own, by_token))
