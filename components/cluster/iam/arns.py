"""ARNs from names: nothing is looked up, so a render knows them all."""

from __future__ import annotations

from dataclasses import dataclass

PARTITIONS = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
"""Partition by a region's prefix; all others are in `aws`.
https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html"""


@dataclass(frozen=True)
class Arns:
    """The ARNs of one account and region."""

    account: str
    """12 digits."""
    region: str

    @property
    def partition(self) -> str:
        """`aws`, or that of China or of the United States' government."""
        for beginning, partition in PARTITIONS.items():
            if self.region.startswith(beginning):
                return partition
        return "aws"

    def of(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    @property
    def root(self) -> str:
        """The account itself: with it in a key's policy, IAM decides who may."""
        return f"arn:{self.partition}:iam::{self.account}:root"

    def role(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def managed_policy(self, name: str) -> str:
        """A policy that AWS keeps."""
        return f"arn:{self.partition}:iam::aws:policy/{name}"

    def access_policy(self, name: str) -> str:
        """Return the ARN of EKS's policy for an access entry."""
        return f"arn:{self.partition}:eks::aws:cluster-access-policy/{name}"

    def cluster(self, name: str) -> str:
        """An EKS cluster."""
        return self.of("eks", f"cluster/{name}")

    def log_group(self, name: str) -> str:
        """A CloudWatch log group, as KMS's encryption context names it."""
        return self.of("logs", f"log-group:{name}")

    def repository(self, name: str) -> str:
        """An ECR repository."""
        return self.of("ecr", f"repository/{name}")

    def bucket(self, name: str) -> str:
        return f"arn:{self.partition}:s3:::{name}"

    @property
    def any_key(self) -> str:
        """All KMS keys here: only with a condition that says which (their alias)."""
        return self.of("kms", "key/*")
