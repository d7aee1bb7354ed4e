"""Documented rules of CloudWatch Logs that the emulator does not keep itself."""

from __future__ import annotations

import json

from tests.support.aws.account import Account
from tests.support.aws.rules import clusters, refuse_if


def control_plane(cluster: str) -> str:
    """The log group that EKS writes into, by a name that cannot be chosen."""
    return f"/aws/eks/{cluster}/cluster"


def key_serves_logs(aws: Account, key: str, arn: str) -> None:
    """CreateLogGroup: the key's policy lets the service use it, for this group.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    kms = aws.client("kms")
    kms.describe_key(KeyId=key)
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    service = f"logs.{aws.region}.amazonaws.com"
    named = [
        statement
        for statement in policy["Statement"]
        if service in json.dumps(statement.get("Principal", {}))
        and statement["Effect"] == "Allow"
    ]
    refuse_if(
        not named,
        f"InvalidParameterException: the policy of {key} does not name {service}, so "
        f"it cannot encrypt {arn}",
    )


def cluster_writes_no_more(aws: Account, group: str) -> None:
    """A log group that is deleted before its cluster is made anew by EKS.

    No refusal by the API: the new one would have no owner, no key and no end.
    """
    writers = [c["name"] for c in clusters(aws) if control_plane(c["name"]) == group]
    refuse_if(writers, f"{group}: {writers} still writes to it, and would make it anew")
